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

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined, uncounted
from bert_tf.inputs.checksums import crc32c, crc32c_of_four, crc32c_of_word
from bert_tf.inputs.frame_layout import (
    FLOAT,
    MOST_VARINT,
    WORD,
    layout_of,
    varint_size,
    write_tag,
    write_varint,
)
from bert_tf.inputs.record_schema import RecordError, RecordSchema
from bert_tf.unaligned import load_8, store_4, store_8

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]
Pairs = npt.NDArray[np.uint64]

_HEADER, _FOOTER = 12, 4
_LARGEST_VARINTS = (0x7F, 0x3FFF, 0x1FFFFF, 0xFFFFFFF)  # of one to four bytes
_MASK_DELTA = 0xA282EAD8
_LOW_HALF = 0xFFFFFFFF  # of a word
# How values are written: as they are; as a byte each; as varints of up to four bytes, or five.
_FLOATS, _BYTES, _VARINTS, _LONG, _NEGATIVE = range(5)


class FrameEncoder:
    """Encodes rows of one schema.

    Attributes:
      width: how many numbers a row has: the lengths of all features.
    """

    def __init__(self, schema: RecordSchema) -> None:
        self._layout = layout_of(schema)
        self.width = int(self._layout.lengths.sum())
        # The length of a frame takes 8 bytes, an Example's own tag and length at most 11.
        overhead = len(schema.features) * self._layout.heads.shape[1] + 32
        self._most_bytes = self.width * MOST_VARINT + overhead

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
        frames = np.empty(len(rows) * self._most_bytes + WORD, np.uint8)
        values = np.ascontiguousarray(rows).view(np.uint32).reshape(-1)
        starts, ends = np.empty((2, len(rows)), np.int64)
        size = self._write(values, frames, starts, ends)
        if size < 0:
            raise RecordError(
                f"Row {-size - 1} holds a negative number; rows in bulk hold ids, counts and "
                "flags. Use RecordSchema.encode_rows for others."
            )
        _sign(frames, starts, ends)
        return frames[:size]

    def _write(self, values: Words, frames: Bytes, starts: Longs, ends: Longs) -> int:
        """`_encode`, with room for what it keeps of a row."""
        features = len(self._layout.lengths)
        numbers = np.empty((2, features), np.int64)
        varints = np.empty((2, self.width + features), np.uint64)
        size = _encode(values, *self._layout, frames, starts, ends, *numbers, *varints)
        return int(size)


@uncounted
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
    kinds: Longs,
    payloads: Longs,
    pairs: Pairs,
    sizes: Pairs,
) -> int:
    """Writes frames without the sums of their Examples, which are to be frames[starts : ends].

    Up to a word of garbage comes behind what is written last. `kinds` and `payloads`, int64
    [features], and `pairs` and `sizes`, uint64 [width + features], are scratch. Returns how many
    bytes were written, or -1 - the number of a row that cannot be.
    """
    features, head_width = len(lengths), heads.shape[1]
    all_heads = heads.reshape(-1)
    varints, varint_sizes = pairs.view(np.uint32), sizes.view(np.uint32)
    at = begin = 0
    for row in range(len(starts)):
        first, body, found = begin, 0, 0
        for feature in range(features):
            length = lengths[feature]
            kind = _kind_of(values, begin, length, floats[feature])
            if kind == _NEGATIVE:
                return -1 - row
            if kind == _VARINTS:
                payload = _to_varints(values, begin, length, varints, varint_sizes, 2 * found)
                _join_pairs(pairs, sizes, found, found + (length + 1) // 2)
                found += (length + 1) // 2
            else:
                payload = _payload_size(kind, values, begin, length)
            kinds[feature], payloads[feature] = kind, payload
            body += head_sizes[np.uint64(first_heads[feature] + payload)] + payload
            begin += length
        starts[row] = at + _HEADER
        end = write_tag(frames, at + _HEADER, 1, body)
        begin, found = first, 0
        for feature in range(features):
            length, kind, payload = lengths[feature], kinds[feature], payloads[feature]
            head = first_heads[feature] + payload
            _copy_words(all_heads, head * head_width, frames, end, head_sizes[np.uint64(head)])
            end += head_sizes[np.uint64(head)]
            if kind == _VARINTS:
                _write_pairs(pairs, sizes, found, found + (length + 1) // 2, frames, end)
                found += (length + 1) // 2
            else:
                _write_values(kind, values, begin, length, frames, end)
            begin += length
            end += payload
        ends[row] = end
        _write_length(frames, at, end - at - _HEADER)
        at = end + _FOOTER
    return at


@inlined
def _kind_of(values: Words, begin: int, length: int, is_float: bool) -> int:
    """How a feature's values are written."""
    kind = _FLOATS
    if not is_float:
        # All bits that any value has set: of numbers of one width, many are read at a time.
        bits = np.uint32(0)
        for i in range(begin, begin + length):
            bits = np.uint32(bits | values[np.uint64(i)])
        if bits <= _LARGEST_VARINTS[0]:
            kind = _BYTES
        elif bits <= _LARGEST_VARINTS[3]:
            kind = _VARINTS
        else:
            kind = _LONG if bits < 1 << 31 else _NEGATIVE
    return kind


@inlined
def _payload_size(kind: int, values: Words, begin: int, length: int) -> int:
    """Bytes of a feature's values, but for _VARINTS."""
    size = FLOAT * length if kind == _FLOATS else length
    if kind == _LONG:
        for i in range(begin, begin + length):
            size += varint_size(np.int64(values[np.uint64(i)])) - 1
    return size


@inlined
def _write_values(
    kind: int, values: Words, begin: int, length: int, frames: Bytes, at: int
) -> None:
    """As `_payload_size`."""
    if kind == _FLOATS:
        for i in range(length):
            store_4(frames, np.uint64(at + FLOAT * i), values[np.uint64(begin + i)])
    elif kind == _BYTES:
        for i in range(length):
            frames[np.uint64(at + i)] = values[np.uint64(begin + i)]
    else:
        for i in range(begin, begin + length):
            at = write_varint(frames, at, np.int64(values[np.uint64(i)]))


@inlined
def _to_varints(
    values: Words, begin: int, length: int, varints: Words, sizes: Words, at: int
) -> np.int64:
    """Sets the varints, of at most four bytes, and their sizes in bytes; the sum of these.

    Behind an odd number of them comes one of no bytes. All numbers keep 32 bits, so that eight fit
    a register.
    """
    total = np.uint32(0)
    varints[np.uint64(at + length)] = sizes[np.uint64(at + length)] = 0
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
def _join_pairs(pairs: Pairs, sizes: Pairs, first: int, end: int) -> None:
    """The varints in both halves of a word become one string of bytes, and so do their sizes."""
    for i in range(first, end):
        pair, size = pairs[np.uint64(i)], sizes[np.uint64(i)]
        low = size & np.uint64(0xF)
        ahead = np.uint64(8) * low
        pairs[np.uint64(i)] = pair & np.uint64(_LOW_HALF) | pair >> np.uint64(32) << ahead
        sizes[np.uint64(i)] = low + (size >> np.uint64(32))


@inlined
def _write_pairs(pairs: Pairs, sizes: Pairs, first: int, end: int, frames: Bytes, at: int) -> None:
    """Whole words, each over the bytes that the last one did not need: no branch asks for sizes."""
    place = np.uint64(at)
    for i in range(first, end):
        store_8(frames, place, pairs[np.uint64(i)])
        place += sizes[np.uint64(i)]


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
    for word in range((size + WORD - 1) // WORD):
        ahead = np.uint64(WORD * word)
        store_8(target, np.uint64(at) + ahead, load_8(source, np.uint64(start) + ahead))


@inlined
def _write_length(frames: Bytes, at: int, length: int) -> None:
    """A frame's first 12 bytes."""
    store_8(frames, np.uint64(at), np.uint64(length))
    store_4(frames, np.uint64(at + WORD), _masked(crc32c_of_word(np.uint64(length))))


@inlined
def _masked(crc: np.int64) -> np.uint32:
    """Rotated and shifted as TFRecord wants it."""
    return np.uint32((crc >> 15 | crc << 17) + _MASK_DELTA)
