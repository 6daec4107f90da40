"""Checkpoints for a vocabulary that has grown: new rows from the mean of old ones.

Every matrix and vector with a row for each token grows: the word embeddings, the bias of the masked
LM, and the optimizer's slots of both. A new row is the mean of the rows of the pieces that spelt
the word before, so that the model begins with what it knew of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.config import BertConfig
from bert_tf.conversion.tf1 import (
    SLOT_SUFFIXES,
    CheckpointError,
    open_checkpoint,
    read_tensor,
    resolve_prefix,
    write_checkpoint,
)
from bert_tf.files import new_folder, write_text

WORD_EMBEDDINGS = "bert/embeddings/word_embeddings"
OUTPUT_BIAS = "cls/predictions/output_bias"
_BY_TOKEN = tuple(
    name + ending for name in (WORD_EMBEDDINGS, OUTPUT_BIAS) for ending in ("", *SLOT_SUFFIXES)
)


def grow(rows: np.ndarray, size: int, pieces: Mapping[int, Sequence[int]]) -> np.ndarray:
    """A row for each of `size` tokens.

    Args:
        rows: [V, ...], the old ones.
        size: V or more.
        pieces: Row -> rows whose mean it becomes; all rows from V on must be among them.
    """
    grown = np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]), rows.dtype)])
    for row, old in pieces.items():
        grown[row] = rows[list(old)].mean(axis=0, dtype=np.float64)
    return grown


def extend_checkpoint(
    source: str, target: str, old_size: int, size: int, pieces: Mapping[int, Sequence[int]]
) -> list[str]:
    """Writes a checkpoint with new rows; everything else is as it was.

    Args:
        source: Prefix or directory of the old checkpoint.
        target: Prefix of the new one.
        old_size: Tokens of the old vocabulary.
        size: Tokens of the new one.
        pieces: See `grow`.

    Returns:
        The names of what has grown.

    Raises:
        CheckpointError: It cannot be read, or has not `old_size` rows.
    """
    path = resolve_prefix(source)
    reader = open_checkpoint(path)
    shapes: Mapping[str, Any] = reader.get_variable_to_shape_map()
    if WORD_EMBEDDINGS not in shapes:
        raise CheckpointError(f"The checkpoint {path} has no {WORD_EMBEDDINGS}: is it BERT's?")
    growing = [name for name in _BY_TOKEN if name in shapes]
    for name in growing:
        if shapes[name][0] != old_size:
            raise CheckpointError(
                f"{name} in the checkpoint {path} has {shapes[name][0]} rows, but the vocabulary "
                f"has {old_size} tokens. Use the vocab.txt that belongs to the checkpoint."
            )
    tensors = {name: read_tensor(reader, path, name) for name in shapes}
    for name in growing:
        tensors[name] = grow(tensors[name], size, pieces)
    write_checkpoint(target, tensors)
    return growing


def extend_model(
    source: str,
    folder: Path,
    config: BertConfig,
    tokens: Sequence[str],
    old_size: int,
    pieces: Mapping[int, Sequence[int]],
) -> list[str]:
    """A new folder with bert_model.ckpt, vocab.txt and bert_config.json, whole or not at all.

    Args:
        source: See `extend_checkpoint`, as the arguments below.
        folder: The folder; it must not be there.
        config: The old model's.
        tokens: The new vocabulary.
        old_size: Tokens of the old one.
        pieces: See `grow`.

    Raises:
        CheckpointError: See `extend_checkpoint`.
        ValueError: If the folder is there.
    """
    if folder.exists():
        raise ValueError(f"--output_dir={folder} is there already. Name a new folder.")
    with new_folder(folder) as partial:
        prefix = str(partial / "bert_model.ckpt")
        grown = extend_checkpoint(source, prefix, old_size, len(tokens), pieces)
        write_text(partial / "vocab.txt", "".join(f"{token}\n" for token in tokens))
        new_config = dataclasses.replace(config, vocab_size=len(tokens))
        new_config.to_json_file(partial / "bert_config.json")
    return grown
