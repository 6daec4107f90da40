"""The compiled generator draws what CPython's does."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from data_prep.mersenne import (
    AT,
    MOST_RESERVED,
    below,
    bit_length,
    bits_at,
    bits_below,
    getrandbits,
    next_word,
    reserve,
    shuffle,
    twister_of,
    uniform,
)


def assert_same_state(twister, peer):
    """Both draw the same from here on."""
    assert [next_word(twister) for _ in range(3)] == [peer.getrandbits(32) for _ in range(3)]


@njit
def _many_words(twister, count):
    words = np.empty(count, np.uint32)
    for i in range(count):
        words[i] = next_word(twister)
    return words


@pytest.mark.parametrize("seed", [0, 12345, -3, 2**40, "text"])
def test_a_million_words(seed):
    peer = random.Random(seed)
    words = _many_words(twister_of(peer), 1_000_000)
    expected = np.frombuffer(peer.randbytes(4_000_000), "<u4")
    np.testing.assert_array_equal(words, expected)


@given(st.integers(), st.integers(0, 1500))
def test_goes_on_from_anywhere_and_leaves_the_generator_alone(seed, used):
    rng = random.Random(seed)
    for _ in range(used):
        rng.getrandbits(32)
    before = rng.getstate()
    twister = twister_of(rng)
    assert rng.getstate() == before
    assert_same_state(twister, rng)


@given(st.integers(), st.lists(st.integers(1, 2**61), min_size=1, max_size=20))
def test_draws_of_every_kind(seed, bounds):
    peer = random.Random(seed)
    twister = twister_of(peer)
    for bound in bounds:
        assert bit_length(bound) == bound.bit_length()
        assert getrandbits(twister, bound.bit_length()) == peer.getrandbits(bound.bit_length())
        assert uniform(twister) == peer.random()
        assert below(twister, bound) == peer.randint(0, bound - 1)
    assert_same_state(twister, peer)


@pytest.mark.parametrize(
    "size", [0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 125, 1000, 4096, 4097, 4098, 70000]
)
@pytest.mark.parametrize("dtype", [np.int64, np.uint32])
def test_shuffle(size, dtype):
    peer = random.Random(size)
    twister = twister_of(peer)
    ours, expected = np.arange(size, dtype=dtype), list(range(size))
    for _ in range(3):
        shuffle(twister, ours)
        peer.shuffle(expected)
        assert ours.tolist() == expected
    assert_same_state(twister, peer)


@given(st.integers(), st.floats(0, 1))
def test_bits_are_below_where_the_number_is(seed, share):
    peer = random.Random(seed)
    twister = twister_of(peer)
    at = reserve(twister, 2)
    bits, number = bits_at(twister, at), peer.random()
    assert bits / 2**53 == number
    assert bits < bits_below(np.nextafter(number, 1))
    assert not bits < bits_below(number)
    assert (bits < bits_below(share)) == (number < share)


def test_reserved_words_are_the_next_ones():
    rng = random.Random(8)
    twister = twister_of(rng)
    sizes = random.Random(9)
    for count in [1, 600, 623, 624, 624, 1, *(sizes.randint(1, MOST_RESERVED) for _ in range(300))]:
        at = reserve(twister, count)
        words = [rng.getrandbits(32) for _ in range(count)]
        assert twister[at : at + count].tolist() == words
        twister[AT] = at + count
