"""Overlapping windows over texts that are too long for the model, in a graph.

The rules are those of `bert_tf.inputs.windows`. Shapes: B texts, W windows, T tokens of the model's
input, C scores of a token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from saved_models.signatures import Tensors

CHUNK = 32  # windows that the model reads at once: a long text must not take all memory
_NOWHERE = tf.int64.max


class Windows(NamedTuple):
    """Windows over texts, in the order of the texts.

    Attributes:
      texts: int64 [W], the text of each.
      tokens: int64 ragged [W, tokens], the tokens that it shows, numbered over all texts.
      best: bool, one for each of `tokens.values`: whether no other window shows the token with
        more around it.
    """

    texts: tf.Tensor
    tokens: tf.RaggedTensor
    best: tf.Tensor


def windows_over(lengths: tf.Tensor, rooms: tf.Tensor, stride: int) -> Windows:
    """Windows over texts; none over an empty one. See `inputs.windows.spans_of`.

    Args:
      lengths: int64 [B], tokens of each text.
      rooms: int64 [B], tokens that a window shows of it at most.
      stride: tokens from the start of one window to the next.
    """
    step = tf.minimum(rooms, stride)
    further = tf.maximum(lengths - rooms + step - 1, 0) // step
    counts = tf.where(lengths > 0, 1 + further, 0)
    texts = tf.repeat(tf.range(tf.size(lengths, tf.int64)), counts)
    number = tf.range(tf.size(texts, tf.int64)) - tf.gather(
        tf.cumsum(counts, exclusive=True), texts
    )
    first = number * tf.gather(step, texts)
    size = tf.minimum(tf.gather(rooms, texts), tf.gather(lengths, texts) - first)
    begin = tf.gather(tf.cumsum(lengths, exclusive=True), texts) + first
    tokens = tf.ragged.range(begin, begin + size)
    return Windows(texts, tokens, _max_context(tokens, tf.reduce_sum(lengths)))


def _max_context(tokens: tf.RaggedTensor, total: tf.Tensor) -> tf.Tensor:
    """See `inputs.windows.max_context`; in its precision, so that equals are equals here."""
    window, token = tokens.value_rowids(), tokens.values
    place, size = places_in(tokens), tf.gather(tokens.row_lengths(), window)
    around = tf.cast(tf.minimum(place, size - 1 - place), tf.float64)
    score = around + tf.constant(0.01, tf.float64) * tf.cast(size, tf.float64)
    most = tf.math.unsorted_segment_max(score, token, total)
    candidate = tf.where(score == tf.gather(most, token), window, _NOWHERE)
    return window == tf.gather(tf.math.unsorted_segment_min(candidate, token, total), token)


def places_in(tokens: tf.RaggedTensor) -> tf.Tensor:
    """The place of each value in its row, int64."""
    row_starts = tf.gather(tokens.row_starts(), tokens.value_rowids())
    return tf.range(tf.size(tokens.values, tf.int64)) - row_starts


def read_windows(
    read: Callable[[Tensors], tf.Tensor], inputs: Tensors, scores: int, cut: bool
) -> tf.Tensor:
    """The model's scores [W, T, C] of all windows, some at a time.

    Args:
      read: from the encoder's inputs to scores [w, t, C].
      inputs: the encoder's inputs [W, T].
      scores: C.
      cut: whether windows are read without the padding that all at once have. The scores of
        padding are the lowest there are, then.
    """
    total, length = tf.unstack(tf.shape(inputs["input_mask"]))

    def step(first: tf.Tensor, done: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        part = {name: values[first : first + CHUNK] for name, values in inputs.items()}
        if cut:
            used = tf.reduce_max(tf.reduce_sum(part["input_mask"], axis=1))
            part = {name: values[:, :used] for name, values in part.items()}
        found = read(part)
        if cut:
            found = tf.where(part["input_mask"][..., None] > 0, found, found.dtype.min)
            padding = [[0, 0], [0, length - used], [0, 0]]
            found = tf.pad(found, padding, constant_values=found.dtype.min)
        return first + CHUNK, tf.concat([done, found], axis=0)

    nothing = tf.zeros(tf.stack([0, length, scores]))
    shapes = [tf.TensorShape([]), tf.TensorShape([None, None, scores])]
    return tf.while_loop(
        lambda first, _: first < total, step, [0, nothing], shapes, parallel_iterations=1
    )[1]
