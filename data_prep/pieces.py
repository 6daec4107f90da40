"""A vocabulary as compiled code reads it: pieces are looked up in hash tables.

One table has all pieces. Most words are short; pieces of up to 15 bytes have one more, whose keys
are numbers:

    short  uint64 [2**k, 4]  eight bytes of a piece; seven more, and 1 if it continues a word; its
                             id; and nothing, which keeps a row within a line of the processor's
                             cache. Zeros stand behind the bytes, and in a free slot; linear probing

Words that are spelt come again as well. What was spelt last is kept:

    spelt  uint64 [2**k, 8]  fifteen bytes of a word, how many pieces it has, and their ids, two in
                             each number; a word takes the place of another one
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
from data_prep.eight_bytes import EIGHT, first_bytes, without

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Short = npt.NDArray[np.uint64]

START, LATER = 0, 1  # marks of pieces: where in a word they stand
NONE = -1
SHORT = 2 * EIGHT  # words of fewer bytes are looked up as numbers
_MARK = np.uint64(1) << np.uint64(56)  # of what continues a word
_FIRST, _SECOND, _ID = np.uint64(0), np.uint64(1), np.uint64(2)
# Multiplicative hashing: the golden ratio times 2**64, and another odd number.
_GOLDEN, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
# Of `spelt`: its rows, where things stand in a row, and the most pieces.
_SIEVE_BITS = 19
_SPELT_BITS = np.uint64(12)
_COUNT, _PIECES = np.uint64(2), 3
_MOST_PIECES = 10


class Pieces(NamedTuple):
    """Vocabulary as compiled code reads it.

    Attributes:
      table: all pieces, marked by where they stand; those that continue a word without "##". None
        is longer than LONGEST_KEY.
      ids: int32, the id of each entry.
      short: pieces of fewer than SHORT bytes (see the module).
      sieve: a bit for each 19 bits that the hash of one of them may begin with.
      longest: bytes of the longest piece.
      unknown: the id of [UNK].
    """

    table: ByteTable
    ids: Ints
    short: Short
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
    short, sieve = _short_of(keys, marks, ids)
    longest = max(map(len, keys))
    return Pieces(table_of(keys, marks), ids, short, sieve, longest, vocab[UNK_TOKEN])


def _short_of(keys: list[bytes], marks: Bytes, ids: Ints) -> tuple[Short, Short]:
    short = np.zeros((1 << (2 * len(keys) + 1).bit_length(), 4), np.uint64)
    sieve = np.zeros(1 << (_SIEVE_BITS - 6), np.uint64)
    data = np.frombuffer(b"".join(keys) + bytes(SHORT), np.uint8)  # whoever reads the last reads on
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    _insert_all(short, sieve, data, lengths, marks, ids)
    return short, sieve


def no_words_spelt() -> Short:
    """A table `spelt` (see the module), empty."""
    return np.zeros((1 << _SPELT_BITS, _PIECES + _MOST_PIECES // 2), np.uint64)


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

    `hashed` is `hash_short` of them, `shift` is `shift_of(short)`.
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


@compiled
def shift_of(short: Short) -> np.uint64:
    """What leaves so many bits of a hash as number the slots."""
    shift = np.uint64(64)
    while len(short) >> (np.uint64(64) - shift) > 1:
        shift -= np.uint64(1)
    return shift


@inlined
def is_in(sieve: Short, hashed: np.uint64) -> bool:
    """False for nine in ten of the hashes that are no piece's."""
    place = hashed >> np.uint64(64 - _SIEVE_BITS)
    return (sieve[place >> np.uint64(6)] >> (place & np.uint64(63))) & np.uint64(1) != 0


@compiled
def _insert_all(
    short: Short, sieve: Short, data: Bytes, lengths: Longs, marks: Bytes, ids: Ints
) -> None:
    """Adds the keys that are short enough, which lie in `data` one after another."""
    mask, shift, end = np.uint64(len(short) - 1), shift_of(short), 0
    for i in range(len(lengths)):
        start, size = end, lengths[i]
        end += size
        if not 0 < size < SHORT:
            continue
        first = first_bytes(load_8(data, np.uint64(start)), min(size, EIGHT))
        second = first_bytes(load_8(data, np.uint64(start + EIGHT)), max(size - EIGHT, 0))
        if data[end - 1] == 0:  # would be taken for a shorter one; no word has such a byte
            continue
        second |= _MARK * np.uint64(marks[i])
        hashed = hash_short(first, second)
        bit = hashed >> np.uint64(64 - _SIEVE_BITS)
        sieve[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        place = hashed >> shift
        while short[place, _FIRST] != np.uint64(0):
            place = (place + np.uint64(1)) & mask
        short[place, _FIRST], short[place, _SECOND] = first, second
        short[place, _ID] = np.uint64(ids[i + 1])


@compiled
def spell_short(
    first: np.uint64,
    second: np.uint64,
    size: int,
    pieces: Pieces,
    spelt: Short,
    tokens: Ints,
    at: int,
) -> int:
    """Writes the pieces of a word, longest first, or [UNK], and keeps them; how many.

    Args:
      first: its bytes, zeros behind them.
      second: those after the first eight.
      size: fewer than SHORT.
      pieces: the vocabulary.
      spelt: where it is kept.
      tokens: written from `at` on.
      at: where to.
    """
    short, shift = pieces.short, shift_of(pieces.short)
    whole, more, mark, end = first, second, np.uint64(0), at
    while size:
        length, found = size, np.int64(NONE)
        while length and found < 0:
            head = first_bytes(first, min(length, EIGHT))
            tail = first_bytes(second, max(length - EIGHT, 0)) | mark
            hashed = hash_short(head, tail)
            if is_in(pieces.sieve, hashed):
                found = find_short(short, shift, head, tail, hashed)
            length -= int(found < 0)
        if not length:
            tokens[np.uint64(at)] = pieces.unknown
            end = at + 1
            break
        tokens[np.uint64(end)] = found
        end += 1
        size -= length
        first, second = without(first, second, length), without(second, np.uint64(0), length)
        mark = _MARK
    remember(spelt, whole, more, hash_short(whole, more), tokens, at, end)
    return end - at


@inlined
def recall(
    spelt: Short,
    first: np.uint64,
    second: np.uint64,
    hashed: np.uint64,
    tokens: Ints,
    at: int,
) -> np.int64:
    """Writes the pieces of a word that was spelt, from tokens[at] on; how many, 0 if unknown.

    There must be room for _MOST_PIECES.
    """
    place = hashed >> (np.uint64(64) - _SPELT_BITS)
    count = np.int64(0)
    if spelt[place, _FIRST] == first and spelt[place, _SECOND] == second:
        count = np.int64(spelt[place, _COUNT])
        for i in range(count):
            pair = spelt[place, np.uint64(_PIECES + (i >> 1))]
            tokens[np.uint64(at + i)] = np.int32(pair >> np.uint64(32 * (i & 1)))
    return count


@inlined
def remember(
    spelt: Short,
    first: np.uint64,
    second: np.uint64,
    hashed: np.uint64,
    tokens: Ints,
    at: int,
    end: int,
) -> None:
    """Keeps tokens[at:end] as the pieces of a word, if they are few."""
    if end - at <= _MOST_PIECES:
        place = hashed >> (np.uint64(64) - _SPELT_BITS)
        spelt[place, _FIRST], spelt[place, _SECOND] = first, second
        spelt[place, _COUNT] = np.uint64(end - at)
        for i in range(0, end - at, 2):
            high = np.uint64(tokens[np.uint64(at + i + 1)]) if at + i + 1 < end else np.uint64(0)
            low = np.uint64(tokens[np.uint64(at + i)])
            spelt[place, np.uint64(_PIECES + (i >> 1))] = low | high << np.uint64(32)
