"""Rows of features of drawn examples, and their records; writing draws nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba.cpython.unsafe.numbers import trailing_zeros

from bert_tf.compiled import compiled, inlined
from bert_tf.inputs.frames import FrameEncoder
from bert_tf.inputs.records import pretraining_schema
from data_prep.deal import Drawn
from data_prep.documents import Corpus
from data_prep.full_sentences import lay_out_run
from data_prep.masking import KEEP_TOKEN, POSITION_SHIFT
from data_prep.options import GenerationOptions, VocabularyIds
from data_prep.pairs import END_A, END_B, IS_RANDOM, PAIR_COLUMNS, START_A, START_B

Longs = npt.NDArray[np.int64]
Observe = Callable[[npt.NDArray[np.int32]], None]

_ONE = np.float32(1.0).view(np.int32)  # float features travel as their bits


class ExampleWriter:
    """Builds the records of drawn examples; calls from several threads do not hinder each other.

    `observe` is shown the features of all records, by whichever thread made them.
    """

    def __init__(
        self,
        drawn: Drawn,
        corpus: Corpus,
        vocabulary: VocabularyIds,
        options: GenerationOptions,
        observe: Observe | None = None,
    ) -> None:
        self._drawn, self._corpus, self._vocabulary = drawn, corpus, vocabulary
        self._observe = observe
        # Runs count in the whole corpus: where its sentences start is asked of it.
        self._runs = options.next_sentence == "none"
        self._sizes = (options.max_seq_length, options.max_predictions_per_seq)
        self._encoder = FrameEncoder(pretraining_schema(*self._sizes))

    def values(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """The features of the examples `rows` side by side, int32 [B, all lengths]."""
        values = np.empty((len(rows), self._encoder.width), np.int32)
        drawn, corpus, vocabulary = self._drawn, self._corpus, self._vocabulary
        pairs = np.empty((len(rows), PAIR_COLUMNS), np.int64)
        ends = np.zeros(len(rows) + 1, np.int64)
        predictions = np.empty(len(rows) * self._sizes[1], np.int64)
        _gather(
            rows, drawn.pairs, drawn.prediction_ends, drawn.predictions, pairs, ends, predictions
        )
        _fill_rows(
            pairs,
            ends,
            predictions,
            corpus.tokens if self._runs else corpus.tokens_of(pairs),
            corpus.sentence_starts,
            corpus.document_starts,
            vocabulary.cls,
            vocabulary.sep,
            self._sizes,
            values,
        )
        return values

    def frames(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """The bytes of a TFRecord file that holds the examples `rows`."""
        values = self.values(rows)
        if self._observe:
            self._observe(values)
        return self._encoder.encode(values)


@compiled
def _gather(
    rows: npt.NDArray[np.integer],
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
    own_pairs: Longs,
    own_ends: Longs,
    own_predictions: Longs,
) -> None:
    """Copies what was drawn for `rows`, which lie anywhere, side by side.

    In loops that do nothing else the processor waits for many of them at once.
    """
    starts = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        example = np.uint64(rows[i])
        for column in range(PAIR_COLUMNS):
            own_pairs[i, column] = pairs[example, column]
        starts[i] = ends[example]
        own_ends[i + 1] = ends[example + np.uint64(1)] - ends[example]
    for i in range(len(rows)):
        own_ends[i + 1] += own_ends[i]
        start, shift = own_ends[i], starts[i] - own_ends[i]
        for k in range(start, own_ends[i + 1]):
            own_predictions[np.uint64(k)] = predictions[np.uint64(k + shift)]


@compiled
def _fill_rows(
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
    tokens: npt.NDArray[np.integer],
    sentence_starts: Longs,
    document_starts: Longs,
    cls_id: int,
    sep_id: int,
    sizes: tuple[int, int],
    values: npt.NDArray[np.int32],
) -> None:
    """Features as in `pretraining_schema`; every number of `values` is written.

    index        0     1 .. A   A+1   A+2 .. A+B+1  A+B+2
    input_ids   [CLS]  a ...   [SEP]  b ...         [SEP]   0 ...    (`features.pack`)

    A pair whose b is empty is a run of `full_sentences`.
    """
    length, most = sizes
    width = 3 * length + 3 * most + 1
    row_values = values.reshape(-1)  # slices of it would be counted, row for row
    marks, replacements = np.zeros(length // 64 + 1, np.uint64), np.empty(length, np.int64)
    for row in range(len(pairs)):
        ids = row * width
        row_values[np.uint64(ids)] = cls_id
        size_a = pairs[row, END_A] - pairs[row, START_A]
        size_b = pairs[row, END_B] - pairs[row, START_B]
        if size_b:
            begin_b = size_a + 2
            end = begin_b + size_b + 1
            _copy(tokens, pairs[row, START_A], size_a, row_values, ids + 1)
            row_values[np.uint64(ids + begin_b - 1)] = sep_id
            _copy(tokens, pairs[row, START_B], size_b, row_values, ids + begin_b)
            row_values[np.uint64(ids + end - 1)] = sep_id
        else:
            end = begin_b = lay_out_run(
                tokens, sentence_starts, document_starts, pairs[row], sep_id, values[row]
            )
        _fill(row_values, ids + end, ids + length, 0)
        _fill(row_values, ids + length, ids + length + end, 1)
        _fill(row_values, ids + length + end, ids + 2 * length + begin_b, 0)
        _fill(row_values, ids + 2 * length + begin_b, ids + 2 * length + end, 1)
        at = ids + 3 * length
        _fill(row_values, ids + 2 * length + end, at, 0)
        _put_predictions(
            predictions, ends[row], ends[row + 1], marks, replacements, row_values, ids, at, most
        )
        row_values[np.uint64(ids + width - 1)] = pairs[row, IS_RANDOM]


@inlined
def _put_predictions(
    predictions: Longs,
    first: int,
    last: int,
    marks: npt.NDArray[np.uint64],
    replacements: Longs,
    row_values: npt.NDArray[np.int32],
    ids: int,
    at: int,
    most: int,
) -> None:
    """Replaces tokens behind `ids`; writes positions, labels and weights from `at` on.

    Positions differ, so that a bit for each of them, in `marks`, puts them in order. `marks` holds
    zeros before and afterwards.
    """
    for k in range(first, last):
        prediction = predictions[np.uint64(k)]
        place = np.uint64(prediction >> POSITION_SHIFT)
        marks[place >> np.uint64(6)] |= np.uint64(1) << (place & np.uint64(63))
        replacements[place] = prediction & ((1 << POSITION_SHIFT) - 1)
    end = at + most
    for word in range(len(marks)):
        left = marks[word]
        marks[word] = 0
        while left:
            position = 64 * word + np.int64(trailing_zeros(left))
            left &= left - np.uint64(1)
            label = row_values[np.uint64(ids + position)]
            row_values[np.uint64(at)] = position
            row_values[np.uint64(at + most)] = label
            row_values[np.uint64(at + 2 * most)] = _ONE
            new = replacements[np.uint64(position)]
            row_values[np.uint64(ids + position)] = label if new == KEEP_TOKEN else new - 1
            at += 1
    for kind in range(3):
        _fill(row_values, at + kind * most, end + kind * most, 0)


@inlined
def _copy(
    source: npt.NDArray[np.integer], start: int, size: int, target: npt.NDArray[np.int32], at: int
) -> None:
    """Sets target[at : at + size]; shorter than a slice, and so a third faster here."""
    for i in range(size):
        target[np.uint64(at + i)] = source[np.uint64(start + i)]


@inlined
def _fill(target: npt.NDArray[np.int32], start: int, end: int, value: int) -> None:
    for i in range(start, end):
        target[np.uint64(i)] = value
