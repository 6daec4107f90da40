"""One shard of a corpus' records, as a pure function: whoever computes it writes the same bytes.

The pairs of all passes are drawn first, a few numbers each, and kept on disk: pass after pass, in
the order of the documents, each from a stream of its own (`streams`). Examples are numbered in this
order. Shard i of N holds those whose numbers a keyed permutation puts at the places

    i * E // N  ...  (i + 1) * E // N - 1

of E; their masks come from a stream of each pair. The corpus is not asked who else is at work.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from bert_tf.files import write_text
from bert_tf.inputs.frames import FrameEncoder
from bert_tf.inputs.records import Manifest, RecordWriter
from data_prep.ahead import in_order
from data_prep.corpus_store import StoredCorpus
from data_prep.documents import Corpus, Progress
from data_prep.drawn import Drawn, RowLayout, pack_rows, row_layout
from data_prep.gather import gather_rows, gather_tokens
from data_prep.kept import KeptArrays, Layout, OpenArrays, locked
from data_prep.masking import MaskRules, draw_predictions, mask_rules
from data_prep.mersenne import Twister, getrandbits, new_twister, reseed
from data_prep.options import GenerationOptions, VocabularyIds
from data_prep.pairs import END_A, PAIR_COLUMNS, SPECIALS, START_A, draw_target
from data_prep.rows import ExampleWriter
from data_prep.sentence_order import draw_next
from data_prep.statistics import Statistics
from data_prep.streams import fill_order, key_of, pass_key

Longs = npt.NDArray[np.int64]

_STREAM = PAIR_COLUMNS  # the column of a pair's own stream, after those of `pairs`
PAIRS: Layout = {"pairs": (np.int64, PAIR_COLUMNS + 1)}
_STREAM_BITS = 62
_SENTENCES_OF_A_UNIT = 1 << 16
_ROWS_PER_BATCH = 2048
_ROWS_OF_A_STRETCH = 1 << 16


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """All that a worker must know to make any shard; the same for all of them.

    Attributes:
      corpus, pairs: folders that every worker reaches.
      output: name of the records; each shard's name is made of it.
      shards: how many there are.
      options: see `GenerationOptions`.
      vocabulary: see `VocabularyIds`.
      unknown: the id of [UNK].
      manifest: of every shard; its writer sets the counts.
      label: changes with all that the records depend on.
    """

    corpus: str
    pairs: str
    output: str
    shards: int
    options: GenerationOptions
    vocabulary: VocabularyIds
    unknown: int
    manifest: Manifest
    label: str

    def name(self, shard: int) -> str:
        """The file of a shard."""
        return shard_name(self.output, shard, self.shards)


@dataclasses.dataclass(frozen=True)
class ShardNote:
    """What is known of a shard that is complete.

    Attributes:
      shard: its number.
      name: of the file, without its folder.
      records: how many it holds.
      size: bytes of the file.
      sha256: of the file.
      statistics: of its records.
    """

    shard: int
    name: str
    records: int
    size: int
    sha256: str
    statistics: Statistics

    def to_json(self) -> dict[str, Any]:
        """Plain values for json.dump."""
        return {**dataclasses.asdict(self), "statistics": self.statistics.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ShardNote:
        """The inverse of `to_json`."""
        return cls(**{**values, "statistics": Statistics.from_json(values["statistics"])})


def shard_name(output: str, shard: int, shards: int) -> str:
    """OUTPUT-00003-of-00008 for number 3 of 8."""
    return f"{output}-{shard:05d}-of-{shards:05d}"


def notes_folder(output: str, shards: int) -> Path:
    """Where the notes about complete shards lie while others are being made."""
    path = Path(output)
    return path.with_name(f".{path.name}-of-{shards:05d}.shards")


def read_note(job: ShardJob, shard: int) -> ShardNote | None:
    """The note about a shard, if it is complete."""
    try:
        path = notes_folder(job.output, job.shards) / f"{shard:05d}.json"
        note = json.loads(path.read_text(encoding="utf-8"))
        if note.pop("label") != job.label or os.stat(job.name(shard)).st_size != note["size"]:
            return None
        return ShardNote.from_json(note)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_note(job: ShardJob, note: ShardNote) -> None:
    """Says that a shard is complete."""
    path = notes_folder(job.output, job.shards) / f"{note.shard:05d}.json"
    write_text(path, json.dumps({"label": job.label, **note.to_json()}))


def make_shard(job: ShardJob, shard: int, progress: Progress = lambda records: None) -> ShardNote:
    """Writes a shard, unless it is complete already; nothing else changes.

    Several workers may be told to make one shard, as engines do with one that seems lost: the
    second waits for the first and finds its work, or does it.

    Args:
      job: see `ShardJob`.
      shard: which one, 0 .. shards - 1.
      progress: called with the number of records done since the last call.

    Raises:
      RecordError, OSError: the shard cannot be written; nothing has its name.
    """
    folder = notes_folder(job.output, job.shards)
    with locked(folder / f"{shard:05d}.lock"):
        note = read_note(job, shard)
        if note is None:
            note = _write_shard(job, shard, progress)
            write_note(job, note)
        else:
            progress(note.records)
        return note


def _write_shard(job: ShardJob, shard: int, progress: Progress) -> ShardNote:
    digest = hashlib.sha256()
    size = 0
    encoder = FrameEncoder(job.manifest.schema)
    statistics = Statistics.empty(job.options)
    with RecordWriter(job.name(shard), job.manifest) as writer:
        for values in shard_rows(job, shard):
            frames = encoder.encode(values).data
            writer.write_frames(frames, len(values))
            digest.update(frames)
            size += len(frames)
            statistics.add_rows(values, job.vocabulary.mask, job.unknown)
            progress(len(values))
    name = Path(job.name(shard)).name
    return ShardNote(shard, name, writer.records, size, digest.hexdigest(), statistics)


def shard_rows(job: ShardJob, shard: int) -> Iterator[npt.NDArray[np.int32]]:
    """The features of a shard's examples, in their order, in batches (`ExampleWriter.values`)."""
    stored = StoredCorpus(job.corpus)
    arrays = OpenArrays(job.pairs, PAIRS)
    pairs, key = arrays.view("pairs"), key_of(job.options.random_seed, "order")
    rules, twister = mask_rules(job.options, job.vocabulary), new_twister()
    layout = row_layout(job.options, len(job.vocabulary.continuation))
    first, end = (len(pairs) * number // job.shards for number in (shard, shard + 1))
    for start in range(first, end, _ROWS_OF_A_STRETCH):
        examples = np.empty(min(_ROWS_OF_A_STRETCH, end - start), np.int64)
        fill_order(start, len(pairs), key, examples)
        found = gather_rows(pairs, examples, arrays.release)
        tokens, found = gather_tokens(stored.corpus.tokens, found, stored.release)
        corpus = dataclasses.replace(stored.corpus, tokens=tokens)
        for place in range(0, len(found), _ROWS_PER_BATCH):
            chosen = found[place : place + _ROWS_PER_BATCH]
            drawn = _masked(twister, rules, tokens, chosen, layout)
            writer = ExampleWriter(drawn, corpus, job.vocabulary, job.options)
            yield writer.values(drawn.order)


def _masked(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    pairs: Longs,
    layout: RowLayout,
) -> Drawn:
    """The pairs with masks, each from its own stream."""
    ends = np.empty(len(pairs), np.int64)
    predictions = np.empty(len(pairs) * layout.most, np.int64)
    _draw_masks(twister, rules, tokens, pairs, ends, predictions)
    rows = pack_rows(pairs, ends, predictions, layout)
    return Drawn(rows, np.arange(len(pairs), dtype=np.uint32), layout)


@compiled
def _draw_masks(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
) -> None:
    count = 0
    for row in range(len(pairs)):
        reseed(twister, np.uint64(pairs[row, _STREAM]))
        count += draw_predictions(twister, rules, tokens, pairs[row], predictions[count:])
        ends[row] = count


def draw_pairs(
    corpus: Corpus,
    options: GenerationOptions,
    kept: KeptArrays,
    threads: int,
    progress: Progress = lambda documents: None,
) -> None:
    """Draws the pairs of all passes, or of those that are missing.

    Args:
      corpus: see `Corpus`.
      options: what to draw.
      kept: of the layout `PAIRS`.
      threads: that draw.
      progress: called with the number of documents done since the last call.
    """
    order = np.arange(corpus.documents)  # Each has its own stream: none need be shuffled.
    key = key_of(options.random_seed, "passes")
    draw = functools.partial(_draw_unit, corpus, options, order, key)
    steps = kept.steps
    left = itertools.islice(_units(corpus, options.dupe_factor), steps, None)
    with contextlib.closing(in_order(threads, draw, left)) as drawn:
        for documents, pairs in drawn:
            kept.append("pairs", pairs)
            steps += 1
            kept.keep(steps, {})
            progress(documents)
    kept.keep(steps, {}, complete=True)


def _units(corpus: Corpus, duplicates: int) -> Iterator[tuple[int, int, int]]:
    """Portions of work: the number of the pass, the first document and the last one's end."""
    starts = corpus.document_starts
    for duplicate in range(duplicates):
        first = 0
        while first < corpus.documents:
            most = starts[first] + _SENTENCES_OF_A_UNIT
            end = max(int(np.searchsorted(starts, most, "right")) - 1, first + 1)
            yield duplicate, first, end
            first = end


def _draw_unit(
    corpus: Corpus,
    options: GenerationOptions,
    order: Longs,
    key: np.uint64,
    unit: tuple[int, int, int],
) -> tuple[int, Longs]:
    """How many documents a unit has, and their pairs."""
    _, first, end = unit
    starts = corpus.document_starts
    # A sentence starts one example at most.
    pairs = np.empty((int(starts[end] - starts[first]), PAIR_COLUMNS + 1), np.int64)
    found = _draw_documents(
        new_twister(),
        key,
        corpus.sentence_starts,
        starts,
        order,
        unit,
        options.max_seq_length - SPECIALS,
        options.short_seq_prob,
        options.next_sentence == "order",
        pairs,
    )
    return end - first, pairs[:found]


@compiled
def _draw_documents(
    twister: Twister,
    key: np.uint64,
    sentence_starts: Longs,
    document_starts: Longs,
    order: Longs,
    unit: tuple[int, int, int],
    max_tokens: int,
    short_seq_prob: float,
    ordered: bool,
    pairs: Longs,
) -> int:
    """Writes the pairs of a unit; how many."""
    duplicate, first, last = unit
    found = 0
    for document in range(first, last):
        reseed(twister, pass_key(key, duplicate, document))
        chunk, end = document_starts[document], document_starts[document + 1]
        target = draw_target(twister, max_tokens, short_seq_prob)
        while chunk < end:
            chunk = draw_next(
                twister, sentence_starts, document_starts, order, document, chunk, target,
                max_tokens, ordered, pairs[found],
            )  # fmt: skip
            if pairs[found, START_A] == pairs[found, END_A]:
                continue
            pairs[found, _STREAM] = getrandbits(twister, _STREAM_BITS)
            found += 1
    return found
