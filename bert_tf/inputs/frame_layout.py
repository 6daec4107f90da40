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
from bert_tf.inputs.example_proto import FIELD_OF_KIND
from bert_tf.inputs.record_schema import RecordSchema

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

FLOAT = 4  # bytes
MOST_VARINT = 5  # bytes of an int32 that is not negative
WORD = 8
_FLOAT_FIELD = FIELD_OF_KIND["float"]
# Tags and lengths around a feature's values, beside its name: four levels of at most a tag and a
# length each, and the entry's own.
_MOST_OVERHEAD = 6 * (1 + MOST_VARINT)
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
    names = [np.frombuffer(feature.name.encode(), np.uint8) for feature in schema.features]
    lengths = np.array([feature.length for feature in schema.features], np.int64)
    fields = [FIELD_OF_KIND[feature.kind] for feature in schema.features]
    floats = np.array(fields) == _FLOAT_FIELD
    counts = np.where(floats, 1, lengths * (MOST_VARINT - 1) + 1)
    firsts = np.cumsum(counts) - counts
    least = np.where(floats, FLOAT * lengths, lengths)  # bytes that the values take
    width = -(-(max(map(len, names), default=0) + _MOST_OVERHEAD) // WORD) * WORD
    heads = np.zeros((int(counts.sum()), width), np.uint8)
    sizes = np.zeros(len(heads), np.int64)
    for name, field, first, count, size in zip(names, fields, firsts, counts, least, strict=True):
        own = slice(first, first + count)
        _write_heads(name, field, size, heads[own], sizes[own])
    return Layout(lengths, floats, firsts - least, heads, sizes)


@compiled
def varint_size(value: int) -> int:
    """Bytes of a number that is not negative."""
    size = 1
    while value > 0x7F:
        value >>= 7
        size += 1
    return size


@compiled
def _delimited(size: int) -> int:
    """Bytes of a length-delimited field (numbers below 16) of `size` bytes."""
    return 1 + varint_size(size) + size


@compiled
def _write_heads(name: Bytes, field: int, least: int, heads: Bytes, sizes: Longs) -> None:
    """The heads of a feature whose values take `least` bytes, one more, and so on."""
    for i in range(len(sizes)):
        payload = least + i
        listed = _delimited(payload)
        feature = _delimited(listed)
        head = heads[i]
        at = write_tag(head, 0, 1, _delimited(len(name)) + _delimited(feature))
        at = write_tag(head, at, 1, len(name))
        head[at : at + len(name)] = name
        at = write_tag(head, at + len(name), 2, feature)
        at = write_tag(head, at, field, listed)
        sizes[i] = write_tag(head, at, 1, payload)


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
