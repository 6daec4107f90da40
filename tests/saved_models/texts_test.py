"""Packing in the graph equals the packing of the commands, cut or in windows."""

import random

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.inputs.windows import mean_of_windows
from saved_models.building import Request
from saved_models.samples import inputs_of, windows_in_python
from saved_models.texts import TextPacking
from saved_models.windows import CHUNK
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


@pytest.mark.parametrize("stride", [0, 6])
def test_the_mean_of_windows_is_that_of_their_example(stride):
    """Weighted, and read some at a time."""
    request, graph = packing(stride, False)
    texts = ["the lamp é stairs " * 100, "the", "", "unaffable " * 5]
    seen = []

    def read(inputs):
        ids, mask = (tf.cast(inputs[n], tf.float32) for n in ("input_word_ids", "input_mask"))
        seen.append(ids.shape[0])
        return tf.stack([ids[:, 1], ids[:, 2]], axis=1), tf.reduce_sum(mask, axis=1)

    found = graph.sequences(tf.constant(texts)).mean(read)
    windows, owners = windows_in_python(request, texts)
    ids = inputs_of([window for (window,) in windows])
    weights = ids["input_mask"].sum(axis=1)
    expected = mean_of_windows(ids["input_word_ids"][:, 1:3], owners, weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert sum(seen) == len(owners)
    assert seen == ([4] if stride == 0 else [CHUNK] * (len(owners) // CHUNK) + seen[-1:])
    assert len(seen) > 1 or stride == 0


def test_windows_over_pairs_need_room_for_both():
    request = Request("classifier", small.VOCAB, True, 4, stride=2)
    with pytest.raises(ValueError, match="need room for a token of each, but there is room for 1"):
        TextPacking(request, pairs=True)
