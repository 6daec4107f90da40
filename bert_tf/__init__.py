"""BERT (Devlin et al., 2018) for TensorFlow 2 and Keras 3; importing this loads no TensorFlow.

    encoder = bert_tf.load_encoder(FOLDER)

gives the encoder of a SavedModel from TF Hub or of a Hugging Face folder as a Keras 3 layer. Who
reads a `.keras` file with such a layer in another process has to know its class:

    keras.models.load_model(FILE, custom_objects={"BertEncoder": bert_tf.BertEncoder})
"""

import importlib
from typing import Any

__version__ = "0.1.0"

# Name to the module that has it, which is imported when the name is asked for.
_LAZY = {
    "load_encoder": "bert_tf.conversion.initialize",
    "BertEncoder": "bert_tf.modeling.encoder",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
