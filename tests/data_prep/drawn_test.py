"""Drawn examples as rows: what goes in comes out, in the order of its positions."""

import random

import numpy as np
import pytest

from data_prep.drawn import PLACE_AND_COUNT, Drawn, count_of, pack_rows, row_layout
from data_prep.masking import KEEP_TOKEN, POSITION_SHIFT
from data_prep.options import GenerationOptions

TOKENS = 150


def random_examples(rng, count, length, most):
    """Pairs that fit, ends that start with 0, and predictions in any order."""
    pairs, predictions, ends = [], [], [0]
    for _ in range(count):
        size_a, size_b = rng.randint(1, length // 2), rng.randint(1, length // 2 - 3)
        a, b = rng.randint(0, TOKENS - size_a), rng.randint(0, TOKENS - size_b)
        pairs.append([a, a + size_a, b, b + size_b, rng.randint(0, 1)])
        places = [*range(1, size_a + 1), *range(size_a + 2, size_a + size_b + 2)]
        for place in rng.sample(places, min(rng.randint(0, most), len(places))):
            replacement = rng.choice([KEEP_TOKEN, 4, rng.randint(5, 90)])
            predictions.append(place << POSITION_SHIFT | replacement)
        ends.append(len(predictions))
    return (np.array(values, np.int64) for values in (pairs, ends, predictions))


def drawn_of(examples, order, options, ids=99):
    """`Drawn` of what `random_examples` gives."""
    pairs, ends, predictions = examples
    layout = row_layout(options, ids)
    return Drawn(pack_rows(pairs, ends[1:], predictions, layout), order, layout)


def predictions_of(row, layout):
    """(position, replacement) of each prediction of a row."""
    end = layout.first + count_of(int(row[PLACE_AND_COUNT]))
    packed = layout.predictions(row)[layout.first : end].tolist()
    return [divmod(value, 1 << layout.shift) for value in packed]


@pytest.mark.parametrize(
    ("length", "ids", "dtype"),
    [
        (128, 30522, np.uint32),
        (512, 119547, np.uint32),
        (512, 2**23 - 1, np.uint32),
        (512, 2**23, np.uint64),
        (513, 2**23 - 1, np.uint64),
    ],
)
def test_predictions_at_the_edges_of_what_fits(length, ids, dtype):
    layout = row_layout(GenerationOptions(max_seq_length=length, max_predictions_per_seq=3), ids)
    assert layout.packed == dtype
    edges = [(length - 1, ids), (length - 1, KEEP_TOKEN), (1, ids), (0, KEEP_TOKEN)]
    predictions = np.array([place << POSITION_SHIFT | new for place, new in edges])
    rows = pack_rows(np.zeros((3, 5), np.int64), np.array([1, 1, 4]), predictions, layout)
    found = [predictions_of(row, layout) for row in rows]
    # Of one example, the predictions come in the order of their positions.
    assert found == [[edges[0]], [], [edges[3], edges[2], edges[1]]]


@pytest.mark.parametrize("most", [1, 19, 20, 77])
def test_rows_hold_pairs_and_predictions(most):
    rng = random.Random(most)
    options = GenerationOptions(max_seq_length=200, max_predictions_per_seq=most)
    pairs, ends, predictions = random_examples(rng, 300, 200, most)
    drawn = drawn_of((pairs, ends, predictions), np.arange(300), options)
    assert drawn.rows[:, :PLACE_AND_COUNT].tolist() == pairs.tolist()
    for row, first, end in zip(drawn.rows, ends[:-1], ends[1:], strict=True):
        given = sorted(predictions[first:end].tolist())
        assert predictions_of(row, drawn.layout) == [divmod(p, 1 << POSITION_SHIFT) for p in given]


def test_a_row_of_the_usual_options_is_128_bytes():
    layout = row_layout(GenerationOptions(), 30522)
    assert 8 * layout.columns == 128


def test_no_examples_are_no_rows():
    layout = row_layout(GenerationOptions(), 30522)
    nothing = np.empty(0, np.int64)
    assert pack_rows(np.empty((0, 5), np.int64), nothing, nothing, layout).shape == (0, 16)
