"""A vocabulary as compiled code reads it: pieces are looked up in hash tables.

One table has all pieces. Most words are short and pieces themselves; these have one more, whose
keys are numbers:

    short  uint64 [2**k, 2]  the eight bytes of a piece, zeros behind it, and its id; a key of 0
                             where the slot is free; linear probing
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.tokenization import UNK_TOKEN, FullTokenizer
from data_prep.byte_table import LONGEST_KEY, ByteTable, table_of
from data_prep.eight_bytes import EIGHT

Short = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int32]

START, LATER = 0, 1  # marks of pieces: where in a word they stand
NONE = -1
# Knuth's multiplicative hashing: the golden ratio times 2**64.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_KEY, _ID = np.uint64(0), np.uint64(1)


class Pieces(NamedTuple):
    """Vocabulary as compiled code reads it.

    Attributes:
      table: all pieces, marked by where they stand; those that continue a word without "##". None
        is longer than LONGEST_KEY.
      ids: int32, the id of each entry.
      short: pieces of up to eight bytes that start a word (see the module).
      longest: bytes of the longest piece.
      unknown: the id of [UNK].
    """

    table: ByteTable
    ids: Ints
    short: Short
    longest: int
    unknown: int


def pieces_of(tokenizer: FullTokenizer) -> Pieces:
    """The vocabulary of a tokenizer; longer pieces are for who finds a longer word."""
    vocab = tokenizer.vocab
    spelt = [(token.encode(), index) for token, index in vocab.items()]
    starts = [(key, index) for key, index in spelt if len(key) <= LONGEST_KEY]
    later = [(key[2:], index) for key, index in starts if key.startswith(b"##")]
    keys = [key for key, _ in starts + later]
    marks = np.repeat(np.array([START, LATER], np.uint8), [len(starts), len(later)])
    ids = np.array([0, *(index for _, index in starts + later)], np.int32)
    return Pieces(
        table_of(keys, marks), ids, _short_of(starts), max(map(len, keys)), vocab[UNK_TOKEN]
    )


def _short_of(starts: list[tuple[bytes, int]]) -> Short:
    found = [(key.ljust(EIGHT, b"\0"), index) for key, index in starts if len(key) <= EIGHT]
    keys = np.frombuffer(b"".join(key for key, _ in found), "<u8")
    short = np.zeros((1 << (2 * len(found) + 1).bit_length(), 2), np.uint64)
    _insert_all(short, keys, np.array([index for _, index in found], np.uint64))
    return short


@inlined
def find_short(short: Short, shift: np.uint64, key: np.uint64) -> np.int64:
    """The id of the piece whose bytes are `key`, which is not 0; NONE where there is none.

    `shift` is `shift_of(short)`.
    """
    mask = np.uint64(len(short) - 1)
    place = (key * _GOLDEN) >> shift
    while short[place, _KEY] != key and short[place, _KEY] != np.uint64(0):
        place = (place + np.uint64(1)) & mask
    return np.int64(short[place, _ID]) if short[place, _KEY] == key else np.int64(NONE)


@compiled
def shift_of(short: Short) -> np.uint64:
    """What leaves so many bits of a hash as number the slots."""
    shift = np.uint64(64)
    while len(short) >> (np.uint64(64) - shift) > 1:
        shift -= np.uint64(1)
    return shift


@compiled
def _insert_all(short: Short, keys: Short, ids: Short) -> None:
    mask, shift = np.uint64(len(short) - 1), shift_of(short)
    for i in range(len(keys)):
        place = (keys[i] * _GOLDEN) >> shift
        while short[place, _KEY] != np.uint64(0):
            place = (place + np.uint64(1)) & mask
        short[place, _KEY], short[place, _ID] = keys[i], ids[i]
