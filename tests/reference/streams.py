"""Scale mode's chance, written plainly with Python's whole numbers and `random.Random`."""

import hashlib
import random

ALL = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mixed(value: int) -> int:
    """SplitMix64's mixing."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & ALL
    value = (value ^ value >> 27) * 0x94D049BB133111EB & ALL
    return value ^ value >> 31


def key_of(seed: int, purpose: str) -> int:
    """64 bits from a seed."""
    text = f"{purpose} {seed}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def pass_key(key: int, duplicate: int, document: int) -> int:
    """The key of one pass over one document."""
    of_duplicate = mixed(key + (duplicate + 1) * GOLDEN & ALL)
    return mixed(of_duplicate + (document + 1) * GOLDEN & ALL)


def generator(key: int) -> random.Random:
    """A generator whose 624 words are those of a key, none of them used up."""
    words: list[int] = []
    for i in range(0, 624, 2):
        word = mixed(key + (i + 2) * GOLDEN & ALL)
        words += [word & 0xFFFFFFFF, word >> 32]
    made = random.Random()
    made.setstate((3, (*words, 0), None))
    return made


def example_at(place: int, count: int, key: int) -> int:
    """The example at a place: eight rounds of a Feistel network, until the value is in range."""
    half = 0
    while (count - 1) >> 2 * half:
        half += 1
    low = 2**half - 1
    value = place
    while True:
        left, right = value >> half, value & low
        for turn in range(8):
            of_turn = key + (turn + 1) * GOLDEN & ALL
            left, right = right, left ^ mixed(of_turn ^ mixed(right + GOLDEN & ALL)) & low
        value = left << half | right
        if value < count:
            return value
