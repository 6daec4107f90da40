"""Loads the weights that a model starts from, whatever form they have."""

from pathlib import Path
from types import ModuleType

import keras

from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface, tf1, tfhub
from bert_tf.conversion.tf1 import LoadReport
from bert_tf.modeling.encoder import BertEncoder, build_encoder

# Folders that bring config and vocabulary with their weights. Each has `is_folder`, `read_config`,
# `find_vocabulary`, `load_weights` and `read_tensors`. A run's own output directory is none of
# them: it holds bert_config.json, never config.json.
COMPLETE_FORMS = (huggingface, tfhub)


def form_at(path: str | Path) -> ModuleType | None:
    """The one of `COMPLETE_FORMS` that a path is; None for a checkpoint of the release."""
    return next((form for form in COMPLETE_FORMS if form.is_folder(path)), None)


def load_weights(model: keras.Model, path: str) -> LoadReport:
    """Loads what a model shares with a checkpoint of the release or a folder of another form.

    Args:
        model: An encoder, or a model whose parts are named as in `weight_map`.
        path: Prefix or directory of a checkpoint, a Hugging Face folder, or a SavedModel of TF
            Hub's interface for BERT encoders.

    Raises:
        CheckpointError: See the `load_weights` of `tf1`, `huggingface` and `tfhub`.
    """
    report: LoadReport = (form_at(path) or tf1).load_weights(model, path)
    return report


def load_encoder(
    path: str | Path, config: BertConfig | None = None, dtype: str | None = None
) -> BertEncoder:
    """A trainable encoder with the weights of a folder, to use as a Keras 3 layer or model.

    It takes part in functional models, is trained with them, and is saved in their `.keras` files,
    which need the folder no longer.

    Args:
        path: A SavedModel of TF Hub's interface for BERT encoders, a Hugging Face folder, or a
            checkpoint of the release.
        config: The model's sizes; None takes those of the folder.
        dtype: A Keras dtype policy; None takes the global one.

    Raises:
        CheckpointError: If there is no config, the folder cannot be read, or lacks weights.
    """
    form = form_at(path)
    if config is None:
        if form is None:
            raise tf1.CheckpointError(
                f"{path} must be a SavedModel or a Hugging Face folder, which bring their config, "
                "but is neither. Give config=BertConfig.from_json_file(...) with a checkpoint."
            )
        config = form.read_config(path)
    encoder = build_encoder(config, dtype=dtype)
    report = load_weights(encoder, str(path))
    if report.initialized:
        raise tf1.CheckpointError(
            f"An encoder must be whole, but {path} lacks {', '.join(report.initialized)}."
        )
    return encoder
