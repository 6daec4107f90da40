"""A small server for SavedModels, with the REST protocol of TensorFlow Serving."""
