"""From text features to records on disk and back."""
