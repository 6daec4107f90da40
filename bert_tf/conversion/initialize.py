"""Loads the weights that a model starts from, whatever form they have."""

import keras

from bert_tf.conversion import tf1
from bert_tf.conversion.tf1 import LoadReport


def load_weights(model: keras.Model, path: str) -> LoadReport:
    """Loads what a model shares with a checkpoint; see `tf1.load_weights`."""
    return tf1.load_weights(model, path)
