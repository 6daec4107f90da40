"""From a corpus to records: draw all examples, shuffle, then build rows in batches.

Drawn examples are offsets and predictions, 200 to 300 bytes each, on disk; ids are gathered from
the corpus only when a batch is written. All chance is in one compiled pass, whose draws come in
the original's order; writing draws nothing, so it runs on all cores.
"""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from bert_tf.inputs.frames import FrameEncoder
from bert_tf.inputs.records import pretraining_schema
from data_prep import full_sentences
from data_prep.ahead import in_order
from data_prep.documents import Corpus, Progress
from data_prep.full_sentences import draw_runs, lay_out_run
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
from data_prep.sentence_order import draw_ordered
from data_prep.store import Scratch

Longs = npt.NDArray[np.int64]

_MOST_EXAMPLES = 2**32
_PREDICTIONS_PER_BLOCK = 1 << 19
_ROWS_PER_BATCH = 2048
_BATCHES_PER_RELEASE = 16
_ONE = np.float32(1.0).view(np.int32)  # float features travel as their bits


@dataclasses.dataclass(frozen=True)
class Drawn:
    """E examples as they were drawn, and the order in which they are written.

    Attributes:
      pairs: int64 [E, 5], see `pairs`.
      prediction_ends: int64 [E + 1], example e has predictions[ends[e]:ends[e + 1]].
      predictions: int64, see `masking`.
      order: uint32 [E].
    """

    pairs: Longs
    prediction_ends: Longs
    predictions: Longs
    order: npt.NDArray[np.uint32]


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
    draw = _draw_runs if options.next_sentence == "none" else _draw_pairs
    pairs = scratch.array(np.int64, PAIR_COLUMNS)
    ends, predictions = scratch.array(np.int64), scratch.array(np.int64)
    ends.append(np.zeros(1, np.int64))
    examples = drawn = 0
    for block, found, documents in draw(twister, rules, corpus, options):
        if found:
            pairs.append(block.pairs[:found])
            ends.append(block.ends[:found] + drawn)
            count = int(block.ends[found - 1])
            predictions.append(block.predictions[:count])
            examples, drawn = examples + found, drawn + count
        progress(documents)
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


# A block with examples, how many they are, and how many documents were done for it.
_Blocks = Iterator[tuple[_Block, int, int]]


def _draw_pairs(
    twister: Twister, rules: MaskRules, corpus: Corpus, options: GenerationOptions
) -> _Blocks:
    """All passes over shuffled documents; a block is written anew by the next."""
    order = np.arange(corpus.documents)
    shuffle(twister, order)
    block = _Block.with_room_for(1, options.max_predictions_per_seq)
    for _ in range(options.dupe_factor):
        place = 0
        while place < corpus.documents:
            done, found = _draw_documents(
                twister, rules, corpus.tokens, corpus.sentence_starts, corpus.document_starts,
                order, place, options.max_seq_length - SPECIALS, options.short_seq_prob,
                options.next_sentence == "order", block.pairs, block.ends, block.predictions,
            )  # fmt: skip
            if done == place:  # a document of more sentences than the block has rows
                document = order[place]
                sentences = corpus.document_starts[document + 1] - corpus.document_starts[document]
                block = _Block.with_room_for(int(sentences), options.max_predictions_per_seq)
                continue
            yield block, int(found), int(done) - place
            place = int(done)


def _draw_runs(
    twister: Twister, rules: MaskRules, corpus: Corpus, options: GenerationOptions
) -> _Blocks:
    """All passes over full sentences; a block is written anew by the next."""
    block = _Block.with_room_for(1, options.max_predictions_per_seq)
    for _ in range(options.dupe_factor):
        cursor, document = np.zeros(3, np.int64), 0
        while found := draw_runs(
            twister, rules, corpus.tokens, corpus.sentence_starts, corpus.document_starts, cursor,
            options.max_seq_length - full_sentences.SPECIALS, block.pairs, block.ends,
            block.predictions,
        ):  # fmt: skip
            before, document = document, int(cursor[full_sentences.DOCUMENT])
            yield block, int(found), document - before
        yield block, 0, corpus.documents - document


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
    ordered: bool,
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
            if ordered:
                chunk = draw_ordered(
                    twister, sentence_starts, chunk, end, target, max_tokens, pairs[examples]
                )
                if pairs[examples, START_A] == pairs[examples, END_A]:
                    continue
            else:
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
    """Builds the records of drawn examples; calls from several threads do not hinder each other."""

    def __init__(
        self, drawn: Drawn, corpus: Corpus, vocabulary: VocabularyIds, options: GenerationOptions
    ) -> None:
        self._drawn, self._corpus, self._vocabulary = drawn, corpus, vocabulary
        self._sizes = (options.max_seq_length, options.max_predictions_per_seq)
        self._encoder = FrameEncoder(pretraining_schema(*self._sizes))

    def values(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.int32]:
        """The features of the examples `rows` side by side, int32 [B, all lengths]."""
        values = np.zeros((len(rows), self._encoder.width), np.int32)
        drawn, vocabulary = self._drawn, self._vocabulary
        _fill_rows(
            rows,
            drawn.pairs,
            drawn.prediction_ends,
            drawn.predictions,
            self._corpus.tokens,
            self._corpus.sentence_starts,
            self._corpus.document_starts,
            vocabulary.cls,
            vocabulary.sep,
            self._sizes,
            values,
        )
        return values

    def frames(self, rows: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """The bytes of a TFRecord file that holds the examples `rows`."""
        return self._encoder.encode(self.values(rows))

    def batches(
        self, outputs: int, threads: int, scratch: Scratch
    ) -> Iterator[list[tuple[memoryview, int]]]:
        """For batch after batch, the frames that each output gets, and how many they are.

        Example i of the writing order goes to output i % outputs. Memory of `scratch` is given
        back now and then.
        """
        order = self._drawn.order
        starts = range(0, len(order), _ROWS_PER_BATCH)
        with ThreadPoolExecutor(threads) as pool:
            made = in_order(pool, threads, functools.partial(self._batch, outputs), starts)
            for number, batch in enumerate(made):
                yield batch
                if number % _BATCHES_PER_RELEASE == 0:
                    scratch.release()

    def _batch(self, outputs: int, start: int) -> list[tuple[memoryview, int]]:
        rows = self._drawn.order[start : start + _ROWS_PER_BATCH]
        parts = [rows[(output - start) % outputs :: outputs] for output in range(outputs)]
        return [(self.frames(part).data, len(part)) for part in parts]


@compiled
def _fill_rows(
    rows: npt.NDArray[np.integer],
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
    for row in range(len(rows)):
        example = np.int64(rows[row])
        pair = pairs[example]
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
            ids[1:separator] = tokens[pair[START_A] : pair[END_A]]
            ids[separator + 1 : end - 1] = tokens[pair[START_B] : pair[END_B]]
            segments[separator + 1 : end] = 1
        mask[:end] = 1
        chosen = np.sort(predictions[ends[example] : ends[example + 1]])
        for i in range(len(chosen)):
            position = chosen[i] >> POSITION_SHIFT
            replacement = chosen[i] & ((1 << POSITION_SHIFT) - 1)
            positions[i], labels[i], weights[i] = position, ids[position], _ONE
            if replacement != KEEP_TOKEN:
                ids[position] = replacement - 1
        is_random[0] = pair[IS_RANDOM]


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
