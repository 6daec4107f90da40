"""Chance that is looked up instead of drawn in a row: keys of streams, and a keyed permutation.

Exact mode walks one generator through all documents, so nobody can start in the middle. Here each
pass over a document has a key of its own, from the seed, the number of the pass and that of the
document; `mersenne.reseed` makes a generator of it. And the order in which examples are written is
not a list that was shuffled but a function of the example's number. Whoever computes, in whatever
order, on however many machines, gets the same.

Sources: G. Steele, D. Lea and C. Flood, "Fast splittable pseudorandom number generators" (2014),
with D. Stafford's variant 13 of the mixing; M. Luby and C. Rackoff, "How to construct pseudorandom
permutations" (1988); J. Black and P. Rogaway, "Ciphers with arbitrary finite domains" (2002), for
walking along a cycle until it comes back into the range.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# Four rounds are enough against who may ask for chosen places; here nobody does.
_ROUNDS = 8


def key_of(seed: int, purpose: str) -> np.uint64:
    """64 bits from a seed, others for every purpose."""
    digest = hashlib.blake2b(f"{purpose} {seed}".encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


@compiled
def mixed(value: np.uint64) -> np.uint64:
    """64 bits of which each depends on all those of `value`; a bijection."""
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@compiled
def pass_key(key: np.uint64, duplicate: int, document: int) -> np.uint64:
    """The key of one pass over one document."""
    of_duplicate = mixed(key + np.uint64(duplicate + 1) * GOLDEN)
    return mixed(of_duplicate + np.uint64(document + 1) * GOLDEN)


@compiled
def example_at(place: int, count: int, key: np.uint64) -> np.int64:
    """Which of `count` examples stands at a place: a permutation of range(count), by the key."""
    half = np.uint64(0)
    while (count - 1) >> (2 * np.int64(half)):
        half += np.uint64(1)
    low = (np.uint64(1) << half) - np.uint64(1)
    value = np.uint64(place)
    while True:
        left, right = value >> half, value & low
        for turn in range(_ROUNDS):
            of_turn = key + np.uint64(turn + 1) * GOLDEN
            left, right = right, left ^ (mixed(of_turn ^ mixed(right + GOLDEN)) & low)
        value = left << half | right
        if value < np.uint64(count):
            return np.int64(value)


@compiled
def fill_order(first: int, count: int, key: np.uint64, examples: npt.NDArray[np.int64]) -> None:
    """Writes the examples at the places from `first` on, one for each entry."""
    for i in range(len(examples)):
        examples[i] = example_at(first + i, count, key)
