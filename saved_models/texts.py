"""Strings to the encoder's inputs inside a graph, as the commands make them of texts in Python.

Shapes: B examples, K texts of each, W windows, T tokens of the longest, at most `max_seq_length`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from bert_tf.inputs.features import SPECIALS_PAIR, SPECIALS_SINGLE
from bert_tf.inputs.windows import rooms_of
from bert_tf.tokenization import require_tokens
from saved_models.building import Request
from saved_models.graph_tokenizer import GraphTokenizer
from saved_models.preprocessing import pack_inputs
from saved_models.signatures import Tensors
from saved_models.windows import CHUNK

# From the inputs of windows [w, ...] to values [w, N] and what each window counts, [w].
Read = Callable[[Tensors], tuple[tf.Tensor, tf.Tensor]]

STRINGS = tf.TensorSpec([None], tf.string)


class Sequences(NamedTuple):
    """Input sequences, and whose they are.

    Attributes:
      inputs: the encoder's, int32 [W, T], or [W, K - 1, T] where a text has several beside it.
      owners: int64 [W], the example of each.
      count: int32 scalar, B.
      windows: whether there may be many of an example.
    """

    inputs: Tensors
    owners: tf.Tensor
    count: tf.Tensor
    windows: bool

    def mean(self, read: Read) -> tf.Tensor:
        """Of what is read of windows to that of examples, [B, N].

        As `inputs.windows.mean_of_windows`; windows are read some at a time.
        """
        values, weights = _in_chunks(read, self.inputs) if self.windows else read(self.inputs)

        def total(rows: tf.Tensor) -> tf.Tensor:
            return tf.math.unsorted_segment_sum(rows, self.owners, self.count)

        return total(values * weights[:, None]) / total(weights)[:, None]


def logits_of(ids: Callable[[Tensors], Tensors]) -> Read:
    """Reads the scores `logits` of windows, which count alike."""

    def read(inputs: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        logits = ids(inputs)["logits"]
        return logits, tf.ones(tf.shape(logits)[:1])

    return read


def _in_chunks(read: Read, inputs: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
    """What `read` gives for all windows."""
    # Once at least, so that the form of what it gives is known.
    chunks = tf.maximum((tf.shape(inputs["input_mask"])[0] + CHUNK - 1) // CHUNK, 1)
    shapes: list[tf.TensorShape] = []

    def step(
        number: tf.Tensor, values: tf.TensorArray, weights: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.TensorArray, tf.TensorArray]:
        rows = slice(number * CHUNK, (number + 1) * CHUNK)
        value, weight = read({name: each[rows] for name, each in inputs.items()})
        shapes.append(tf.TensorShape([None, *value.shape[1:]]))
        return number + 1, values.write(number, value), weights.write(number, weight)

    arrays = [tf.TensorArray(tf.float32, chunks, infer_shape=False) for _ in range(2)]
    _, values, weights = tf.while_loop(
        lambda number, *_: number < chunks, step, (0, *arrays), parallel_iterations=1
    )
    return tf.ensure_shape(values.concat(), shapes[-1]), tf.ensure_shape(weights.concat(), [None])


class TextPacking(tf.Module):
    """The tokenizer in the graph, and the packing of what it gives.

    Args:
      request: vocabulary, case, length and stride. The vocabulary is kept as an asset,
        `.vocab_file`.
      pairs: whether texts stand beside each other.
      specials: tokens beside [CLS] and [SEP] that the vocabulary must hold.

    Raises:
      MissingTokenError: a special token is not in the vocabulary.
      ValueError: windows over two texts have no room for both.
    """

    def __init__(self, request: Request, pairs: bool = False, specials: Sequence[str] = ()) -> None:
        super().__init__(name="texts")
        vocab = request.tokenizer.vocab
        require_tokens(vocab, ["[CLS]", "[SEP]", *specials], request.vocab_file)
        self._start, self._end = vocab["[CLS]"], vocab["[SEP]"]
        self._specials = SPECIALS_PAIR if pairs else SPECIALS_SINGLE
        self._room, self._stride = request.max_seq_length - self._specials, request.stride
        if pairs and self._stride:
            rooms_of(1, 1, self._room)
        self.vocab_file = tf.saved_model.Asset(str(request.vocab_file))
        self._tokenizer = GraphTokenizer(request.vocab_file, request.do_lower_case)

    def tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids, int32 ragged [B, tokens], of strings [B]."""
        return self._tokenizer.tokenize(texts).merge_dims(1, 2)

    def packed(self, *parts: tf.RaggedTensor) -> Tensors:
        """As `bert_tf.inputs.features.pack` one or two parts, up to the longest; int32 [B, T]."""
        longest = tf.reduce_max(tf.add_n([part.row_lengths() for part in parts]))
        # Room for one token at least, also where all texts are empty or there is none.
        length = tf.clip_by_value(longest, 1, self._room) + self._specials
        return pack_inputs(
            list(parts), tf.cast(length, tf.int32), start=self._start, end=self._end, padding=0
        )

    def sequences(self, *texts: tf.Tensor) -> Sequences:
        """Examples of one or two texts, string [B] each: cut where too long, or in windows."""
        shown, owners, size = self._windows(tf.stack(texts, axis=1))
        first = tf.range(tf.size(owners, tf.int64)) * size
        parts = [tf.gather(shown, first + number) for number in range(len(texts))]
        return Sequences(self.packed(*parts), owners, tf.size(texts[0]), bool(self._stride))

    def sequences_of_choices(self, text: tf.Tensor, others: tf.Tensor) -> Sequences:
        """Examples of a text [B] and what it is read with, string [B, K - 1]."""
        shown, owners, size = self._windows(tf.concat([text[:, None], others], axis=1))
        first = tf.range(tf.size(owners, tf.int64))[:, None] * size
        place = first + tf.range(1, size)  # [W, K - 1], of the second texts
        parts = (first + tf.zeros_like(place), place)
        packed = self.packed(*(tf.gather(shown, tf.reshape(each, [-1])) for each in parts))
        inputs = {
            name: tf.reshape(value, tf.concat([tf.shape(place), tf.shape(value)[1:]], axis=0))
            for name, value in packed.items()
        }
        return Sequences(inputs, owners, tf.size(text), bool(self._stride))

    def _windows(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor, tf.Tensor]:
        """Tokens of each text [B, K] in each window [W * K, tokens], the example of each [W]; K.

        Without a stride there is one window for each example, of all its tokens.
        """
        tokens = self.tokens(tf.reshape(texts, [-1]))  # at once: the tokenizer's graph is large
        shape = tf.shape(texts, tf.int64)
        if not self._stride:
            return tokens, tf.range(shape[0]), shape[1]
        lengths = tf.reshape(tokens.row_lengths(), shape)
        rooms = tf.fill(shape, tf.constant(self._room, tf.int64))
        if self._specials == SPECIALS_PAIR:
            rooms = _rooms(lengths, self._room)
        owners, first, sizes = side_by_side(lengths, rooms, self._stride)
        begin = first + tf.gather(tf.reshape(tokens.row_starts(), shape), owners)
        shown = tf.ragged.range(tf.reshape(begin, [-1]), tf.reshape(begin + sizes, [-1]))
        return tf.gather(tokens.values, shown), owners, shape[1]


def _rooms(lengths: tf.Tensor, room: int) -> tf.Tensor:
    """How many tokens a window shows of a text and of those that it is read with, [B, K].

    As `inputs.windows.rooms_of` for the longest of the latter; all, where all fits.
    """
    first, longest = lengths[:, :1], tf.reduce_max(lengths[:, 1:], axis=1, keepdims=True)
    kept = tf.minimum(tf.minimum(first, longest), room // 2)
    of_first = tf.where(first >= longest, room - kept, kept)
    others = tf.repeat(room - of_first, tf.shape(lengths)[1] - 1, axis=1)
    rooms = tf.where(first + longest <= room, lengths, tf.concat([of_first, others], axis=1))
    return tf.maximum(rooms, 1)  # of an empty text


def side_by_side(
    lengths: tf.Tensor, rooms: tf.Tensor, stride: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`inputs.windows.side_by_side` of many examples, in a graph.

    Args:
      lengths: int64 [B, K], tokens of each text.
      rooms: int64 [B, K], tokens that a window shows of it at most, 1 or more.
      stride: tokens from the start of one window to the next.

    Returns:
      The example of each window [W], and the first token and the number of tokens that it shows of
      each text [W, K].
    """
    steps = tf.minimum(rooms, stride)
    own = 1 + (tf.maximum(lengths - rooms, 0) + steps - 1) // steps  # windows of each text
    counts = tf.reduce_max(own, axis=1)
    owners = tf.repeat(tf.range(tf.size(counts, tf.int64)), counts)
    number = tf.range(tf.size(owners, tf.int64)) - tf.gather(
        tf.cumsum(counts, exclusive=True), owners
    )
    lengths, rooms, steps, own = (tf.gather(each, owners) for each in (lengths, rooms, steps, own))
    first = number[:, None] * own // tf.gather(counts, owners)[:, None] * steps
    return owners, first, tf.minimum(rooms, lengths - first)
