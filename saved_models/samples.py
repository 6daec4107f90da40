"""Texts that every export is tried on, and the encoder's inputs as the commands make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bert_tf.inputs.packing import TextPacker
from saved_models.building import Request

# What the rules of the tokenizer and the packing are about, in few words.
TEXTS = [
    "",
    "The keeper of the lighthouse isn't here; he left at 7:30 for $12.50.",
    "Ein Café in Orléans, ΟΔΟΣ und ΟΔΟΣΑ, 東京タワー, 한국어, İstanbul.",
    "tab\tand\nnew line, soft\u00adhyphen, zero\u200bwidth, e\u0301, [MASK] [UNK] \u2028 end",
    "a" * 200 + " " + "b" * 201 + " é" * 150,
]
SECOND_TEXTS = [*TEXTS[1:], TEXTS[0]]


def packed_in_python(
    request: Request, texts: Sequence[str], seconds: Sequence[str | None] | None = None
) -> dict[str, np.ndarray]:
    """What the commands make of texts, or of pairs: the encoder's inputs, int32 [B, T]."""
    packer = TextPacker(request.tokenizer, request.max_seq_length)
    rows = [
        packer.windows(text, [second])[0][0].packed
        for text, second in zip(texts, seconds or [None] * len(texts), strict=True)
    ]
    return {
        "input_word_ids": np.array([row.input_ids for row in rows], np.int32),
        "input_mask": np.array([row.input_mask for row in rows], np.int32),
        "input_type_ids": np.array([row.segment_ids for row in rows], np.int32),
    }


def listed(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Arrays as JSON holds them."""
    return {name: np.asarray(value).tolist() for name, value in arrays.items()}
