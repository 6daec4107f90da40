"""The generator of `random.Random`, compiled: the Mersenne Twister, draw for draw.

The original draws everything from one `random.Random(seed)`, and its records can only be equal if
the same 32-bit words are used up in the same order. A twister starts from the state of such a
generator and goes on as it would; each function names the method that it stands for. Python does
the seeding.

A twister is one uint32 array, advanced in place:

    0 .. 623       the recurrence
    624 .. 1871    words as they are handed out, two rounds of the recurrence at most
    1872, 1873     where in the array the next word stands, and where their end is

Who draws much reserves words and then reads them side by side (`reserve`, `bits_at`): a call for
each costs more than the draw, as numba counts references to the array that it hands over. Indices
that cannot be negative are cast to unsigned, since numba else tests each for its sign.

Source: M. Matsumoto and T. Nishimura, "Mersenne Twister" (1998), MT19937; CPython's
Modules/_randommodule.c and Lib/random.py for how words become numbers.
"""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from data_prep.streams import GOLDEN, mixed

Twister = npt.NDArray[np.uint32]
Swaps = npt.NDArray[np.unsignedinteger[Any]]

_WORDS, _SHIFT = 624, 397
_READY = _WORDS
AT = 3 * _WORDS
END = AT + 1
_UPPER, _LOWER = np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_MATRIX = np.uint32(0x9908B0DF)
MOST_RESERVED = _WORDS
_SWAPS_AT_ONCE = 4096


def twister_of(rng: random.Random) -> Twister:
    """A twister that goes on where `rng` stands; `rng` itself is left as it is."""
    *words, at = rng.getstate()[1]
    twister = np.zeros(END + 1, np.uint32)
    twister[:_WORDS] = words
    _temper(twister, _READY)
    twister[AT], twister[END] = _READY + at, _READY + _WORDS
    return twister


@compiled
def _temper(twister: Twister, start: int) -> None:
    """The words of the recurrence as they are handed out, written from `start` on."""
    ready = twister[start : start + _WORDS]
    for i in range(_WORDS):
        word = twister[i]
        word ^= word >> np.uint32(11)
        word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
        word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
        word ^= word >> np.uint32(18)
        ready[i] = word


@inlined
def _recurrence(word: np.uint32, following: np.uint32, far: np.uint32) -> np.uint32:
    """The word that comes 624 later, from those that come 1 and 397 later."""
    both = (word & _UPPER) | (following & _LOWER)
    return far ^ (both >> np.uint32(1)) ^ ((np.uint32(0) - (both & np.uint32(1))) & _MATRIX)


@compiled
def _next_round(twister: Twister) -> None:
    """A round of the recurrence; distances are constants, so that eight words are made at once."""
    for i in range(_WORDS - _SHIFT):
        twister[i] = _recurrence(twister[i], twister[i + 1], twister[i + _SHIFT])
    for i in range(_WORDS - _SHIFT, _WORDS - 1):
        twister[i] = _recurrence(twister[i], twister[i + 1], twister[i + _SHIFT - _WORDS])
    # The last word is followed by the first.
    twister[_WORDS - 1] = _recurrence(twister[_WORDS - 1], twister[0], twister[_SHIFT - 1])


@compiled
def reserve(twister: Twister, count: int) -> np.int64:
    """Makes the next `count` words, MOST_RESERVED at most, stand side by side; where they start.

    Whoever reads them writes to `twister[AT]` where the next draw goes on.
    """
    at, end = np.int64(twister[AT]), np.int64(twister[END])
    left = end - at
    if left < count:
        for k in range(left):
            twister[np.uint64(_READY + k)] = twister[np.uint64(at + k)]
        _next_round(twister)
        _temper(twister, _READY + left)
        at = np.int64(_READY)
        twister[AT], twister[END] = at, at + left + _WORDS
    return at


@inlined
def bits_at(twister: Twister, at: int) -> np.int64:
    """The 53 bits of `Random.random`, from the two words at `at`; it is as many 2**-53."""
    high = np.int64(twister[np.uint64(at)]) >> 5
    return high << 26 | np.int64(twister[np.uint64(at + 1)]) >> 6


def bits_below(share: float) -> int:
    """What 53 bits must be below, for `Random.random` to be below `share`, from 0 to 1."""
    return math.ceil(math.ldexp(share, 53))


@compiled
def next_word(twister: Twister) -> np.int64:
    """The next 32 bits."""
    at = reserve(twister, 1)
    twister[AT] = at + 1
    return np.int64(twister[at])


@compiled
def getrandbits(twister: Twister, bits: int) -> np.int64:
    """`Random.getrandbits` for 1 to 62 bits: low words come first, and a word gives its top."""
    if bits <= 32:
        return next_word(twister) >> (32 - bits)
    low = next_word(twister)
    return (next_word(twister) >> (64 - bits)) << 32 | low


@inlined
def uniform(twister: Twister) -> float:
    """`Random.random`."""
    at = np.int64(twister[AT])
    if at + 2 > twister[END]:
        at = reserve(twister, 2)
    twister[AT] = at + 2
    return bits_at(twister, at) * (1.0 / 9007199254740992.0)


@inlined
def bit_length(value: int) -> int:
    """`int.bit_length` of a value that is not negative."""
    bits = 0
    while value >> bits:
        bits += 1
    return bits


@inlined
def below(twister: Twister, bound: int) -> np.int64:
    """`Random.randint(0, bound - 1)` and all that rests on it; 1 <= bound < 2**62."""
    bits = bit_length(bound)
    if bits > 32:
        value = getrandbits(twister, bits)
        while value >= bound:
            value = getrandbits(twister, bits)
        return value
    at, end, shift = np.int64(twister[AT]), np.int64(twister[END]), 32 - bits
    value = np.int64(bound)
    while value >= bound:
        if at == end:
            twister[AT] = at
            at = reserve(twister, 1)
            end = np.int64(twister[END])
        value = np.int64(twister[np.uint64(at)]) >> shift
        at += 1
    twister[AT] = at
    return value


@inlined
def draw_swaps(twister: Twister, start: int, end: int, swaps: Swaps, first: int) -> None:
    """The draws of `Random.shuffle` for items end - 1 down to `start`; 1 <= start, end < 2**32.

    It swaps item i with item swaps[first + i - start], the last one first. To draw them and to do
    them (elsewhere, later) takes no longer than both at once, where each waits for the other.

    A word that is too large for its place, nearly one in three, is drawn again. No branch decides
    it, as none could be foretold: such a word is written as well, and the place stays.
    """
    bits, last = bit_length(end), np.uint32(max(end, 1) - 1)
    before = np.uint64(first - start)
    at, behind = np.int64(twister[AT]), np.int64(twister[END])
    while last >= start:
        shift = np.uint32(32 - bits)
        # The last place that takes so many bits.
        lowest = np.uint32(max((np.int64(1) << (bits - 1)) - 1, np.int64(start)))
        while last >= lowest:
            if at == behind:
                twister[AT] = at
                at = reserve(twister, 1)
                behind = np.int64(twister[END])
            while at < behind and last >= lowest:
                drawn = np.uint32(twister[np.uint64(at)] >> shift)
                swaps[before + np.uint64(last)] = drawn
                last = np.uint32(last - np.uint32(1) + np.uint32(last < drawn))
                at += 1
        bits -= 1
    twister[AT] = at


@compiled
def shuffle(twister: Twister, items: npt.NDArray[np.integer]) -> None:
    """`Random.shuffle` of fewer than 2**32 items, in place."""
    swaps = np.empty(min(len(items), _SWAPS_AT_ONCE), np.uint32)
    end = len(items)
    while end > 1:
        start = max(end - len(swaps), 1)
        draw_swaps(twister, start, end, swaps, 0)
        for last in range(end - 1, start - 1, -1):
            i, j = np.uint64(last), np.uint64(swaps[np.uint64(last - start)])
            items[i], items[j] = items[j], items[i]
        end = start


@compiled
def reseed(twister: Twister, key: np.uint64) -> None:
    """Starts the stream of a key (`streams`), in a microsecond.

    The 624 words are SplitMix64's instead of those of `Random.seed`, which takes ten times as long:
    too long for each example. From there on it is the same generator.
    """
    for i in range(0, _WORDS, 2):
        word = mixed(key + np.uint64(i + 2) * GOLDEN)
        twister[i] = word & np.uint64(0xFFFFFFFF)
        twister[i + 1] = word >> np.uint64(32)
    _temper(twister, _READY)
    twister[AT], twister[END] = _READY, _READY + _WORDS


def new_twister() -> Twister:
    """A twister to `reseed`."""
    return np.zeros(END + 1, np.uint32)
