"""Between checkpoints of the 2018 release and Keras model files, both ways, bit for bit."""

from pathlib import Path

import keras
import numpy as np

from bert_tf.config import BertConfig
from bert_tf.conversion import initialize, tf1
from bert_tf.conversion.weight_map import named_variables
from bert_tf.files import replacing
from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.heads import build_pretrainer

KERAS_SUFFIX = ".keras"
_PRETRAINING_HEADS = ("cls/predictions/output_bias", "cls/seq_relationship/output_bias")


def checkpoint_to_keras(config: BertConfig, checkpoint: str, output: Path) -> dict[str, str]:
    """Writes the weights of a checkpoint as a `.keras` file.

    A checkpoint with the heads of pretraining becomes a `BertPretrainer`, one without them a
    `BertEncoder`. Optimizer slots and step have no place in the file.

    Args:
        config: The model's sizes.
        checkpoint: Prefix or directory of a checkpoint.
        output: File to write, ending in `.keras`.

    Returns:
        Checkpoint name to variable path, of all weights.

    Raises:
        CheckpointError: If the checkpoint does not fit the config, or lacks part of the heads.
    """
    if form := initialize.form_at(checkpoint):
        names = set(form.read_tensors(checkpoint))
    else:
        checkpoint = tf1.resolve_prefix(checkpoint)
        names = set(tf1.open_checkpoint(checkpoint).get_variable_to_shape_map())
    has_heads = any(name in names for name in _PRETRAINING_HEADS)
    model = build_pretrainer(config) if has_heads else build_encoder(config)
    report = initialize.load_weights(model, checkpoint)
    if report.initialized:
        raise tf1.CheckpointError(
            f"A conversion must be whole, but {checkpoint} lacks {', '.join(report.initialized)}."
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing(output) as partial:
        model.save(partial)
    return {name: variable.path for name, variable in named_variables(model).items()}


def keras_to_checkpoint(model_file: Path, output: str) -> dict[str, str]:
    """Writes the weights of a `.keras` file as a checkpoint of the release.

    Args:
        model_file: A file that `checkpoint_to_keras` or Keras wrote.
        output: Prefix of the checkpoint.

    Returns:
        Checkpoint name to variable path, of all weights.

    Raises:
        CheckpointError: If the file cannot be read.
    """
    variables = read_keras(model_file)
    tf1.write_checkpoint(output, {name: np.asarray(item) for name, item in variables.items()})
    return {name: variable.path for name, variable in variables.items()}


def read_keras(model_file: Path) -> dict[str, keras.Variable]:
    """Weights of a `.keras` file by their checkpoint names; CheckpointError if it is none."""
    try:
        model = keras.saving.load_model(model_file, compile=False)
    except Exception as error:  # Whatever zip, JSON or HDF5 raise on a damaged file.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise tf1.CheckpointError(
            f"{model_file} must be a Keras model file of this project, but cannot be read: {reason}"
        ) from None
    return named_variables(model)
