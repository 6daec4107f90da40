"""The generator of `random.Random`, compiled: the Mersenne Twister, draw for draw.

The original draws everything from one `random.Random(seed)`, and its records can only be equal if
the same 32-bit words are used up in the same order. A twister starts from the state of such a
generator and goes on as it would; each function names the method that it stands for. Python does
the seeding.

A twister is one uint32 array [1249], advanced in place:

    0 .. 623      the recurrence
    624 .. 1247   the same words tempered, as they are handed out
    1248          how many of these are used up

Indices that cannot be negative are cast to unsigned, since numba else tests each for its sign.

Source: M. Matsumoto and T. Nishimura, "Mersenne Twister" (1998), MT19937; CPython's
Modules/_randommodule.c and Lib/random.py for how words become numbers.
"""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.streams import GOLDEN, mixed

Twister = npt.NDArray[np.uint32]

_WORDS, _SHIFT = 624, 397
_AT = 2 * _WORDS
_UPPER, _LOWER, _MATRIX = 0x80000000, 0x7FFFFFFF, 0x9908B0DF


def twister_of(rng: random.Random) -> Twister:
    """A twister that goes on where `rng` stands; `rng` itself is left as it is."""
    *words, at = rng.getstate()[1]
    twister = np.zeros(_AT + 1, np.uint32)
    twister[:_WORDS] = words
    _temper(twister)
    twister[_AT] = at
    return twister


@compiled
def _temper(twister: Twister) -> None:
    ready = twister[_WORDS:_AT]
    for i in range(_WORDS):
        word = twister[i]
        word ^= word >> np.uint32(11)
        word ^= (word << np.uint32(7)) & np.uint32(0x9D2C5680)
        word ^= (word << np.uint32(15)) & np.uint32(0xEFC60000)
        word ^= word >> np.uint32(18)
        ready[i] = word


@compiled
def _twist(twister: Twister, first: int, count: int, far: int) -> None:
    """Words first .. first + count - 1, from those after them and those `far` on."""
    for k in range(count):
        i, j = np.uint64(first + k), np.uint64(far + k)
        following = np.int64(twister[i + np.uint64(1)])
        word = (np.int64(twister[i]) & _UPPER) | (following & _LOWER)
        twister[i] = np.int64(twister[j]) ^ (word >> 1) ^ (-(word & 1) & _MATRIX)


@compiled
def _refill(twister: Twister) -> None:
    _twist(twister, 0, _WORDS - _SHIFT, _SHIFT)
    _twist(twister, _WORDS - _SHIFT, _SHIFT - 1, 0)
    # The last word is followed by the first.
    word = (np.int64(twister[_WORDS - 1]) & _UPPER) | (np.int64(twister[0]) & _LOWER)
    twister[_WORDS - 1] = np.int64(twister[_SHIFT - 1]) ^ (word >> 1) ^ (-(word & 1) & _MATRIX)
    _temper(twister)
    twister[_AT] = 0


@compiled
def next_word(twister: Twister) -> np.int64:
    """The next 32 bits."""
    at = np.uint64(twister[_AT])
    if at >= np.uint64(_WORDS):
        _refill(twister)
        at = np.uint64(0)
    twister[_AT] = at + np.uint64(1)
    return np.int64(twister[at + np.uint64(_WORDS)])


@compiled
def getrandbits(twister: Twister, bits: int) -> np.int64:
    """`Random.getrandbits` for 1 to 62 bits: low words come first, and a word gives its top."""
    if bits <= 32:
        return next_word(twister) >> (32 - bits)
    low = next_word(twister)
    return (next_word(twister) >> (64 - bits)) << 32 | low


@compiled
def uniform(twister: Twister) -> float:
    """`Random.random`: 53 bits, in [0, 1)."""
    high = next_word(twister) >> 5
    low = next_word(twister) >> 6
    return (high * 67108864.0 + low) * (1.0 / 9007199254740992.0)


@compiled
def bit_length(value: int) -> int:
    """`int.bit_length` of a value that is not negative."""
    bits = 0
    while value >> bits:
        bits += 1
    return bits


@compiled
def below(twister: Twister, bound: int) -> np.int64:
    """`Random.randint(0, bound - 1)` and all that rests on it; 1 <= bound < 2**62."""
    bits = bit_length(bound)
    value = getrandbits(twister, bits)
    while value >= bound:
        value = getrandbits(twister, bits)
    return value


@compiled
def shuffle(twister: Twister, items: npt.NDArray[np.integer]) -> None:
    """`Random.shuffle` of fewer than 2**32 items, in place.

    Half of a run's draws are made here, so the place in the words stays in a register.
    """
    bits = bit_length(len(items))
    at = np.int64(twister[_AT])
    for last in range(len(items) - 1, 0, -1):
        if (last + 1) >> (bits - 1) == 0:
            bits -= 1
        other = np.int64(last + 1)
        while other > last:
            if at >= _WORDS:
                _refill(twister)
                at = np.int64(0)
            other = np.int64(twister[np.uint64(_WORDS + at)]) >> (32 - bits)
            at += 1
        i, j = np.uint64(last), np.uint64(other)
        items[i], items[j] = items[j], items[i]
    twister[_AT] = at


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
    _temper(twister)
    twister[_AT] = 0


def new_twister() -> Twister:
    """A twister to `reseed`."""
    return np.zeros(_AT + 1, np.uint32)
