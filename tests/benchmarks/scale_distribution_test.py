"""The comparison of distributions finds what differs and lets pass what does not."""

import numpy as np
import pytest

from benchmarks.scale_distribution import REJECTED, compare, p_value
from data_prep.options import GenerationOptions
from data_prep.statistics import Statistics

RNG = np.random.default_rng(5)


def test_p_is_uniform_where_both_are_the_same():
    shares = RNG.dirichlet(np.ones(30))
    found = [
        p_value(RNG.multinomial(3000, shares), RNG.multinomial(2000, shares)) for _ in range(400)
    ]
    assert 0.4 < np.mean(found) < 0.6
    assert np.mean(np.array(found) < 0.1) < 0.16


def test_a_small_difference_is_rejected():
    left = RNG.multinomial(50_000, [0.8, 0.1, 0.1])
    right = RNG.multinomial(50_000, [0.78, 0.11, 0.11])
    assert p_value(left, right) < REJECTED


def test_rare_cells_are_joined():
    left, right = np.full(100, 1), np.full(100, 1)
    assert p_value(left, right) == 1.0
    right[:50], right[50:] = 2, 0
    assert p_value(left, right) < REJECTED


@pytest.mark.parametrize(
    ("name", "place"),
    [("lengths", ("lengths", 16)), ("random next", ("counts", 0)), ("places", ("positions", 3)),
     ("predictions", ("predictions", 2)), ("80/10/10", ("counts", 4))],
)  # fmt: skip
def test_each_count_is_compared(name, place):
    options = GenerationOptions(max_seq_length=16, max_predictions_per_seq=4)
    sides = [Statistics.empty(options) for _ in range(2)]
    for side in sides:
        for counts in (side.lengths, side.positions, side.predictions, side.counts):
            counts += 500
    assert min(compare(*sides).values()) == 1.0
    getattr(sides[1], place[0])[place[1]] += 400
    found = compare(*sides)
    assert found[name] < REJECTED
