"""Records in bulk: rows of numbers into the bytes of a TFRecord file, compiled.

The twin of `RecordSchema.encode_rows` and `RecordWriter.write` for those who write millions of
records of one schema: the same examples (a test compares them), with features in the schema's
order, some thirty times as fast; several threads do it side by side. Importing this imports
numba, which `records` does not.

A frame is

    length (8 bytes) | masked CRC-32C of it (4) | tf.train.Example | masked CRC-32C of that (4)

and the Example is that of `example_proto`: one map entry for each feature, whose lengths are
nested four deep.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.inputs.checksums import crc32c, crc32c_of_word, crc32c_of_four
from bert_tf.inputs.example_proto import FIELD_OF_KIND
from bert_tf.inputs.record_schema import RecordError, RecordSchema
from bert_tf.inputs.unaligned import load_8, store_4, store_8

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

_HEADER, _FOOTER = 12, 4
_WORD = 8
_MOST_VARINT = 5  # bytes of an int32 that is not negative
_LARGEST_VARINTS = (0x7F, 0x3FFF, 0x1FFFFF, 0xFFFFFFF)  # of one to four bytes
_FLOAT = 4
_FLOAT_FIELD = FIELD_OF_KIND["float"]
# Tags and lengths around a feature's values, beside its name: four levels of at most a tag and a
# length each, and the entry's own.
_MOST_OVERHEAD = 6 * (1 + _MOST_VARINT)
_DELIMITED = 2  # wire type of a length-delimited field
_MASK_DELTA = 0xA282EAD8
_ALL = 0xFFFFFFFF


class _Layout(NamedTuple):
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


def _layout_of(schema: RecordSchema) -> _Layout:
    names = [np.frombuffer(feature.name.encode(), np.uint8) for feature in schema.features]
    lengths = np.array([feature.length for feature in schema.features], np.int64)
    fields = [FIELD_OF_KIND[feature.kind] for feature in schema.features]
    floats = np.array(fields) == _FLOAT_FIELD
    counts = np.where(floats, 1, lengths * (_MOST_VARINT - 1) + 1)
    firsts = np.cumsum(counts) - counts
    least = np.where(floats, _FLOAT * lengths, lengths)  # bytes that the values take
    width = -(-(max(map(len, names)) + _MOST_OVERHEAD) // _WORD) * _WORD
    heads = np.zeros((int(counts.sum()), width), np.uint8)
    sizes = np.zeros(len(heads), np.int64)
    for name, field, first, count, size in zip(names, fields, firsts, counts, least, strict=True):
        own = slice(first, first + count)
        _write_heads(name, field, size, heads[own], sizes[own])
    return _Layout(lengths, floats, firsts - least, heads, sizes)


class FrameEncoder:
    """Encodes rows of one schema.

    Attributes:
      width: how many numbers a row has: the lengths of all features.
    """

    def __init__(self, schema: RecordSchema) -> None:
        self._layout = _layout_of(schema)
        self.width = int(self._layout.lengths.sum())
        # The length of a frame takes 8 bytes, an Example's own tag and length at most 11.
        overhead = len(schema.features) * self._layout.heads.shape[1] + 32
        self._most_bytes = self.width * _MOST_VARINT + overhead

    def encode(self, rows: Ints) -> Bytes:
        """The frames of B records, one after another.

        Args:
          rows: int32 [B, width], the features side by side; float features as the bits of their
            float32, all others not negative.

        Raises:
          RecordError: another width or dtype, or a negative number.
        """
        if rows.dtype != np.int32:  # compiled code would write more than there is room for
            raise RecordError(f"Rows must be int32, but are {rows.dtype}. Convert them first.")
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise RecordError(
                f"Rows must have {self.width} numbers, one feature's after the other's; got shape "
                f"{list(rows.shape)}."
            )
        if not len(rows):
            return np.empty(0, np.uint8)
        frames = np.empty(len(rows) * self._most_bytes + _WORD, np.uint8)
        values = np.ascontiguousarray(rows).view(np.uint32).reshape(-1)
        starts, ends = np.empty((2, len(rows)), np.int64)
        size = _encode(values, *self._layout, frames, starts, ends)
        if size < 0:
            raise RecordError(
                f"Row {-size - 1} holds a negative number; rows in bulk hold ids, counts and "
                "flags. Use RecordSchema.encode_rows for others."
            )
        _sign(frames, starts, ends)
        return frames[:size]


@compiled
def _encode(
    values: Words,
    lengths: Longs,
    floats: npt.NDArray[np.bool_],
    first_heads: Longs,
    heads: Bytes,
    head_sizes: Longs,
    frames: Bytes,
    starts: Longs,
    ends: Longs,
) -> int:
    """Writes frames without the sums of their Examples, which are to be frames[starts : ends].

    Up to a word of garbage comes behind what is written last. Returns how many bytes were written,
    or -1 - the number of a row that cannot be.
    """
    features, width = len(lengths), heads.shape[1]
    all_heads = heads.reshape(-1)
    payloads, all_bits = np.empty(features, np.int64), np.empty(features, np.uint32)
    room = values.size // len(starts) + features
    pairs, sizes = np.empty(room, np.uint64), np.empty(room, np.uint64)
    low_varints, low_sizes = pairs.view(np.uint32), sizes.view(np.uint32)
    at = begin = 0
    for row in range(len(starts)):
        first, body, found = begin, 0, 0
        for feature in range(features):
            length = lengths[feature]
            if floats[feature]:
                payload = _FLOAT * length
            else:
                bits = _all_bits(values, begin, begin + length)
                if bits <= _LARGEST_VARINTS[0]:
                    payload = length
                elif bits <= _LARGEST_VARINTS[3]:
                    payload = _to_varints(values, begin, length, low_varints, low_sizes, 2 * found)
                    _join_pairs(pairs, sizes, found, found + (length + 1) // 2)
                    found += (length + 1) // 2
                elif bits < 1 << 31:
                    payload = _sum_of_sizes(values, begin, begin + length)
                else:
                    return -1 - row
                all_bits[feature] = bits
            payloads[feature] = payload
            body += head_sizes[np.uint64(first_heads[feature] + payload)] + payload
            begin += length
        starts[row] = at + _HEADER
        end = _write_tag(frames, at + _HEADER, 1, body)
        begin, found = first, 0
        for feature in range(features):
            length, payload = lengths[feature], payloads[feature]
            head = first_heads[feature] + payload
            _copy_words(all_heads, head * width, frames, end, head_sizes[np.uint64(head)])
            end += head_sizes[np.uint64(head)]
            if floats[feature]:
                for i in range(length):
                    store_4(frames, np.uint64(end + _FLOAT * i), values[np.uint64(begin + i)])
            elif payload == length:
                for i in range(length):
                    frames[np.uint64(end + i)] = values[np.uint64(begin + i)]
            elif all_bits[feature] <= _LARGEST_VARINTS[3]:
                place = end
                for i in range(found, found + (length + 1) // 2):
                    store_8(frames, np.uint64(place), pairs[np.uint64(i)])
                    place += sizes[np.uint64(i)]
                found += (length + 1) // 2
            else:
                place = end
                for i in range(begin, begin + length):
                    place = _write_varint(frames, place, np.int64(values[np.uint64(i)]))
            begin += length
            end += payload
        ends[row] = end
        _write_length(frames, at, end - at - _HEADER)
        at = end + _FOOTER
    return at


@compiled
def _sign(frames: Bytes, starts: Longs, ends: Longs) -> None:
    """Writes the sums of all Examples."""
    whole, sums = len(starts) // 4 * 4, np.empty(4, np.int64)
    for row in range(0, whole, 4):
        crc32c_of_four(frames, starts[row : row + 4], ends[row : row + 4], sums)
        for k in range(4):
            store_4(frames, np.uint64(ends[row + k]), _masked(sums[k]))
    for row in range(whole, len(starts)):
        crc = crc32c(frames, starts[row], ends[row])
        store_4(frames, np.uint64(ends[row]), _masked(crc))


@inlined
def _copy_words(source: Bytes, start: int, target: Bytes, at: int, size: int) -> None:
    """target[at : at + size] = source[start : start + size], and up to a word of garbage."""
    for word in range((size + _WORD - 1) // _WORD):
        ahead = np.uint64(_WORD * word)
        store_8(target, np.uint64(at) + ahead, load_8(source, np.uint64(start) + ahead))


@inlined
def _all_bits(values: Words, begin: int, end: int) -> np.uint32:
    """The bits that any of the values has set; numbers of one width are many at a time."""
    bits = np.uint32(0)
    for i in range(begin, end):
        bits = np.uint32(bits | values[np.uint64(i)])
    return bits


@inlined
def _to_varints(
    values: Words, begin: int, length: int, varints: Words, sizes: Words, at: int
) -> int:
    """Sets the varints, of at most four bytes, and their sizes in bytes; the sum of these.

    Behind an odd number of them comes one of no bytes.
    """
    total = np.uint32(0)
    varints[at + length], sizes[at + length] = 0, 0
    for i in range(length):
        value = values[np.uint64(begin + i)]
        two = np.uint32(value > _LARGEST_VARINTS[0])
        three = np.uint32(value > _LARGEST_VARINTS[1])
        four = np.uint32(value > _LARGEST_VARINTS[2])
        size = np.uint32(np.uint32(1) + two + three + four)
        varints[np.uint64(at + i)] = np.uint32(
            value & 0x7F
            | (value & 0x3F80) << 1
            | (value & 0x1FC000) << 2
            | (value & 0xFE00000) << 3
            | two << 7
            | three << 15
            | four << 23
        )
        sizes[np.uint64(at + i)] = size
        total = np.uint32(total + size)
    return np.int64(total)


@inlined
def _join_pairs(pairs: npt.NDArray[np.uint64], sizes: npt.NDArray[np.uint64], first: int, end: int) -> None:
    """Two varints in the halves of each word become one string of bytes."""
    for i in range(first, end):
        pair, size = pairs[np.uint64(i)], sizes[np.uint64(i)]
        low = size & np.uint64(0xF)
        pairs[np.uint64(i)] = pair & np.uint64(_ALL) | pair >> np.uint64(32) << (np.uint64(8) * low)
        sizes[np.uint64(i)] = low + (size >> np.uint64(32))


@compiled
def _sum_of_sizes(values: Words, begin: int, end: int) -> int:
    size = 0
    for i in range(begin, end):
        size += _varint_size(np.int64(values[np.uint64(i)]))
    return size


@compiled
def _varint_size(value: int) -> int:
    size = 1
    while value > 0x7F:
        value >>= 7
        size += 1
    return size


@compiled
def _delimited(size: int) -> int:
    """Bytes of a length-delimited field (numbers below 16) of `size` bytes."""
    return 1 + _varint_size(size) + size


@compiled
def _write_heads(name: Bytes, field: int, least: int, heads: Bytes, sizes: Longs) -> None:
    """The heads of a feature whose values take `least` bytes, one more, and so on."""
    for i in range(len(sizes)):
        payload = least + i
        listed = _delimited(payload)
        feature = _delimited(listed)
        head = heads[i]
        at = _write_tag(head, 0, 1, _delimited(len(name)) + _delimited(feature))
        at = _write_tag(head, at, 1, len(name))
        head[at : at + len(name)] = name
        at = _write_tag(head, at + len(name), 2, feature)
        at = _write_tag(head, at, field, listed)
        sizes[i] = _write_tag(head, at, 1, payload)


@inlined
def _write_varint(frames: Bytes, at: int, value: int) -> int:
    while value > 0x7F:
        frames[np.uint64(at)] = value & 0x7F | 0x80
        value >>= 7
        at += 1
    frames[np.uint64(at)] = value
    return at + 1


@inlined
def _write_tag(frames: Bytes, at: int, field: int, size: int) -> int:
    frames[np.uint64(at)] = field << 3 | _DELIMITED
    return _write_varint(frames, at + 1, size)


@inlined
def _write_length(frames: Bytes, at: int, length: int) -> None:
    """A frame's first 12 bytes."""
    store_8(frames, np.uint64(at), np.uint64(length))
    store_4(frames, np.uint64(at + _WORD), _masked(crc32c_of_word(np.uint64(length))))


@inlined
def _masked(crc: np.int64) -> np.uint32:
    """Rotated and shifted as TFRecord wants it."""
    return np.uint32((crc >> 15 | crc << 17) + _MASK_DELTA)
