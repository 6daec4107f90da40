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
from bert_tf.inputs.checksums import crc32c
from bert_tf.inputs.example_proto import FIELD_OF_KIND
from bert_tf.inputs.record_schema import RecordError, RecordSchema

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

_HEADER, _FOOTER = 12, 4
_MOST_VARINT = 5  # bytes of an int32 that is not negative
_LARGEST_VARINTS = (0x7F, 0x3FFF, 0x1FFFFF, 0xFFFFFFF)  # of one to four bytes
_FLOAT = 4
_FLOAT_FIELD = FIELD_OF_KIND["float"]
# Tags and lengths around a feature's values, beside its name: four levels of at most a tag and a
# length each, and the entry's own.
_MOST_OVERHEAD = 6 * (1 + _MOST_VARINT)
_DELIMITED = 2  # wire type of a length-delimited field
_MASK_DELTA = 0xA282EAD8


class _Layout(NamedTuple):
    """A schema as compiled code reads it.

    Attributes:
      names: uint8, the names of all features one after another.
      name_ends: int64 [F].
      lengths: int64 [F], values of each feature.
      fields: int64 [F], the number of the feature's list in tf.train.Feature.
    """

    names: Bytes
    name_ends: Longs
    lengths: Longs
    fields: Longs


class FrameEncoder:
    """Encodes rows of one schema.

    Attributes:
      width: how many numbers a row has: the lengths of all features.
    """

    def __init__(self, schema: RecordSchema) -> None:
        names = [feature.name.encode() for feature in schema.features]
        lengths = [feature.length for feature in schema.features]
        self.width = sum(lengths)
        self._layout = _Layout(
            np.frombuffer(b"".join(names), np.uint8),
            np.cumsum([len(name) for name in names]),
            np.array(lengths, np.int64),
            np.array([FIELD_OF_KIND[feature.kind] for feature in schema.features], np.int64),
        )
        # The length of a frame takes 8 bytes, an Example's own tag and length at most 11.
        overhead = sum(map(len, names)) + len(names) * _MOST_OVERHEAD + 32
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
        frames = np.empty(len(rows) * self._most_bytes, np.uint8)
        size = _encode(rows, *self._layout, frames)
        if size < 0:
            raise RecordError(
                f"Row {-size - 1} holds a negative number; rows in bulk hold ids, counts and "
                "flags. Use RecordSchema.encode_rows for others."
            )
        return frames[:size]


@compiled
def _encode(
    rows: Ints, names: Bytes, name_ends: Longs, lengths: Longs, fields: Longs, frames: Bytes
) -> int:
    """Writes all frames; how many bytes, or -1 - the number of a row that cannot be written."""
    features = len(lengths)
    payloads = np.empty(features, np.int64)
    at = 0
    for row in range(len(rows)):
        begin, body = 0, 0
        for feature in range(features):
            values = rows[row, begin : begin + lengths[feature]]
            payloads[feature] = _payload_size(values, fields[feature])
            if payloads[feature] < 0:
                return -1 - row
            body += _entry_size(_name_size(name_ends, feature), payloads[feature])
            begin += lengths[feature]
        start = at + _HEADER
        end = _write_tag(frames, start, 1, body)
        begin = 0
        for feature in range(features):
            name = names[name_ends[feature] - _name_size(name_ends, feature) : name_ends[feature]]
            values = rows[row, begin : begin + lengths[feature]]
            end = _write_feature(frames, end, name, values, fields[feature], payloads[feature])
            begin += lengths[feature]
        _write_fixed(frames, at, end - start, 8)
        _write_fixed(frames, at + 8, _masked_crc(frames, at, at + 8), 4)
        _write_fixed(frames, end, _masked_crc(frames, start, end), 4)
        at = end + _FOOTER
    return at


@inlined
def _name_size(name_ends: Longs, feature: int) -> int:
    return name_ends[feature] - (name_ends[feature - 1] if feature else 0)


@compiled
def _payload_size(values: Ints, field: int) -> int:
    """Bytes of the packed values; -1 where one is negative."""
    if field == _FLOAT_FIELD:
        return _FLOAT * len(values)
    # Loops without a branch, of one kind of number: many values at a time.
    bits = np.int32(0)
    for i in range(len(values)):
        bits |= values[np.uint64(i)]
    if bits < 0:
        return -1
    size = len(values)
    for bound in _LARGEST_VARINTS:
        if bits <= bound:
            break
        longer = np.int32(0)
        for i in range(len(values)):
            longer += np.int32(values[np.uint64(i)] > bound)
        size += int(longer)
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
def _entry_size(name: int, payload: int) -> int:
    """Bytes of a map entry as a field of its own."""
    value = _delimited(_delimited(_delimited(payload)))
    return _delimited(_delimited(name) + value)


@compiled
def _write_feature(
    frames: Bytes, at: int, name: Bytes, values: Ints, field: int, payload: int
) -> int:
    """One map entry; the end of it."""
    listed = _delimited(payload)
    feature = _delimited(listed)
    at = _write_tag(frames, at, 1, _delimited(len(name)) + _delimited(feature))
    at = _write_tag(frames, at, 1, len(name))
    for byte in name:
        frames[np.uint64(at)] = byte
        at += 1
    at = _write_tag(frames, at, 2, feature)
    at = _write_tag(frames, at, field, listed)
    at = _write_tag(frames, at, 1, payload)
    if field == _FLOAT_FIELD:
        for value in values:
            _write_fixed(frames, at, np.int64(value), _FLOAT)
            at += _FLOAT
    elif payload == len(values):
        for i in range(len(values)):
            frames[np.uint64(at + i)] = values[i]
        at += payload
    else:
        for value in values:
            if value < 1 << 21:
                # Bytes that the value does not need are written over by the next one: how many it
                # takes cannot be foretold, so no branch should ask.
                frames[np.uint64(at)] = value & 0x7F | (value > 0x7F) << 7
                frames[np.uint64(at + 1)] = value >> 7 & 0x7F | (value > 0x3FFF) << 7
                frames[np.uint64(at + 2)] = value >> 14
                at += 1 + (value > 0x7F) + (value > 0x3FFF)
            else:
                at = _write_varint(frames, at, np.int64(value))
    return at


@inlined
def _write_varint(frames: Bytes, at: int, value: int) -> int:
    while value > 0x7F:
        frames[np.uint64(at)] = value & 0x7F | 0x80
        value >>= 7
        at += 1
    frames[np.uint64(at)] = value
    return at + 1


@compiled
def _write_tag(frames: Bytes, at: int, field: int, size: int) -> int:
    frames[np.uint64(at)] = field << 3 | _DELIMITED
    return _write_varint(frames, at + 1, size)


@inlined
def _write_fixed(frames: Bytes, at: int, value: int, size: int) -> None:
    for i in range(size):
        frames[np.uint64(at + i)] = value >> (8 * i) & 0xFF


@compiled
def _masked_crc(data: Bytes, start: int, end: int) -> np.int64:
    """CRC-32C of data[start:end], rotated and shifted as TFRecord wants it."""
    whole = crc32c(data, start, end)
    return ((whole >> 15 | whole << 17) + _MASK_DELTA) & 0xFFFFFFFF
