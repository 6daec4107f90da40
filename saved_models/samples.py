"""Texts that every export is tried on, and the encoder's inputs as the commands make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bert_tf.inputs.packing import TextPacker, Window
from saved_models.building import Request

# What the rules of the tokenizer and the packing are about, in few words.
TEXTS = [
    "",
    "The keeper of the lighthouse isn't here; he left at 7:30 for $12.50.",
    "Ein Café in Orléans, ΟΔΟΣ und ΟΔΟΣΑ, 東京タワー, 한국어, İstanbul.",
    "tab\tand\nnew line, soft\u00adhyphen, zero\u200bwidth, e\u0301, [MASK] [UNK] \u2028 end",
    "a" * 200 + " " + "b" * 201 + " é" * 150,
]
_OF_TOKENS = 1e-4  # tolerance
SECOND_TEXTS = [*TEXTS[1:], TEXTS[0]]


def windows_in_python(
    request: Request, texts: Sequence[str], seconds: Sequence[Sequence[str | None]] | None = None
) -> tuple[list[list[Window]], np.ndarray]:
    """What the commands make of texts, each beside one or more second ones.

    Returns:
        The windows, with one for each of the second texts, and the text of each, [W].
    """
    packer = TextPacker(request.tokenizer, request.max_seq_length, request.stride)
    found = [
        packer.windows(text, own)
        for text, own in zip(texts, seconds or [[None]] * len(texts), strict=True)
    ]
    owners = np.repeat(np.arange(len(found)), [len(each) for each in found])
    return [window for each in found for window in each], owners


def inputs_of(windows: Sequence[Window]) -> dict[str, np.ndarray]:
    """The encoder's inputs, int32 [W, T]."""
    rows = [window.packed for window in windows]
    return {
        "input_word_ids": np.array([row.input_ids for row in rows], np.int32),
        "input_mask": np.array([row.input_mask for row in rows], np.int32),
        "input_type_ids": np.array([row.segment_ids for row in rows], np.int32),
    }


def packed_in_python(
    request: Request, texts: Sequence[str], seconds: Sequence[str | None] | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Texts or pairs as the encoder's inputs, int32 [W, T], and the text of each window."""
    pairs = [[second] for second in seconds] if seconds else None
    windows, owners = windows_in_python(request, texts, pairs)
    return inputs_of([window for (window,) in windows]), owners


def ids_case(request: Request, model: keras.Model, outputs: Sequence[str]) -> dict[str, Any]:
    """A call of `serve_ids`, and what the model says of every token: many numbers, so a few of
    them are further from another order of additions than one would be."""
    ids, _ = packed_in_python(request, TEXTS, SECOND_TEXTS)
    found = model(ids)
    expected = listed({name: found[name] for name in outputs})
    case = {"signature": "serve_ids", "inputs": listed(ids), "expected": expected}
    return {**case, "tolerance": _OF_TOKENS}


def listed(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays as JSON holds them."""
    return {name: np.asarray(value).tolist() for name, value in arrays.items()}
