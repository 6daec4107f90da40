"""Checkpoints in the format of the 2018 release: reading, checking, writing.

Files are TensorFlow's tensor bundles (`PREFIX.index`, `PREFIX.data-00000-of-00001`) with the
release's variable names, as TensorFlow 1's Saver writes and reads them.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.conversion.weight_map import named_variables
from bert_tf.files import PARTIAL, sync

ENCODER_PREFIX = "bert/"
SLOT_SUFFIXES = ("/adam_m", "/adam_v")
GLOBAL_STEP = "global_step"
# In the order of writing: without its index, the data is no checkpoint.
BUNDLE_ENDINGS = (".data-00000-of-00001", ".index")


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or does not fit; the message says what and why."""


@dataclass(frozen=True)
class LoadReport:
    """What loading a checkpoint did, by checkpoint names.

    Attributes:
        path: The checkpoint's prefix.
        loaded: Weights taken from the checkpoint.
        initialized: Weights of heads that the checkpoint lacks; they keep their initial values.
        ignored: Tensors of the checkpoint that the model has no use for (slots, step, heads).
    """

    path: str
    loaded: tuple[str, ...]
    initialized: tuple[str, ...]
    ignored: tuple[str, ...]

    def __str__(self) -> str:
        fresh = f", {len(self.initialized)} newly initialized" if self.initialized else ""
        names = f" ({', '.join(self.initialized)})" if self.initialized else ""
        return (
            f"{self.path}: {len(self.loaded)} weights loaded{fresh}{names}, "
            f"{len(self.ignored)} tensors not needed (optimizer slots, step, other heads)"
        )


def resolve_prefix(path: str) -> str:
    """The prefix of a checkpoint; of a directory, that of its newest checkpoint.

    Raises:
        CheckpointError: If a directory holds no checkpoint.
    """
    if not tf.io.gfile.isdir(path):
        return path
    prefix = tf.train.latest_checkpoint(path)
    if prefix is None:
        raise CheckpointError(
            f"A checkpoint is given by its prefix or its directory, but the directory {path} "
            'holds none that its file "checkpoint" names.'
        )
    return str(prefix)


def open_checkpoint(path: str) -> Any:
    """A reader of the checkpoint with the prefix `path`.

    Raises:
        CheckpointError: If there is none, or its index is damaged.
    """
    if path.endswith(".index") or ".data-" in path:
        raise CheckpointError(
            "A checkpoint is named by its prefix, without .index or .data-..., but "
            f"{path} was given. Drop the ending."
        )
    try:
        return tf.train.load_checkpoint(path)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"No readable checkpoint at {path}: it takes {path}.index and {path}.data-*. ({reason})"
        ) from None


def read_tensor(reader: Any, path: str, name: str) -> np.ndarray:
    """One tensor, verified by its checksum.

    Raises:
        CheckpointError: If the data is damaged or cut short.
    """
    try:
        value = reader.get_tensor(name)
        # As an object: arrays of bytes would lose zeros at the end of a string.
        return np.asarray(value, object if isinstance(value, bytes) else None)
    except Exception as error:  # The reader raises plain RuntimeErrors and OpErrors alike.
        reason = str(error).splitlines()[0]
        raise CheckpointError(
            f"The checkpoint {path} is damaged: {name} cannot be read ({reason}). "
            "Copy it again, or use another."
        ) from None


def is_slot(name: str) -> bool:
    """Whether a checkpoint name is one of the optimizer's slots."""
    return name.endswith(SLOT_SUFFIXES)


def _check_encoder(path: str, wanted: Iterable[str], present: Iterable[str]) -> None:
    needed = {name for name in wanted if name.startswith(ENCODER_PREFIX)}
    held = {name for name in present if name.startswith(ENCODER_PREFIX) and not is_slot(name)}
    missing, left_over = sorted(needed - held), sorted(held - needed)
    if missing or left_over:
        raise CheckpointError(
            f"The encoder of the checkpoint {path} must have exactly the model's variables. "
            f"Missing in the checkpoint: {_listed(missing)}. "
            f"Left over in the checkpoint: {_listed(left_over)}. "
            "Use the bert_config.json that belongs to the checkpoint."
        )


def _listed(names: list[str], most: int = 6) -> str:
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _check_shapes(path: str, shapes: Mapping[str, Any], variables: Mapping[str, Any]) -> None:
    wrong = [
        f"{name} is {list(shapes[name])} in the checkpoint and {list(variable.shape)} in the model"
        for name, variable in variables.items()
        if name in shapes and list(shapes[name]) != list(variable.shape)
    ]
    if wrong:
        raise CheckpointError(
            f"The config does not fit the checkpoint {path}: {'; '.join(wrong[:4])}"
            f"{'; and more' if len(wrong) > 4 else ''}. "
            "Use the bert_config.json that belongs to the checkpoint."
        )


def load_weights(model: keras.Model, path: str) -> LoadReport:
    """Loads the weights that a model shares with a checkpoint; nothing is loaded on an error.

    Args:
        model: An encoder, or a model whose parts are named as in `weight_map`.
        path: The checkpoint's prefix, or a directory, whose newest checkpoint is taken.

    Returns:
        What was loaded, what was not found, what was not needed.

    Raises:
        CheckpointError: If the checkpoint cannot be read, a variable of the encoder is missing or
            left over, or a shape differs.

    Source: `get_assignment_map_from_checkpoint` of the original's modeling.py, which loads what
    it finds without a word about the rest.
    """
    path = resolve_prefix(path)
    reader = open_checkpoint(path)
    shapes = reader.get_variable_to_shape_map()
    return assign(model, path, shapes, lambda name: read_tensor(reader, path, name))


def assign(
    model: keras.Model,
    path: str,
    shapes: Mapping[str, Any],
    read: Callable[[str], np.ndarray],
    optional: Collection[str] = (),
) -> LoadReport:
    """Gives a model the tensors that it shares with a source, checked as in `load_weights`.

    Args:
        model: See `load_weights`.
        path: Of the source, for messages.
        shapes: Checkpoint name to shape, of all that the source holds.
        read: The tensor of a name.
        optional: Names of the encoder that the source may lack.

    Raises:
        CheckpointError: See `load_weights`.
    """
    variables = named_variables(model)
    needed = [name for name in variables if name in shapes or name not in optional]
    _check_encoder(path, needed, shapes)
    _check_shapes(path, shapes, variables)
    loaded = tuple(name for name in variables if name in shapes)
    values = {name: read(name) for name in loaded}
    for name, value in values.items():
        variables[name].assign(value)
    return LoadReport(
        path,
        loaded,
        initialized=tuple(name for name in variables if name not in shapes),
        ignored=tuple(sorted(set(shapes) - set(loaded))),
    )


def write_checkpoint(path: str, tensors: Mapping[str, Any]) -> None:
    """Writes a checkpoint that TensorFlow 1's Saver can restore, whole or not at all.

    One that has the name already loses its index first: old and new data never mix.

    Args:
        path: The prefix to write.
        tensors: Checkpoint name to array or tensor.
    """
    target = Path(path)
    partial = target.with_name(f"{PARTIAL}{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    names = sorted(tensors)
    try:
        tf.raw_ops.SaveV2(
            prefix=str(partial / target.name),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.convert_to_tensor(tensors[name]) for name in names],
        )
        for ending in BUNDLE_ENDINGS:
            sync(f"{partial / target.name}{ending}")
        _remove_index(f"{path}{BUNDLE_ENDINGS[-1]}")
        for ending in BUNDLE_ENDINGS:
            os.replace(f"{partial / target.name}{ending}", f"{path}{ending}")
        sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_index(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
        sync(os.path.dirname(path) or ".")
