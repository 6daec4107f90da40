"""Rows of features of drawn examples, and their records; writing draws nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.inputs.frames import FrameEncoder
from bert_tf.inputs.records import pretraining_schema
from data_prep.documents import Corpus
from data_prep.drawn import PLACE_AND_COUNT, Drawn, Packed, count_of
from data_prep.full_sentences import lay_out_run
from data_prep.masking import KEEP_TOKEN
from data_prep.options import GenerationOptions, VocabularyIds
from data_prep.pairs import END_A, END_B, IS_RANDOM, START_A, START_B

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
        own = np.take(drawn.rows, rows, axis=0)
        _fill_rows(
            own,
            drawn.layout.predictions(own),
            drawn.layout.first,
            drawn.layout.shift,
            corpus.tokens if self._runs else corpus.tokens_of(own),
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
def _fill_rows(
    pairs: Longs,
    packed: Packed,
    first: int,
    shift: int,
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

    A pair whose b is empty is a run of `full_sentences`. `pairs` are whole rows of `drawn`, and
    `packed` is their memory as predictions, of which the first stands at `first`.
    """
    length, most = sizes
    width = 3 * length + 3 * most + 1
    row_values = values.reshape(-1)  # slices would be counted, row for row
    all_packed, packed_width = packed.reshape(-1), packed.shape[1]
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
        count = count_of(pairs[row, PLACE_AND_COUNT])
        _put_predictions(
            all_packed, row * packed_width + first, count, shift, row_values, ids, at, most
        )
        row_values[np.uint64(ids + width - 1)] = pairs[row, IS_RANDOM]


@inlined
def _put_predictions(
    packed: Packed,
    first: int,
    count: int,
    shift: int,
    row_values: npt.NDArray[np.int32],
    ids: int,
    at: int,
    most: int,
) -> None:
    """Replaces tokens behind `ids`; writes positions, labels and weights from `at` on."""
    for k in range(count):
        prediction = np.int64(packed[np.uint64(first + k)])
        position, new = prediction >> shift, prediction & ((1 << shift) - 1)
        label = row_values[np.uint64(ids + position)]
        row_values[np.uint64(at + k)] = position
        row_values[np.uint64(at + most + k)] = label
        row_values[np.uint64(at + 2 * most + k)] = _ONE
        row_values[np.uint64(ids + position)] = label if new == KEEP_TOKEN else new - 1
    for kind in range(3):
        _fill(row_values, at + kind * most + count, at + (kind + 1) * most, 0)


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
