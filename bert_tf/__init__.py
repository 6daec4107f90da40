"""BERT (Devlin et al., 2018) for TensorFlow 2 and Keras 3; importing this loads no TensorFlow."""

__version__ = "0.1.0"
