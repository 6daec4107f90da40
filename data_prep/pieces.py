"""A vocabulary as compiled code reads it: pieces are looked up in hash tables.

One table has all pieces. Most words are short; pieces of up to 15 bytes have one more, whose keys
are numbers:

    short  uint64 [2**k, 4]  eight bytes of a piece; seven more, and 1 if it continues a word; its
                             id; and nothing, which keeps a row within a line of the processor's
                             cache. Zeros stand behind the bytes, and in a free slot; linear probing
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.tokenization import UNK_TOKEN, FullTokenizer
from bert_tf.unaligned import load_8
from data_prep.byte_table import LONGEST_KEY, ByteTable, table_of
from data_prep.eight_bytes import EIGHT, first_bytes

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Short = npt.NDArray[np.uint64]

START, LATER = 0, 1  # marks of pieces: where in a word they stand
NONE = -1
SHORT = 2 * EIGHT  # words of fewer bytes are looked up as numbers
MARK = np.uint64(1) << np.uint64(56)  # of what continues a word
_FIRST, _SECOND, _ID = np.uint64(0), np.uint64(1), np.uint64(2)
# Multiplicative hashing: the golden ratio times 2**64, and another odd number.
_GOLDEN, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
_SIEVE_BITS = 19
_CACHE_LINE = 64  # bytes


class Pieces(NamedTuple):
    """Vocabulary as compiled code reads it.

    Attributes:
      table: all pieces, marked by where they stand; those that continue a word without "##". None
        is longer than LONGEST_KEY.
      ids: int32, the id of each entry.
      short: pieces of fewer than SHORT bytes (see the module).
      shift: what leaves so many bits of a hash as number the slots of `short`.
      sieve: a bit for each 19 bits that the hash of one of them may begin with.
      longest: bytes of the longest piece.
      unknown: the id of [UNK].
    """

    table: ByteTable
    ids: Ints
    short: Short
    shift: np.uint64
    sieve: Short
    longest: int
    unknown: int


def pieces_of(tokenizer: FullTokenizer) -> Pieces:
    """The vocabulary of a tokenizer; longer pieces are for who finds a longer word."""
    vocab = tokenizer.vocab
    starts = "\n".join(vocab).encode().split(b"\n")  # ten times as fast as one by one
    starts_ids = np.fromiter(vocab.values(), np.int32, len(vocab))
    fits = np.fromiter(map(len, starts), np.int64, len(vocab)) <= LONGEST_KEY
    if not fits.all():
        starts, starts_ids = list(itertools.compress(starts, fits)), starts_ids[fits]
    goes_on = np.fromiter((key[:2] == b"##" for key in starts), bool, len(starts))
    keys = starts + [key[2:] for key in itertools.compress(starts, goes_on)]
    ids = np.concatenate([np.zeros(1, np.int32), starts_ids, starts_ids[goes_on]])
    marks = np.repeat(np.array([START, LATER], np.uint8), [len(starts), len(keys) - len(starts)])
    data = np.frombuffer(b"".join(keys) + bytes(SHORT), np.uint8)  # whoever reads the last reads on
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    short = rows_in_lines(1 << (2 * len(keys) + 1).bit_length(), 4)
    sieve, unknown = np.zeros(1 << (_SIEVE_BITS - 6), np.uint64), vocab[UNK_TOKEN]
    shift = np.uint64(65 - len(short).bit_length())
    _insert_all(short, shift, sieve, data, lengths, marks, ids)
    return Pieces(table_of(keys, marks), ids, short, shift, sieve, max(map(len, keys)), unknown)


def rows_in_lines(rows: int, columns: int) -> Short:
    """Zeros, uint64 [rows, columns], from the beginning of a line of the processor's cache on.

    Rows of 2, 4 or 8 columns then lie on one line each.
    """
    room = np.zeros(rows * columns + _CACHE_LINE // 8, np.uint64)
    first = -room.ctypes.data % _CACHE_LINE // 8
    return room[first : first + rows * columns].reshape(rows, columns)


@inlined
def hash_short(first: np.uint64, second: np.uint64) -> np.uint64:
    """The hash of up to sixteen bytes; its first bits are the best."""
    mixed = (first ^ (second * _OTHER)) * _GOLDEN
    return mixed ^ (mixed << np.uint64(32))


@inlined
def find_short(
    short: Short, shift: np.uint64, first: np.uint64, second: np.uint64, hashed: np.uint64
) -> np.int64:
    """The id of the piece that has these bytes; NONE where there is none.

    `hashed` is `hash_short` of them; `short` and `shift` are those of `Pieces`.
    """
    mask = np.uint64(len(short) - 1)
    place = hashed >> shift
    found = np.int64(NONE)
    while short[place, _FIRST] != np.uint64(0):
        if short[place, _FIRST] == first and short[place, _SECOND] == second:
            found = np.int64(short[place, _ID])
            break
        place = (place + np.uint64(1)) & mask
    return found


@inlined
def is_in(sieve: Short, hashed: np.uint64) -> bool:
    """False for nine in ten of the hashes that are no piece's."""
    place = hashed >> np.uint64(64 - _SIEVE_BITS)
    return (sieve[place >> np.uint64(6)] >> (place & np.uint64(63))) & np.uint64(1) != 0


@compiled
def _insert_all(
    short: Short,
    shift: np.uint64,
    sieve: Short,
    data: Bytes,
    lengths: Longs,
    marks: Bytes,
    ids: Ints,
) -> None:
    """Adds the keys that are short enough, which lie in `data` one after another."""
    mask, end = np.uint64(len(short) - 1), 0
    for i in range(len(lengths)):
        start, size = end, lengths[i]
        end += size
        if not 0 < size < SHORT:
            continue
        first = first_bytes(load_8(data, np.uint64(start)), min(size, EIGHT))
        second = first_bytes(load_8(data, np.uint64(start + EIGHT)), max(size - EIGHT, 0))
        if data[end - 1] == 0:  # would be taken for a shorter one; no word has such a byte
            continue
        second |= MARK * np.uint64(marks[i])
        hashed = hash_short(first, second)
        bit = hashed >> np.uint64(64 - _SIEVE_BITS)
        sieve[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        place = hashed >> shift
        while short[place, _FIRST] != np.uint64(0):
            place = (place + np.uint64(1)) & mask
        short[place, _FIRST], short[place, _SECOND] = first, second
        short[place, _ID] = np.uint64(ids[i + 1])
