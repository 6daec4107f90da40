"""From a corpus to records: draw all examples, shuffle, then write them in batches (`rows`).

Drawn examples are offsets and predictions on disk, 128 bytes each by default (`drawn`); ids are
gathered from the corpus only when a batch is written. All chance is in one compiled pass, whose
draws come in the original's order; writing draws nothing, so it runs on all cores.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import uncounted
from data_prep import full_sentences
from data_prep.ahead import in_order
from data_prep.deal import in_stretches
from data_prep.documents import Corpus, Progress
from data_prep.drawn import Drawn, RowLayout, pack_rows, row_layout
from data_prep.full_sentences import draw_runs
from data_prep.masking import (
    MaskRules,
    choose_for_all,
    draw_by_tokens,
    draw_predictions,
    mask_rules,
    number_type,
)
from data_prep.mersenne import Swaps, Twister, shuffle, twister_of
from data_prep.options import DataError, GenerationOptions, VocabularyIds
from data_prep.pairs import (
    END_A,
    END_B,
    PAIR_COLUMNS,
    SPECIALS,
    START_A,
    START_B,
    draw_target,
)
from data_prep.rows import ExampleWriter, Observe
from data_prep.sentence_order import draw_next
from data_prep.store import Scratch

Longs = npt.NDArray[np.int64]
# For batch after batch, the frames that each output gets, and how many they are.
Batches = Generator[list[tuple[memoryview, int]], None, None]

_MOST_EXAMPLES = 2**32
_PREDICTIONS_PER_BLOCK = 1 << 17
_SWAPS_PER_BLOCK = 1 << 20
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
    layout = row_layout(options, len(vocabulary.continuation))
    kept = _Kept(scratch, layout, mask_rules(options, vocabulary))
    with ThreadPoolExecutor(1) as other:  # has one block while the next one is drawn
        keeping: Future[None] | None = None
        for block, found, documents in draw(twister, rules, corpus, options):
            if keeping:
                keeping.result()
            keeping = other.submit(kept.append, block, found)
            progress(documents)
            scratch.release()
        if keeping:
            keeping.result()
    rows = kept.rows.view()
    examples = len(rows)
    if examples >= _MOST_EXAMPLES:
        raise DataError(
            f"One run makes fewer than {_MOST_EXAMPLES} examples, but the text gives {examples}. "
            "Split --input_file, or lower --dupe_factor."
        )
    written = np.arange(examples, dtype=np.uint32)
    shuffle(twister, written)
    return Drawn(rows, written, layout)


@dataclasses.dataclass(frozen=True)
class _Block:
    """Where compiled code puts examples before they go to disk.

    Attributes:
      swaps: of the shuffled tokens of each example, where predictions still lack their positions
        (`masking.choose_for_all`); else none.
    """

    pairs: Longs
    ends: Longs
    predictions: Longs
    swaps: Swaps

    @classmethod
    def with_room_for(cls, examples: int, options: GenerationOptions, by_tokens: bool) -> _Block:
        """`examples` rows, or more; swaps where each token is chosen `by_tokens`."""
        most = options.max_predictions_per_seq
        usual = min(_PREDICTIONS_PER_BLOCK // most, _SWAPS_PER_BLOCK // options.max_seq_length)
        rows = max(examples, usual)
        return cls(
            np.empty((rows, PAIR_COLUMNS), np.int64),
            np.empty(rows, np.int64),
            np.empty(rows * most, np.int64),
            np.empty(rows * options.max_seq_length * by_tokens, number_type(options)),
        )


class _Kept:
    """All examples on disk; what they need beyond their draws is done on the way there.

    Args:
      scratch: makes the array.
      layout: of its rows.
      rules: with which they were drawn, of its own.
    """

    def __init__(self, scratch: Scratch, layout: RowLayout, rules: MaskRules) -> None:
        self.rows = scratch.array(np.int64, layout.columns)
        self._layout, self._rules = layout, rules

    def append(self, block: _Block, found: int) -> None:
        """Takes the first `found` examples of a block."""
        pairs, ends = block.pairs[:found], block.ends[:found]
        if found and len(block.swaps):
            choose_for_all(block.swaps, pairs, ends, block.predictions, self._rules)
        self.rows.append(pack_rows(pairs, ends, block.predictions, self._layout))


# A block with examples, how many they are, and how many documents were done for it.
_Blocks = Iterator[tuple[_Block, int, int]]


def _draw_pairs(
    twister: Twister, rules: MaskRules, corpus: Corpus, options: GenerationOptions
) -> _Blocks:
    """All passes over shuffled documents; a block is written anew by the next but one."""
    order = np.arange(corpus.documents)
    shuffle(twister, order)
    block, spare = (_Block.with_room_for(1, options, rules.by_tokens) for _ in range(2))
    for _ in range(options.dupe_factor):
        place = 0
        while place < corpus.documents:
            done, found = _draw_documents(
                twister, rules, corpus.tokens, corpus.sentence_starts, corpus.document_starts,
                order, place, options.max_seq_length - SPECIALS, options.short_seq_prob,
                options.next_sentence == "order", block.pairs, block.ends, block.predictions,
                block.swaps,
            )  # fmt: skip
            if done == place:  # a document of more sentences than the block has rows
                document = order[place]
                sentences = corpus.document_starts[document + 1] - corpus.document_starts[document]
                block = _Block.with_room_for(int(sentences), options, rules.by_tokens)
                continue
            yield block, int(found), int(done) - place
            block, spare = spare, block
            place = int(done)


def _draw_runs(
    twister: Twister, rules: MaskRules, corpus: Corpus, options: GenerationOptions
) -> _Blocks:
    """All passes over full sentences; a block is written anew by the next but one."""
    block, spare = (_Block.with_room_for(1, options, by_tokens=False) for _ in range(2))
    for _ in range(options.dupe_factor):
        cursor, document = np.zeros(3, np.int64), 0
        while found := draw_runs(
            twister, rules, corpus.tokens, corpus.sentence_starts, corpus.document_starts, cursor,
            options.max_seq_length - full_sentences.SPECIALS, block.pairs, block.ends,
            block.predictions,
        ):  # fmt: skip
            before, document = document, int(cursor[full_sentences.DOCUMENT])
            yield block, int(found), document - before
            block, spare = spare, block
        yield block, 0, corpus.documents - document


@uncounted
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
    swaps: Swaps,
) -> tuple[int, int]:
    """Fills a block with examples; the place of the first document left, the examples drawn."""
    examples = count = swap = 0
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
            if rules.by_tokens:
                size = pairs[examples, END_A] - pairs[examples, START_A]
                size += pairs[examples, END_B] - pairs[examples, START_B]
                wanted = rules.wanted[size + SPECIALS]
                count += draw_by_tokens(
                    twister, rules, size, wanted, swaps, swap, predictions, count
                )
                swap += size - 1
            else:
                found = predictions[count:]
                count += draw_predictions(twister, rules, tokens, pairs[examples], found)
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
        for stretch in in_stretches(drawn, scratch, threads):
            writer = ExampleWriter(stretch, corpus, vocabulary, options, observe)
            for start in range(0, len(stretch.order), _ROWS_PER_BATCH):
                rows = stretch.order[start : start + _ROWS_PER_BATCH]
                yield writer, number, rows
                number += len(rows)

    with contextlib.closing(in_order(threads, batch, jobs())) as batches:
        for number, made in enumerate(batches):
            yield made
            if number % _BATCHES_PER_RELEASE == 0:
                scratch.release()
