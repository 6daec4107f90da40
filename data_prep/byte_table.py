"""A hash table of byte strings that compiled code can look into.

    slots  uint64 [2**k]           the hash but for its last 24 bits, and there the entry; 0 where
                                   free; linear probing
    keys   uint8 [entries, W + 2]  row e: length and mark of entry e, then its bytes, W at most

Entries count from 1, and what they mean is the owner's business. Keys of one spelling but
different marks (0 or 1) are different: a piece that starts a word and one that continues it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined

Bytes = npt.NDArray[np.uint8]
Slots = npt.NDArray[np.uint64]
Longs = npt.NDArray[np.int64]

_HEAD = 2
LONGEST_KEY = 255  # bytes; the length takes one
_ENTRY = np.uint64(0xFFFFFF)
# FNV-1a, 64 bits: a byte at a time, so that all prefixes of a word are hashed in one go.
HASH_SEEDS = np.array([0xCBF29CE484222325, 0x9E3779B97F4A7C15], np.uint64)  # by mark
_HASH_PRIME = np.uint64(0x100000001B3)


class ByteTable(NamedTuple):
    """The arrays of a table; see the module."""

    slots: Slots
    keys: Bytes


def table_of(keys: Sequence[bytes], marks: Bytes) -> ByteTable:
    """A table of different keys; key i, with marks[i], becomes entry i + 1.

    Raises:
      ValueError: a key is too long, or there are too many.
    """
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    width = int(lengths.max(initial=0))
    if width > LONGEST_KEY:
        raise ValueError(f"Keys may have {LONGEST_KEY} bytes, not {width}. Leave out longer ones.")
    if len(keys) > _ENTRY:
        raise ValueError(f"There may be {_ENTRY} keys, not {len(keys)}. Leave out rare ones.")
    table = ByteTable(
        np.zeros(1 << (2 * len(keys) + 1).bit_length(), np.uint64),
        np.zeros((len(keys) + 1, width + _HEAD), np.uint8),
    )
    _insert_all(table.slots, table.keys, np.frombuffer(b"".join(keys), np.uint8), lengths, marks)
    return table


@inlined
def extend_hash(so_far: np.uint64, byte: int) -> np.uint64:
    """The hash of some bytes (HASH_SEEDS[mark] for none) and one more."""
    return (so_far ^ np.uint64(byte)) * _HASH_PRIME


@compiled
def hash_bytes(data: Bytes, start: int, end: int, mark: int) -> np.uint64:
    """The hash of data[start:end]."""
    value = HASH_SEEDS[mark]
    for i in range(start, end):
        value = extend_hash(value, data[np.uint64(i)])
    return value


# Inlined, since compiled code counts references to each array that it passes to a function; the
# casts spare tests for negative indices. Both together make looking up ten times as fast.
@inlined
def find(
    slots: Slots, keys: Bytes, data: Bytes, start: int, length: int, mark: int, hashed: np.uint64
) -> np.int64:
    """The entry of data[start:start + length] with `mark`; 0 where there is none.

    `hashed` is what `hash_bytes` gives for it.
    """
    mask = np.uint64(len(slots) - 1)
    place = (hashed ^ (hashed >> np.uint64(29))) & mask
    found = np.int64(0)
    while True:
        slot = slots[place]
        if slot == np.uint64(0):
            break
        if (slot ^ hashed) <= _ENTRY:
            row = slot & _ENTRY
            if keys[row, np.uint64(0)] == length and keys[row, np.uint64(1)] == mark:
                same = True
                for i in range(length):
                    if keys[row, np.uint64(i + _HEAD)] != data[np.uint64(start + i)]:
                        same = False
                if same:
                    found = np.int64(row)
                    break
        place = (place + np.uint64(1)) & mask
    return found


@compiled
def _insert_all(slots: Slots, keys: Bytes, data: Bytes, lengths: Longs, marks: Bytes) -> None:
    """Adds keys, which lie in `data` one after another, as entries from 1 on."""
    mask = np.uint64(len(slots) - 1)
    start = 0
    for i in range(len(lengths)):
        entry, end = i + 1, start + lengths[i]
        keys[entry, 0], keys[entry, 1] = lengths[i], marks[i]
        keys[entry, _HEAD : _HEAD + lengths[i]] = data[start:end]
        hashed = hash_bytes(data, start, end, marks[i])
        place = (hashed ^ (hashed >> np.uint64(29))) & mask
        while slots[place] != np.uint64(0):
            place = (place + np.uint64(1)) & mask
        slots[place] = (hashed & ~_ENTRY) | np.uint64(entry)
        start = end
