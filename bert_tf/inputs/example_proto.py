"""The wire format of tf.train.Example, written and read without TensorFlow or protobuf.

An Example is one map from feature names to lists of int64, float32 or bytes:

    Example.features(1) -> Features.feature(1)* -> entry{ key(1), value(2) }
    value = Feature{ bytes_list(1) | float_list(2) | int64_list(3) }, each List{ value(1)* }

Source: tensorflow/core/example/{example,feature}.proto and the protobuf encoding guide.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

FIELD_OF_KIND = {"bytes": 1, "float": 2, "int64": 3}
KIND_OF_FIELD = {field: kind for kind, field in FIELD_OF_KIND.items()}

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
# A 64-bit value has ten groups of seven bits at most.
_MAX_VARINT_BYTES = 10


class WireError(ValueError):
    """Bytes that are no tf.train.Example."""


def varint(value: int) -> bytes:
    """One unsigned value (< 2**64) in base 128, low group first."""
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def tagged(field: int, payload: bytes) -> bytes:
    """A length-delimited field."""
    return varint(field << 3 | _LENGTH) + varint(len(payload)) + payload


def pack_int64_rows(rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint8] | list[bytes]:
    """Packed varints of each row.

    Args:
      rows: integers [B, N]; negative values take ten bytes, as protobuf's two's complement does.

    Returns:
      uint8 [B, N] where each value takes one byte, else B byte strings.
    """
    smallest, largest = int(rows.min(initial=0)), int(rows.max(initial=0))
    if smallest >= 0 and largest < 0x80:
        return rows.astype(np.uint8)
    if smallest >= 0 and largest < 2**32:  # a quarter of the time for all that is a token id
        return _join_groups(rows.astype(np.uint32), largest)
    unsigned = rows.astype(np.int64).view(np.uint64)
    return _join_groups(unsigned, int(unsigned.max()))


def _join_groups(rest: npt.NDArray[np.uint32 | np.uint64], largest: int) -> list[bytes]:
    groups = -(-largest.bit_length() // 7)
    spread = np.empty((*rest.shape, groups), np.uint8)
    present = np.empty(spread.shape, bool)
    present[..., 0] = True
    sizes = np.full(len(rest), rest.shape[1])
    for group in range(groups):
        more = rest > 0x7F
        spread[..., group] = rest.astype(np.uint8) & 0x7F | more.view(np.uint8) << 7
        if group + 1 < groups:
            present[..., group + 1] = more
            sizes += np.count_nonzero(more, axis=1)
            rest = rest >> rest.dtype.type(7)
    data = spread[present].tobytes()
    ends = np.cumsum(sizes).tolist()
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


def pack_float_rows(rows: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.uint8]:
    """Packed little-endian float32 of each row of [B, N]: uint8 [B, 4 N]."""
    return np.ascontiguousarray(rows, "<f4").view(np.uint8)


@functools.lru_cache(maxsize=8192)  # a few hundred different sizes come again and again
def feature_prefix(name: str, kind: str, payload_bytes: int) -> bytes:
    """Everything of a map entry that stands before `payload_bytes` bytes of packed values."""
    packed = varint(1 << 3 | _LENGTH) + varint(payload_bytes)
    list_size = len(packed) + payload_bytes
    listed = varint(FIELD_OF_KIND[kind] << 3 | _LENGTH) + varint(list_size) + packed
    feature_size = len(listed) + payload_bytes
    key = tagged(1, name.encode())
    value = varint(2 << 3 | _LENGTH) + varint(feature_size) + listed
    return varint(1 << 3 | _LENGTH) + varint(len(key) + len(value) + payload_bytes) + key + value


def join_entries(fixed: list[npt.NDArray[np.uint8]], varying: list[list[bytes]]) -> list[bytes]:
    """B serialized examples of map entries.

    Args:
      fixed: entries that are equally long in all rows, uint8 [B, bytes] each.
      varying: the other entries, B byte strings each.
    """
    columns = list(varying)
    if fixed:
        block = np.concatenate(fixed, axis=1)
        data, width = block.tobytes(), block.shape[1]
        columns.append([data[at : at + width] for at in range(0, len(data), width)])
    bodies = list(map(b"".join, zip(*columns, strict=True)))
    heads = {size: tagged(1, bytes(size))[:-size] for size in set(map(len, bodies))}
    return [heads[len(body)] + body for body in bodies]


def parse_example(raw: bytes) -> dict[str, tuple[str, npt.NDArray[np.generic] | list[bytes]]]:
    """Names to (kind, values): int64 or float32 arrays, or a list of bytes.

    Kind is "none" for a feature without a list. Raises WireError where the bytes do not parse.
    """
    found: dict[str, tuple[str, npt.NDArray[np.generic] | list[bytes]]] = {}
    for field, features in _fields(raw):
        if field != 1 or not isinstance(features, bytes):
            continue
        for entry_field, entry in _fields(features):
            if entry_field != 1 or not isinstance(entry, bytes):
                continue
            parts = {number: part for number, part in _fields(entry) if isinstance(part, bytes)}
            name = parts.get(1, b"").decode("utf-8", "replace")
            found[name] = _parse_feature(parts.get(2, b""))
    return found


def _parse_feature(raw: bytes) -> tuple[str, npt.NDArray[np.generic] | list[bytes]]:
    result: tuple[str, npt.NDArray[np.generic] | list[bytes]] = ("none", [])
    for field, payload in _fields(raw):
        kind = KIND_OF_FIELD.get(field)
        if kind is None or not isinstance(payload, bytes):
            continue
        values = [value for number, value in _fields(payload) if number == 1]
        if kind == "bytes":
            result = (kind, [value for value in values if isinstance(value, bytes)])
        elif kind == "float":
            result = (kind, _floats(values))
        else:
            result = (kind, _integers(values))
    return result


def _floats(values: list[int | bytes]) -> npt.NDArray[np.float32]:
    if any(isinstance(value, int) and value >= 2**32 for value in values):
        raise WireError("a float takes more than 32 bits")
    data = b"".join(v if isinstance(v, bytes) else v.to_bytes(4, "little") for v in values)
    if len(data) % 4:
        raise WireError(f"a list of floats has {len(data)} bytes, which 4 does not divide")
    return np.frombuffer(data, "<f4")


def _integers(values: list[int | bytes]) -> npt.NDArray[np.int64]:
    data = b"".join(v if isinstance(v, bytes) else varint(v) for v in values)
    groups = np.frombuffer(data, np.uint8)
    last = groups < 0x80
    if last.all():
        return groups.astype(np.int64)
    if not last[-1]:
        raise WireError("a list of integers ends inside a value")
    ends = np.flatnonzero(last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    if int((ends - starts).max()) >= _MAX_VARINT_BYTES:
        raise WireError("an integer takes more than ten bytes")
    offsets = np.arange(len(groups)) - np.repeat(starts, ends - starts + 1)
    shifted = (groups & 0x7F).astype(np.uint64) << (7 * offsets).astype(np.uint64)
    return np.add.reduceat(shifted, starts).view(np.int64)


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) in order: bytes of delimited fields, integers of the others."""
    at, size = 0, len(raw)
    while at < size:
        key, at = _read_varint(raw, at)
        wire_type = key & 7
        if wire_type == _VARINT:
            number, at = _read_varint(raw, at)
            yield key >> 3, number
            continue
        if wire_type == _LENGTH:
            length, at = _read_varint(raw, at)
        elif wire_type in (_FIXED64, _FIXED32):
            length = 8 if wire_type == _FIXED64 else 4
        else:
            raise WireError(f"byte {at}: wire type {wire_type} does not exist here")
        if at + length > size:
            raise WireError(f"a field at byte {at} wants {length} bytes, {size - at} are left")
        part = raw[at : at + length]
        yield key >> 3, part if wire_type == _LENGTH else int.from_bytes(part, "little")
        at += length


def _read_varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for position in range(at, min(at + _MAX_VARINT_BYTES, len(raw))):
        group = raw[position]
        value |= (group & 0x7F) << shift
        if group < 0x80:
            return value, position + 1
        shift += 7
    raise WireError(f"the number at byte {at} has no end")
