"""What is gathered in the order of the file is what was asked for, in the order asked."""

import numpy as np
import pytest

from data_prep import gather
from data_prep.gather import gather_rows, gather_tokens

RNG = np.random.default_rng(2)


@pytest.fixture(params=[64, 1 << 20])
def released(request, monkeypatch):
    """How often pages were given back."""
    monkeypatch.setattr(gather, "_MAPPED_BYTES", request.param)
    return []


def test_rows(released):
    rows = RNG.integers(0, 99, (200, 3))
    numbers = RNG.permutation(200)[:80]
    found = gather_rows(rows, numbers, lambda: released.append(1))
    np.testing.assert_array_equal(found, rows[numbers])
    assert len(released) > 30 if gather._MAPPED_BYTES == 64 else len(released) == 1


def test_tokens(released):
    tokens = RNG.integers(0, 999, 3000).astype(np.uint16)
    starts = RNG.integers(0, 2900, (50, 2))
    ends = starts + RNG.integers(1, 60, (50, 2))
    pairs = np.stack(
        [starts[:, 0], ends[:, 0], starts[:, 1], ends[:, 1], ends[:, 0], ends[:, 1]], 1
    )
    found, own = gather_tokens(tokens, pairs, lambda: released.append(1))
    assert found.dtype == np.uint16
    for before, after in zip(pairs, own, strict=True):
        for part in (0, 2):
            wanted = tokens[before[part] : before[part + 1]]
            np.testing.assert_array_equal(found[after[part] : after[part + 1]], wanted)
    np.testing.assert_array_equal(own[:, 4:], pairs[:, 4:])
    assert len(found) == (ends - starts).sum()
    assert released


def test_nothing():
    assert gather_rows(np.empty((5, 2)), np.empty(0, np.int64), list).shape == (0, 2)
