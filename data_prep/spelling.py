"""Words into pieces, compiled: the longest piece first, as WordPiece has it.

Short words are numbers (see `pieces`), any others bytes. Words that are spelt come again: what was
spelt last is kept.

    spelt  uint64 [2**k, 8]  fifteen bytes of a word, how many pieces it has, and their ids, two in
                             each number; a word takes the place of another one
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import inlined, uncounted
from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD
from data_prep.byte_table import (
    HASH_SEEDS,
    LONGEST_KEY,
    Bytes,
    Slots,
    extend_hash,
    find,
    hash_bytes,
)
from data_prep.eight_bytes import EIGHT, first_bytes, without
from data_prep.pieces import (
    LATER,
    MARK,
    NONE,
    START,
    Ints,
    Pieces,
    Short,
    find_short,
    hash_short,
    is_in,
    rows_in_lines,
)

MOST_PIECES = 10  # of a word that is kept
_SPELT_BITS = 12
_WORDS = 1 << _SPELT_BITS
# Where things stand in a row.
_FIRST, _SECOND, _COUNT, _PIECES = np.uint64(0), np.uint64(1), np.uint64(2), 3


def no_words_spelt() -> Short:
    """A table `spelt` (see the module), empty."""
    return rows_in_lines(_WORDS, _PIECES + MOST_PIECES // 2)


@uncounted
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
    short, shift = pieces.short, pieces.shift
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
        mark = MARK
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

    There must be room for MOST_PIECES.
    """
    place = hashed >> np.uint64(64 - _SPELT_BITS)
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
    if end - at <= MOST_PIECES:
        place = hashed >> np.uint64(64 - _SPELT_BITS)
        spelt[place, _FIRST], spelt[place, _SECOND] = first, second
        spelt[place, _COUNT] = np.uint64(end - at)
        for i in range(0, end - at, 2):
            high = np.uint64(tokens[np.uint64(at + i + 1)]) if at + i + 1 < end else np.uint64(0)
            low = np.uint64(tokens[np.uint64(at + i)])
            spelt[place, np.uint64(_PIECES + (i >> 1))] = low | high << np.uint64(32)


@inlined
def write_word(
    word: Bytes,
    size: int,
    more: int,
    slots: Slots,
    keys: Bytes,
    ids: Ints,
    longest: int,
    unknown: int,
    tokens: Ints,
    count: int,
    prefixes: npt.NDArray[np.uint64],
) -> int:
    """Appends the tokens of a word, if there is one; the number of tokens."""
    entry = np.int64(0)
    spells = size > 0 and size - more <= MAX_INPUT_CHARS_PER_WORD
    if spells:
        hashed = hash_bytes(word, 0, min(size, LONGEST_KEY), START)
        entry = find(slots, keys, word, 0, size, START, hashed)
    if entry:
        tokens[np.uint64(count)] = ids[np.uint64(entry)]
        count += 1
    elif spells:
        count = _spell(word, size, slots, keys, ids, longest, unknown, tokens, count, prefixes)
    elif size:
        tokens[np.uint64(count)] = unknown
        count += 1
    return count


@uncounted
def _spell(
    word: Bytes,
    size: int,
    slots: Slots,
    keys: Bytes,
    ids: Ints,
    longest: int,
    unknown: int,
    tokens: Ints,
    count: int,
    prefixes: npt.NDArray[np.uint64],
) -> int:
    """Appends the pieces of a word, longest first, or [UNK]; the number of tokens after it."""
    first, start, mark = count, 0, START
    while start < size:
        length = min(longest, size - start)
        hashed = HASH_SEEDS[mark]
        for i in range(length):
            hashed = extend_hash(hashed, word[np.uint64(start + i)])
            prefixes[np.uint64(i)] = hashed
        entry = 0
        while length > 0:
            entry = find(slots, keys, word, start, length, mark, prefixes[np.uint64(length - 1)])
            if entry:
                break
            length -= 1
        if entry == 0:
            break
        tokens[np.uint64(count)] = ids[np.uint64(entry)]
        count += 1
        start += length
        mark = LATER
    if start < size:
        tokens[first] = unknown
        return first + 1
    return count
