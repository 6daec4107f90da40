"""From a corpus to records: draw all examples, shuffle, then write them in batches (`rows`).

Drawn examples are offsets and predictions, 200 to 300 bytes each, on disk; ids are gathered from
the corpus only when a batch is written. All chance is in one compiled pass, whose draws come in
the original's order; writing draws nothing, so it runs on all cores.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep import full_sentences
from data_prep.ahead import in_order
from data_prep.deal import Drawn, in_stretches
from data_prep.documents import Corpus, Progress
from data_prep.full_sentences import draw_runs
from data_prep.masking import (
    MaskRules,
    draw_predictions,
    mask_rules,
)
from data_prep.mersenne import Twister, shuffle, twister_of
from data_prep.options import DataError, GenerationOptions, VocabularyIds
from data_prep.pairs import (
    END_A,
    PAIR_COLUMNS,
    SPECIALS,
    START_A,
    draw_target,
)
from data_prep.rows import ExampleWriter, Observe
from data_prep.sentence_order import draw_next
from data_prep.store import Scratch

Longs = npt.NDArray[np.int64]
# For batch after batch, the frames that each output gets, and how many they are.
Batches = Generator[list[tuple[memoryview, int]], None, None]

_MOST_EXAMPLES = 2**32
_PREDICTIONS_PER_BLOCK = 1 << 19
_ROWS_PER_BATCH = 2048
_BATCHES_PER_RELEASE = 16


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
    with ThreadPoolExecutor(1) as disk:  # writes a block while the next one is drawn
        writing: list[Future[None]] = []
        for block, found, documents in draw(twister, rules, corpus, options):
            for part in writing:
                part.result()
            if found:
                count = int(block.ends[found - 1])
                writing = [
                    disk.submit(pairs.append, block.pairs[:found].copy()),
                    disk.submit(ends.append, block.ends[:found] + drawn),
                    disk.submit(predictions.append, block.predictions[:count].copy()),
                ]
                examples, drawn = examples + found, drawn + count
            progress(documents)
            scratch.release()
        for part in writing:
            part.result()
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
            chunk = draw_next(
                twister, sentence_starts, document_starts, order, place, chunk, target,
                max_tokens, ordered, pairs[examples],
            )  # fmt: skip
            if pairs[examples, START_A] == pairs[examples, END_A]:
                continue
            count += draw_predictions(twister, rules, tokens, pairs[examples], predictions[count:])
            ends[examples] = count
            examples += 1
        place += 1
    return place, examples


def written_batches(
    drawn: Drawn,
    corpus: Corpus,
    vocabulary: VocabularyIds,
    options: GenerationOptions,
    scratch: Scratch,
    outputs: int = 1,
    threads: int = 1,
    observe: Observe | None = None,
) -> Batches:
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
        for stretch in in_stretches(drawn, options, len(vocabulary.continuation), scratch):
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
