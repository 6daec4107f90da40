"""What stands around a feature's values in a frame, made once for every size of these.

Before the values of a feature come its name, and the lengths of four nested messages; all depends
on one number, the bytes that the values take.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.inputs.example_proto import feature_prefix
from bert_tf.inputs.record_schema import RecordSchema

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

FLOAT = 4  # bytes
MOST_VARINT = 5  # bytes of an int32 that is not negative
WORD = 8
_DELIMITED = 2  # wire type of a length-delimited field


class Layout(NamedTuple):
    """A schema as compiled code reads it.

    Attributes:
      lengths: int64 [F], values of each feature.
      floats: bool [F], whether they are.
      first_heads: int64 [F], feature f with values of p bytes has head first_heads[f] + p.
      heads: uint8 [H, W], all that comes before a feature's values, by how many bytes they take.
      head_sizes: int64 [H], bytes of each.
    """

    lengths: Longs
    floats: npt.NDArray[np.bool_]
    first_heads: Longs
    heads: Bytes
    head_sizes: Longs


@functools.lru_cache(maxsize=8)
def layout_of(schema: RecordSchema) -> Layout:
    """The layout of one schema; nobody writes to it."""
    lengths = np.array([feature.length for feature in schema.features], np.int64)
    floats = np.array([feature.kind == "float" for feature in schema.features], bool)
    least = np.where(floats, FLOAT * lengths, lengths)  # bytes that the values take
    most = np.where(floats, least, MOST_VARINT * lengths)
    head_of = feature_prefix.__wrapped__  # each is asked for once: what is cached stays
    heads = [
        head_of(feature.name, feature.kind, payload)
        for feature, first, last in zip(schema.features, least, most, strict=True)
        for payload in range(first, last + 1)
    ]
    width = -(-max(map(len, heads), default=0) // WORD) * WORD
    table = np.frombuffer(b"".join(head.ljust(width, b"\0") for head in heads), np.uint8)
    counts = most - least + 1
    return Layout(
        lengths,
        floats,
        np.cumsum(counts) - counts - least,
        table.reshape(len(heads), width),
        np.array([len(head) for head in heads], np.int64),
    )


@compiled
def varint_size(value: int) -> int:
    """Bytes of a number that is not negative."""
    size = 1
    while value > 0x7F:
        value >>= 7
        size += 1
    return size


@inlined
def write_varint(frames: Bytes, at: int, value: int) -> int:
    """Writes a number that is not negative; where it ends."""
    while value > 0x7F:
        frames[np.uint64(at)] = value & 0x7F | 0x80
        value >>= 7
        at += 1
    frames[np.uint64(at)] = value
    return at + 1


@inlined
def write_tag(frames: Bytes, at: int, field: int, size: int) -> int:
    """Begins a message (numbers below 16) of `size` bytes; where these begin."""
    frames[np.uint64(at)] = field << 3 | _DELIMITED
    return write_varint(frames, at + 1, size)
