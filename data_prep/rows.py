"""Rows of features of drawn examples, and their records; writing draws nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

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
        values = np.zeros((len(rows), self._encoder.width), np.int32)
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
    """Features as in `pretraining_schema`; `values` holds zeros before.

    index        0     1 .. A   A+1   A+2 .. A+B+1  A+B+2
    input_ids   [CLS]  a ...   [SEP]  b ...         [SEP]   0 ...    (`features.pack`)

    A pair whose b is empty is a run of `full_sentences`.
    """
    length, most = sizes
    for row in range(len(pairs)):
        pair = pairs[row]
        ids, mask, segments, positions, labels, weights, is_random = _split(
            values[row], length, most
        )
        ids[0] = cls_id
        if pair[START_B] == pair[END_B]:
            end = lay_out_run(tokens, sentence_starts, document_starts, pair, sep_id, ids)
        else:
            separator = pair[END_A] - pair[START_A] + 1
            end = separator + pair[END_B] - pair[START_B] + 2
            ids[separator], ids[end - 1] = sep_id, sep_id
            _copy(tokens, pair[START_A], pair[END_A], ids, 1)
            _copy(tokens, pair[START_B], pair[END_B], ids, separator + 1)
            for i in range(separator + 1, end):
                segments[np.uint64(i)] = 1
        for i in range(end):
            mask[np.uint64(i)] = 1
        chosen = predictions[ends[row] : ends[row + 1]]
        _sort(chosen)
        for i in range(len(chosen)):
            position = chosen[i] >> POSITION_SHIFT
            replacement = chosen[i] & ((1 << POSITION_SHIFT) - 1)
            positions[i], labels[i], weights[i] = position, ids[position], _ONE
            if replacement != KEEP_TOKEN:
                ids[position] = replacement - 1
        is_random[0] = pair[IS_RANDOM]


@inlined
def _copy(
    source: npt.NDArray[np.integer], start: int, end: int, target: npt.NDArray[np.int32], at: int
) -> None:
    """Sets target[at : at + end - start]; shorter than a slice, and so a third faster here."""
    for i in range(end - start):
        target[np.uint64(at + i)] = source[np.uint64(start + i)]


@compiled
def _sort(values: Longs) -> None:
    """In place, by insertion: they are few."""
    for i in range(1, len(values)):
        value, k = values[i], i
        while k > 0 and values[np.uint64(k - 1)] > value:
            values[np.uint64(k)] = values[np.uint64(k - 1)]
            k -= 1
        values[np.uint64(k)] = value


@compiled
def _split(row: npt.NDArray[np.int32], length: int, most: int) -> tuple:
    """One row's features: three of `length`, three of `most`, one of one."""
    at = 3 * length
    return (
        row[:length],
        row[length : 2 * length],
        row[2 * length : at],
        row[at : at + most],
        row[at + most : at + 2 * most],
        row[at + 2 * most : at + 3 * most],
        row[at + 3 * most :],
    )
