"""Loads the weights that a model starts from, whatever form they have."""

import keras

from bert_tf.conversion import huggingface, tf1
from bert_tf.conversion.tf1 import LoadReport


def load_weights(model: keras.Model, path: str) -> LoadReport:
    """Loads what a model shares with a checkpoint of the release or a Hugging Face folder.

    Args:
        model: An encoder, or a model whose parts are named as in `weight_map`.
        path: Prefix or directory of a checkpoint, or a folder with a config.json.

    Raises:
        CheckpointError: See `tf1.load_weights` and `huggingface.load_weights`.
    """
    # A run's own output directory holds bert_config.json, never config.json.
    if huggingface.is_folder(path):
        return huggingface.load_weights(model, path)
    return tf1.load_weights(model, path)
