"""Records as shards: from a seed and the number of shards alone, by any number of workers.

    names_taken  one run has the names of the shards at a time
    prepare      tokenize the text, draw the pairs; both are kept and used again after a crash
    make_shard   (`shards`) for each shard, in any order, anywhere
    finish       the manifest of all shards

`create_shards` does all of it on this machine; with `engines` the work is done elsewhere.
`verify_shards` reads what there is and says what is wrong with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import operator
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from bert_tf.files import write_text
from bert_tf.inputs.records import Manifest
from bert_tf.tokenization import UNK_TOKEN
from data_prep.ahead import in_order
from data_prep.corpus_store import Source, StoredCorpus, Tokenize, make_corpus
from data_prep.documents import total_size
from data_prep.kept import KeptArrays, OpenArrays, locked
from data_prep.options import DataError, GenerationOptions, VocabularyIds
from data_prep.shards import (
    PAIRS,
    ShardJob,
    ShardNote,
    draw_pairs,
    make_shard,
    notes_folder,
    read_note,
    shard_name,
)
from data_prep.statistics import Findings, facts_of

_VERSION = 1
MOST_SHARDS = 99_999  # five digits in a name
MANIFEST = "manifest.json"
_RUN = "run.json"


@dataclasses.dataclass(frozen=True)
class ScaleRun:
    """One run of scale mode.

    Attributes:
      source: text and vocabulary.
      output: each shard's name starts so.
      shards: how many.
      options: see `GenerationOptions`.
      manifest: of each record file; its writer sets the counts.
      workers: threads that tokenize and write; nothing depends on it.
    """

    source: Source
    output: str
    shards: int
    options: GenerationOptions
    manifest: Manifest
    workers: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.shards <= MOST_SHARDS:
            raise DataError(f"--shards must be from 1 to {MOST_SHARDS}; got {self.shards}.")
        if "," in self.output:
            raise DataError(
                f"With --shards, --output_file is one name, of which every shard's is made; got "
                f"{self.output!r}."
            )

        if self.options.next_sentence == "none":
            raise DataError(
                "--next_sentence=none is of the exact mode: full sentences run on from document "
                "to document, and --shards draws each by itself. Leave one of them out."
            )

    @property
    def names(self) -> list[str]:
        """The files of all shards."""
        return [shard_name(self.output, shard, self.shards) for shard in range(self.shards)]


@dataclasses.dataclass(frozen=True)
class Finished:
    """What a complete run can tell.

    Attributes:
      manifest: the file that names all shards.
      notes: of all shards, in their order.
      findings: what the records and the text are like.
      dropped_bytes: of the text that were not UTF-8.
      input_report: lines of text on what was read; none where an engine read it in parts.
      corpus: where the tokenized text is kept.
    """

    manifest: Path
    notes: list[ShardNote]
    findings: Findings
    dropped_bytes: int
    input_report: str
    corpus: Path


# Hands out the notes of all shards as they come; where they are made is the engine's affair.
MakeAll = Callable[[ShardJob], Iterable[ShardNote]]


def create_shards(
    run: ScaleRun, make_all: MakeAll | None = None, tokenize: Tokenize | None = None
) -> Finished:
    """Makes all shards, or those that are missing, and the manifest of all.

    Args:
      run: see `ScaleRun`.
      make_all: makes the shards; default: on this machine.
      tokenize: as that of `make_corpus`.

    Raises:
      DataError, RecordError, OSError: complete shards stay and are used by the next run.
    """
    with names_taken(run):
        job = prepare(run, tokenize)
        notes = make_all(job) if make_all else make_here(job, run.workers)
        return finish(run, job, notes)


def make_here(job: ShardJob, workers: int) -> Iterator[ShardNote]:
    """All shards by threads of this process; compiled code runs without the interpreter's lock."""
    with tqdm(total=_examples(job), desc="writing", unit="rec", mininterval=0.5) as bar:
        make = functools.partial(make_shard, job, progress=bar.update)
        yield from in_order(workers, make, range(job.shards))


def prepare(run: ScaleRun, tokenize: Tokenize | None = None) -> ShardJob:
    """Everything up to the shards: corpus and pairs.

    Args:
      run: see `ScaleRun`; its names are taken (`names_taken`).
      tokenize: as that of `make_corpus`.

    Raises:
      DataError: no text; more shards than examples.
      OSError: a folder cannot be written, or the disk is full.
    """
    tokenizer = run.source.tokenizer()
    vocabulary = VocabularyIds.from_vocab(tokenizer.vocab)
    label = _label(run)
    with tqdm(
        total=total_size(run.source.input_files), desc="reading", unit="B", unit_scale=True
    ) as bar:
        stored = make_corpus(run.source, run.workers, bar.update, tokenize)
    job = ShardJob(
        corpus=str(stored.folder),
        pairs=str(stored.folder.parent / f"pairs-{label}"),
        output=run.output,
        shards=run.shards,
        options=run.options,
        vocabulary=vocabulary,
        unknown=tokenizer.vocab[UNK_TOKEN],
        manifest=dataclasses.replace(
            run.manifest, flags={**run.manifest.flags, "shards": run.shards}
        ),
        label=label,
    )
    if any(read_note(job, shard) is None for shard in range(job.shards)):
        _draw(run, job, stored)
    return job


def _label(run: ScaleRun) -> str:
    described = [_VERSION, run.source.digest(), run.shards, dataclasses.asdict(run.options)]
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]


@contextlib.contextmanager
def names_taken(run: ScaleRun) -> Iterator[None]:
    """Holds the names of the shards for this run; the same run may be started twice.

    Raises:
      DataError: shards that another run made have the names, or another run is making them.
    """
    run.source.tokenizer()  # What is wrong with the vocabulary should leave no folder.
    folder, label = notes_folder(run.output, run.shards), _label(run)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _take_over(run, folder, label)
        except BlockingIOError:
            pass
        fcntl.flock(lock, fcntl.LOCK_SH)  # until the end; many may have it
        if _owner(folder) != label:
            raise DataError(
                f"Another run, of other text or with other flags, is writing {run.output} in "
                f"{run.shards} shards. Wait for it, or write to another name."
            )
        yield


def _owner(folder: Path) -> str | None:
    """The label of the run whose notes lie in a folder."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((folder / _RUN).read_text(encoding="utf-8"))["label"])
    return None


def _take_over(run: ScaleRun, folder: Path, label: str) -> None:
    """Makes a folder of notes this run's, with nobody else at work there."""
    if _owner(folder) == label:
        return
    there = [name for name in run.names if Path(name).exists()]
    if there:
        raise DataError(
            f"{there[0]} and {len(there) - 1} more of its shards are there already and were made "
            "of other text or with other flags. Remove them first, or write to another name."
        )
    for path in folder.glob("*.json"):
        path.unlink()
    write_text(folder / _RUN, json.dumps({"label": label}))


def _draw(run: ScaleRun, job: ShardJob, stored: StoredCorpus) -> None:
    """The pairs; what an earlier run left of them is used."""
    passes = stored.corpus.documents * run.options.dupe_factor
    with (
        locked(stored.folder.parent / "lock"),
        KeptArrays(job.pairs, PAIRS, job.label) as kept,
        tqdm(total=passes, desc="drawing", unit="doc", mininterval=0.5) as bar,
    ):
        if not kept.complete:
            draw_pairs(stored.corpus, run.options, kept, run.workers, bar.update)
    if _examples(job) < run.shards:
        raise DataError(
            f"The text gives {_examples(job)} examples, fewer than --shards={run.shards}. Lower "
            "--shards."
        )


def _examples(job: ShardJob) -> int:
    """Records of all shards."""
    with contextlib.suppress(FileNotFoundError):
        return len(OpenArrays(job.pairs, PAIRS).view("pairs"))
    notes = [read_note(job, shard) for shard in range(job.shards)]
    return sum(note.records for note in notes if note is not None)


def finish(run: ScaleRun, job: ShardJob, notes: Iterable[ShardNote]) -> Finished:
    """Writes the manifest of all shards, when all are complete.

    Args:
      run: see `ScaleRun`.
      job: as `prepare` gave it.
      notes: of all shards, in any order; taking them may be what makes the shards.

    Raises:
      DataError: a note is missing.
    """
    found = {note.shard: note for note in notes}
    missing = sorted(set(range(job.shards)) - found.keys())
    if missing:
        raise DataError(f"Nobody made the shards {missing}. Start again: the others stay.")
    stored = StoredCorpus(job.corpus)
    facts = facts_of(stored.corpus)
    ordered = [found[shard] for shard in range(job.shards)]
    statistics = functools.reduce(operator.add, (note.statistics for note in ordered))
    shards = [
        {name: getattr(note, name) for name in ("name", "records", "size", "sha256")}
        for note in ordered
    ]
    described = {
        "version": _VERSION,
        "label": job.label,
        "flags": job.manifest.flags,
        "vocab_sha256": job.manifest.vocab_sha256,
        "records": statistics.records,
        "shards": shards,
        "text": {**facts, "dropped_bytes": stored.facts["dropped_bytes"]},
        "statistics": {"mean length": statistics.mean_length, **statistics.shares},
    }
    path = notes_folder(job.output, job.shards) / MANIFEST
    write_text(path, json.dumps(described, indent=1) + "\n")
    shutil.rmtree(job.pairs, ignore_errors=True)
    findings = Findings(statistics, stored.facts["unknown_words"], facts, job.manifest.flags)
    return Finished(
        path,
        ordered,
        findings,
        stored.facts["dropped_bytes"],
        stored.facts["input_report"],
        stored.folder.parent,
    )
