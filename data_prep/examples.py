"""From a corpus to records: draw all examples, shuffle, then build rows in batches.

Drawn examples are offsets and predictions, 200 to 300 bytes each, on disk; ids are gathered from
the corpus only when a batch is written. All chance is in one compiled pass, whose draws come in
the original's order; writing draws nothing, so it runs on all cores.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.inputs.frames import FrameEncoder
from bert_tf.inputs.records import pretraining_schema
from data_prep.ahead import in_order
from data_prep.deal import Drawn, in_stretches
from data_prep.documents import Corpus, Progress
from data_prep.masking import (
    KEEP_TOKEN,
    POSITION_SHIFT,
    MaskRules,
    draw_predictions,
    mask_rules,
)
from data_prep.mersenne import Twister, shuffle, twister_of
from data_prep.options import DataError, GenerationOptions, VocabularyIds
from data_prep.pairs import (
    END_A,
    END_B,
    IS_RANDOM,
    PAIR_COLUMNS,
    SPECIALS,
    START_A,
    START_B,
    draw_pair,
    draw_target,
)
from data_prep.store import Scratch

Longs = npt.NDArray[np.int64]
Observe = Callable[[npt.NDArray[np.int32]], None]

_MOST_EXAMPLES = 2**32
_PREDICTIONS_PER_BLOCK = 1 << 19
_ROWS_PER_BATCH = 2048
_BATCHES_PER_RELEASE = 16
_ONE = np.float32(1.0).view(np.int32)  # float features travel as their bits


def draw_examples(
    corpus: Corpus,
    vocabulary: VocabularyIds,
    options: GenerationOptions,
    rng: random.Random,
    scratch: Scratch,
    progress: Progress = lambda documents: None,
) -> Drawn:
    """All draws of a run, in the original's order (its create_training_instances).

    Args:
      corpus: all documents in reading order.
      vocabulary: ids of special tokens and replacements.
      options: what to draw; `random_seed` is not read here.
      rng: a fresh `random.Random(seed)` gives what the original gives; it is not advanced.
      scratch: makes the arrays.
      progress: called with the number of documents done since the last call.
    """
    twister, rules = twister_of(rng), mask_rules(options, vocabulary)
    order = np.arange(corpus.documents)
    shuffle(twister, order)
    pairs = scratch.array(np.int64, PAIR_COLUMNS)
    ends, predictions = scratch.array(np.int64), scratch.array(np.int64)
    ends.append(np.zeros(1, np.int64))
    block = _Block.with_room_for(1, options.max_predictions_per_seq)
    examples = drawn = 0
    for _ in range(options.dupe_factor):
        place = 0
        while place < corpus.documents:
            done, found = block.draw(twister, rules, corpus, options, order, place)
            if done == place:  # a document of more sentences than the block has rows
                document = order[place]
                sentences = corpus.document_starts[document + 1] - corpus.document_starts[document]
                block = _Block.with_room_for(int(sentences), options.max_predictions_per_seq)
                continue
            pairs.append(block.pairs[:found])
            ends.append(block.ends[:found] + drawn)
            count = int(block.ends[found - 1])
            predictions.append(block.predictions[:count])
            examples, drawn = examples + found, drawn + count
            progress(done - place)
            place = done
            scratch.release()
    if examples >= _MOST_EXAMPLES:
        raise DataError(
            f"One run makes fewer than {_MOST_EXAMPLES} examples, but the text gives {examples}. "
            "Split --input_file, or lower --dupe_factor."
        )
    written = np.arange(examples, dtype=np.uint32)
    shuffle(twister, written)
    return Drawn(pairs.view(), ends.view(), predictions.view(), written)


@dataclasses.dataclass(frozen=True)
class _Block:
    """Where compiled code puts examples before they go to disk."""

    pairs: Longs
    ends: Longs
    predictions: Longs

    @classmethod
    def with_room_for(cls, examples: int, max_predictions: int) -> _Block:
        """`examples` rows, or more."""
        rows = max(examples, _PREDICTIONS_PER_BLOCK // max_predictions)
        return cls(
            np.empty((rows, PAIR_COLUMNS), np.int64),
            np.empty(rows, np.int64),
            np.empty(rows * max_predictions, np.int64),
        )

    def draw(
        self,
        twister: Twister,
        rules: MaskRules,
        corpus: Corpus,
        options: GenerationOptions,
        order: Longs,
        place: int,
    ) -> tuple[int, int]:
        """One pass over the documents from `place` on that have room; (next place, examples)."""
        done, found = _draw_documents(
            twister,
            rules,
            corpus.tokens,
            corpus.sentence_starts,
            corpus.document_starts,
            order,
            place,
            options.max_seq_length - SPECIALS,
            options.short_seq_prob,
            self.pairs,
            self.ends,
            self.predictions,
        )
        return int(done), int(found)


@compiled
def _draw_documents(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    sentence_starts: Longs,
    document_starts: Longs,
    order: Longs,
    place: int,
    max_tokens: int,
    short_seq_prob: float,
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
) -> tuple[int, int]:
    """Fills a block with examples; the place of the first document left, the examples drawn."""
    examples = count = 0
    while place < len(order):
        chunk, end = document_starts[order[place]], document_starts[order[place] + 1]
        if examples + end - chunk > len(pairs):  # a sentence starts one example at most
            break
        target = draw_target(twister, max_tokens, short_seq_prob)
        while chunk < end:
            chunk = draw_pair(
                twister, sentence_starts, document_starts, order, place, chunk, target,
                max_tokens, pairs[examples],
            )  # fmt: skip
            count += draw_predictions(twister, rules, tokens, pairs[examples], predictions[count:])
            ends[examples] = count
            examples += 1
        place += 1
    return place, examples


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
        self._sizes = (options.max_seq_length, options.max_predictions_per_seq)
        self._encoder = FrameEncoder(pretraining_schema(*self._sizes))

    def values(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """The features of the examples `rows` side by side, int32 [B, all lengths]."""
        values = np.zeros((len(rows), self._encoder.width), np.int32)
        drawn, vocabulary = self._drawn, self._vocabulary
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
            self._corpus.tokens_of(pairs),
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


def written_batches(
    drawn: Drawn,
    corpus: Corpus,
    vocabulary: VocabularyIds,
    options: GenerationOptions,
    scratch: Scratch,
    outputs: int = 1,
    threads: int = 1,
    observe: Observe | None = None,
) -> Iterator[list[tuple[memoryview, int]]]:
    """For batch after batch, the frames that each output gets, and how many they are.

    Example i of the writing order goes to output i % outputs. Memory of `scratch` is given back
    now and then.
    """

    def batch(job: tuple[ExampleWriter, int, npt.NDArray[np.uint32]]) -> list[Any]:
        writer, number, rows = job
        parts = [rows[(output - number) % outputs :: outputs] for output in range(outputs)]
        return [(writer.frames(part).data, len(part)) for part in parts]

    def jobs() -> Iterator[tuple[ExampleWriter, int, npt.NDArray[np.uint32]]]:
        number = 0
        for stretch in in_stretches(drawn, options.max_predictions_per_seq, scratch):
            writer = ExampleWriter(stretch, corpus, vocabulary, options, observe)
            for start in range(0, len(stretch.order), _ROWS_PER_BATCH):
                rows = stretch.order[start : start + _ROWS_PER_BATCH]
                yield writer, number, rows
                number += len(rows)

    with ThreadPoolExecutor(threads) as pool:
        for number, made in enumerate(in_order(pool, threads, batch, jobs())):
            yield made
            if number % _BATCHES_PER_RELEASE == 0:
                scratch.release()


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
    cls_id: int,
    sep_id: int,
    sizes: tuple[int, int],
    values: npt.NDArray[np.int32],
) -> None:
    """Features as in `pretraining_schema`; `values` holds zeros before.

    index        0     1 .. A   A+1   A+2 .. A+B+1  A+B+2
    input_ids   [CLS]  a ...   [SEP]  b ...         [SEP]   0 ...    (`features.pack`)
    """
    length, most = sizes
    for row in range(len(pairs)):
        pair = pairs[row]
        ids, mask, segments, positions, labels, weights, is_random = _split(
            values[row], length, most
        )
        separator = pair[END_A] - pair[START_A] + 1
        end = separator + pair[END_B] - pair[START_B] + 2
        ids[0], ids[separator], ids[end - 1] = cls_id, sep_id, sep_id
        _copy(tokens, pair[START_A], pair[END_A], ids, 1)
        _copy(tokens, pair[START_B], pair[END_B], ids, separator + 1)
        for i in range(end):
            mask[np.uint64(i)] = 1
        for i in range(separator + 1, end):
            segments[np.uint64(i)] = 1
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
