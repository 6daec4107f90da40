"""The model: layers, encoder and heads in Keras 3, written with `keras.ops` alone."""
