"""Packing in the graph equals the packing of the commands, cut or in windows."""

import random

import numpy as np
import pytest
import tensorflow as tf

from saved_models.building import Request
from saved_models.samples import inputs_of, windows_in_python
from saved_models.texts import TextPacking
from tests.support import small

WORDS = ["the", "lamp", "é", "stairs", ",", "unaffable", "漢"]
LENGTH = 13


def texts_of(seed, rows, columns):
    """Of all lengths, none among them."""
    draw = random.Random(seed)
    return [
        [" ".join(draw.choices(WORDS, k=draw.choice([0, 1, 4, 9, 30]))) for _ in range(columns)]
        for _ in range(rows)
    ]


def packing(stride, pairs):
    request = Request("classifier", small.VOCAB, True, LENGTH, stride=stride)
    return request, TextPacking(request, pairs)


def assert_same(found, windows):
    """Equal inputs, padded to the longest only."""
    expected = inputs_of(windows)
    length = found["input_mask"].shape[-1]
    assert length == max(4, expected["input_mask"].sum(axis=1).max())
    for name, value in expected.items():
        own = found[name].numpy().reshape(-1, length)
        np.testing.assert_array_equal(own, value[:, :length])


@pytest.mark.parametrize("stride", [0, 3, 6, 100])
@pytest.mark.parametrize("columns", [1, 2])
def test_texts_and_pairs(stride, columns):
    request, graph = packing(stride, columns == 2)
    texts = texts_of(stride, 40, columns)
    firsts, *seconds = map(list, zip(*texts, strict=True))
    found = graph.sequences(*map(tf.constant, [firsts, *seconds]))
    others = [[each] for each in seconds[0]] if seconds else None
    windows, owners = windows_in_python(request, firsts, others)
    assert found.owners.numpy().tolist() == owners.tolist()
    assert (len(owners) > 40) == bool(stride)
    assert_same(found.inputs, [window for (window,) in windows])


@pytest.mark.parametrize("stride", [0, 4])
def test_choices(stride):
    request, graph = packing(stride, True)
    texts = texts_of(stride, 30, 4)
    contexts, choices = [row[0] for row in texts], [row[1:] for row in texts]
    found = graph.sequences_of_choices(tf.constant(contexts), tf.constant(choices))
    windows, owners = windows_in_python(request, contexts, choices)
    assert found.owners.numpy().tolist() == owners.tolist()
    assert found.inputs["input_mask"].shape[:2] == (len(owners), 3)
    assert_same(found.inputs, [window for row in windows for window in row])


def test_the_mean_of_windows_is_that_of_their_example():
    _, graph = packing(6, False)
    found = graph.sequences(tf.constant(["the " * 20, "the"]))
    assert found.owners.numpy().tolist() == [0, 0, 0, 1]
    values = tf.constant([[1.0], [2.0], [6.0], [5.0]])
    assert found.mean(values).numpy().tolist() == [[3.0], [5.0]]
    weights = tf.constant([1.0, 1.0, 2.0, 7.0])
    assert found.mean(values, weights).numpy().tolist() == [[3.75], [5.0]]


def test_windows_over_pairs_need_room_for_both():
    request = Request("classifier", small.VOCAB, True, 4, stride=2)
    with pytest.raises(ValueError, match="need room for a token of each, but there is room for 1"):
        TextPacking(request, pairs=True)
