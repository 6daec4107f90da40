"""SavedModels: text in, answers out, loadable through TF Hub."""
