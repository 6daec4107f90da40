"""Keys, streams and the permutation: equal to the plain rules, fair, and never twice the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from data_prep.mersenne import new_twister, next_word, reseed
from data_prep.streams import example_at, fill_order, key_of, mixed, pass_key
from tests.reference import streams

KEYS = st.integers(0, 2**64 - 1)


def test_known_numbers_of_splitmix64():
    golden = 0x9E3779B97F4A7C15
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
    found = [int(mixed(np.uint64((i + 1) * golden & streams.ALL))) for i in range(4)]
    assert found == known == [streams.mixed((i + 1) * golden & streams.ALL) for i in range(4)]


@given(KEYS, st.integers(0, 1000), st.integers(0, 2**40))
def test_keys_of_passes(key, duplicate, document):
    assert int(pass_key(np.uint64(key), duplicate, document)) == streams.pass_key(
        key, duplicate, document
    )


def test_no_two_passes_share_a_key():
    key = key_of(12345, "passes")
    found = {int(pass_key(key, d, n)) for d in range(30) for n in range(300)}
    assert len(found) == 30 * 300


@pytest.mark.parametrize("seed", [0, -3, 12345, 2**80])
def test_every_purpose_and_seed_has_its_key(seed):
    assert int(key_of(seed, "order")) == streams.key_of(seed, "order")
    assert key_of(seed, "order") != key_of(seed, "passes")
    assert key_of(seed, "order") != key_of(seed + 1, "order")


@given(KEYS)
def test_a_stream_is_that_of_the_generator_with_these_words(key):
    twister = new_twister()
    for _ in range(2):  # what was drawn before does not matter
        reseed(twister, np.uint64(key))
        peer = streams.generator(key)
        assert [next_word(twister) for _ in range(1300)] == [
            peer.getrandbits(32) for _ in range(1300)
        ]


@given(KEYS, st.integers(1, 300))
def test_the_order_is_a_permutation_and_that_of_the_plain_rules(key, count):
    found = np.empty(count, np.int64)
    fill_order(0, count, np.uint64(key), found)
    assert sorted(found.tolist()) == list(range(count))
    assert found.tolist() == [streams.example_at(place, count, key) for place in range(count)]


@pytest.mark.parametrize("count", [2**16, 2**16 + 1, 2**18 - 1])
def test_large_orders_are_permutations(count):
    found = np.empty(count, np.int64)
    fill_order(0, count, key_of(1, "order"), found)
    assert (np.bincount(found, minlength=count) == 1).all()
    part = np.empty(100, np.int64)
    fill_order(1000, count, key_of(1, "order"), part)
    assert part.tolist() == found[1000:1100].tolist()


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_every_example_stands_everywhere_equally_often(count):
    seen = np.zeros((count, count), np.int64)
    for seed in range(4000):
        key = key_of(seed, "order")
        for place in range(count):
            seen[place, example_at(place, count, key)] += 1
    assert min(chisquare(row).pvalue for row in seen) > 1e-4


def test_neighbours_part():
    """Of examples that follow each other none should stay together more often than by chance."""
    count = 20_000
    found = np.empty(count, np.int64)
    fill_order(0, count, key_of(7, "order"), found)
    apart = np.abs(np.diff(found))
    assert (apart < 20).sum() < 3 * 40  # 40 by chance
    assert abs(np.corrcoef(np.arange(count), found)[0, 1]) < 0.03
