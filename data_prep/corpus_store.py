"""The tokenized corpus as files that outlive the run: made once, read by all workers and runs.

    SCRATCH/.bert_tf_corpus-DIGEST/
        text-00000/ ...       tokens and lines while text is being tokenized (`kept`)
        corpus/               the whole corpus; appears when it is complete
        lock                  who has it makes the corpus, others wait

The digest is that of the vocabulary's content, of how the text is read, and of name, size and time
of each input file; text that has changed since gets a corpus of its own.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.files import new_folder, write_text
from bert_tf.tokenization import FullTokenizer, MissingTokenError
from data_prep.block_tokens import TokenBlock
from data_prep.documents import (
    Corpus,
    Progress,
    build_corpus,
    tokenize_blocks,
    total_size,
)
from data_prep.kept import KeptArrays, Layout, NamedScratch, OpenArrays, locked
from data_prep.mixing import Mixture, TextInput
from data_prep.noise import truncate_lines
from data_prep.options import DataError
from data_prep.readers import AS_IT_IS, Reading
from data_prep.unknown_words import UnknownWords

_VERSION = 1  # of the corpus' form: another one makes it anew
_ARRAYS = ("tokens", "sentence_starts", "document_starts")
_LINES_OF_A_BLOCK = 1 << 18
_FACTS = "facts.json"


@dataclasses.dataclass(frozen=True)
class Source:
    """What a corpus is made of, and where it is kept.

    Attributes:
      input_files: text, in reading order.
      vocab_file: the vocabulary, one token a line.
      do_lower_case: whether text is lower-cased.
      scratch_dir: a folder that all workers reach.
      reading: how files become lines.
      mixture: how often each is read; None for once.
      truncate_share: of the lines that lose their end (`noise`).
      truncate_seed: of that.
    """

    input_files: tuple[str, ...]
    vocab_file: str
    do_lower_case: bool
    scratch_dir: str
    reading: Reading = AS_IT_IS
    mixture: Mixture | None = None
    truncate_share: float = 0.0
    truncate_seed: int = 0

    @property
    def parts(self) -> list[Sequence[str]]:
        """Files that can be tokenized apart; a mixture is one stream."""
        return [self.input_files] if self.mixture else [[name] for name in self.input_files]

    def tokenizer(self) -> FullTokenizer:
        """The tokenizer; DataError where the vocabulary has no [UNK]."""
        try:
            return FullTokenizer(self.vocab_file, self.do_lower_case)
        except (MissingTokenError, ValueError) as error:
            raise DataError(f"--vocab_file: {error}") from error

    def digest(self) -> str:
        """32 letters that change with all that the corpus depends on."""
        files = [(os.path.abspath(name), os.stat(name)) for name in self.input_files]
        described = {
            "version": _VERSION,
            "vocabulary": hashlib.sha256(Path(self.vocab_file).read_bytes()).hexdigest(),
            "do_lower_case": self.do_lower_case,
            "reading": dataclasses.asdict(self.reading),
            "mixture": self.mixture and dataclasses.asdict(self.mixture),
            "truncated": [self.truncate_share, self.truncate_seed],
            "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files],
        }
        return hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]

    def text(self, files: Sequence[str], progress: Progress) -> TextInput:
        """Some of the input files as whole lines, the same blocks every time."""
        return TextInput(files, self.reading, self.mixture, progress)

    def noisy(self, blocks: Iterator[TokenBlock]) -> Iterator[TokenBlock]:
        """All blocks of the source, with the noise that was asked for."""
        if not self.truncate_share:
            return blocks
        rng = random.Random(f"truncate {self.truncate_seed}")
        return truncate_lines(blocks, self.truncate_share, rng)


class StoredCorpus:
    """An open corpus.

    Args:
      folder: as `make_corpus` made it.

    Attributes:
      folder: the same.
      corpus: its arrays, mapped from the disk.
      facts: bytes that were not UTF-8, unknown words of a sample of lines, what was read in words.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        told = json.loads((self.folder / _FACTS).read_text(encoding="utf-8"))
        self.facts = {"input_report": "", **told}  # corpora of older versions told none
        self._arrays = OpenArrays(self.folder, _layout(self.facts["token_type"]))
        tokens, sentences, documents = (self._arrays.view(name) for name in _ARRAYS)
        self.corpus = Corpus(tokens, sentences, documents)

    def release(self) -> None:
        """Gives back the memory of what was read so far."""
        self._arrays.release()


def _layout(token_type: str) -> Layout:
    return {"tokens": (token_type, 0), **dict.fromkeys(_ARRAYS[1:], (np.int64, 0))}


def corpus_folder(source: Source) -> Path:
    """Where everything about the corpus of a source lies; made if it is not there."""
    folder = Path(source.scratch_dir, f".bert_tf_corpus-{source.digest()}")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


# Tokenizes each of so many parts; `make_corpus` does it here, an engine elsewhere.
Tokenize = Callable[[Source, Sequence[Sequence[str]]], object]


def make_corpus(
    source: Source,
    workers: int,
    progress: Progress = lambda size: None,
    tokenize: Tokenize | None = None,
) -> StoredCorpus:
    """The corpus of a source; what an earlier run left of it is used.

    Args:
      source: see `Source`.
      workers: threads that tokenize.
      progress: called with the number of input bytes done since the last call.
      tokenize: calls `tokenize_part` for each part, a file each, in whichever processes.

    Raises:
      DataError: no text, or a damaged file.
      OSError: the disk is full.
    """
    folder = corpus_folder(source)
    with locked(folder / "lock"):
        if (folder / "corpus").exists():
            progress(total_size(source.input_files))
        else:
            if tokenize is None:
                parts: list[Sequence[str]] = [source.input_files]
                tokenize_part(source, 0, parts[0], workers, progress)
            else:
                parts = source.parts
                tokenize(source, parts)
                progress(total_size(source.input_files))
            _join(source, folder, parts)
        for part in folder.glob("text-*"):
            shutil.rmtree(part)
    return StoredCorpus(folder / "corpus")


def _text_layout(source: Source) -> tuple[FullTokenizer, Layout]:
    tokenizer = source.tokenizer()
    token_type = np.uint16 if max(tokenizer.inv_vocab) < 2**16 else np.int32
    return tokenizer, {"tokens": (token_type, 0), "counts": (np.int32, 0)}


def _open_part(source: Source, number: int, files: Sequence[str], layout: Layout) -> KeptArrays:
    label = hashlib.sha256("\0".join(files).encode()).hexdigest()
    return KeptArrays(_part_folder(source, number), layout, label)


def _part_folder(source: Source, number: int) -> Path:
    return corpus_folder(source) / f"text-{number:05d}"


def tokenize_part(
    source: Source,
    number: int,
    files: Sequence[str],
    workers: int = 1,
    progress: Progress = lambda size: None,
) -> None:
    """Tokenizes one part of the text, or what is left of it, into a folder of its own.

    Args:
      source: see `Source`.
      number: the part's.
      files: all files of the part.
      workers: threads that tokenize, of which this one is the first.
      progress: as that of `make_corpus`.
    """
    tokenizer, layout = _text_layout(source)
    folder = _part_folder(source, number)
    folder.mkdir(exist_ok=True)
    # An engine may start a part once more that only seemed lost.
    with locked(folder / "lock"), _open_part(source, number, files, layout) as kept:
        if kept.complete:
            return
        words = UnknownWords(tokenizer, kept.facts.get("unknown_words"))
        dropped, steps = kept.facts.get("dropped_bytes", 0), kept.steps
        text = source.text(files, progress)
        blocks = itertools.islice(text.blocks(), steps, None)
        for block in tokenize_blocks(words.taken(blocks), tokenizer, workers):
            words.look(block)
            kept.append("tokens", block.tokens)
            kept.append("counts", block.counts)
            dropped, steps = dropped + block.dropped_bytes, steps + 1
            kept.keep(steps, {"dropped_bytes": dropped, "unknown_words": words.counts})
        # Of all blocks, as what is reported: those of earlier lives were read again.
        dropped += text.dropped_bytes
        facts = {
            "dropped_bytes": dropped,
            "unknown_words": words.counts,
            "input_report": text.report(),
        }
        kept.keep(steps, facts, complete=True)


def _join(source: Source, folder: Path, parts: Iterable[Sequence[str]]) -> None:
    """Makes the corpus of all parts' lines."""
    tokenizer, layout = _text_layout(source)
    words = UnknownWords(tokenizer)
    dropped = 0
    reports: list[str] = []

    def blocks() -> Iterator[TokenBlock]:
        nonlocal dropped
        for number, files in enumerate(parts):
            with _open_part(source, number, files, layout) as kept:
                if not kept.complete:
                    raise DataError(f"Part {number} of the text was not tokenized. Start again.")
                dropped += kept.facts["dropped_bytes"]
                words.add(kept.facts["unknown_words"])
                reports.append(kept.facts.get("input_report", ""))  # none of older versions
            yield from _token_blocks(_part_folder(source, number), layout)

    with new_folder(folder / "corpus") as partial:
        scratch = NamedScratch(partial, _ARRAYS)
        with scratch:
            corpus = build_corpus(source.noisy(blocks()), max(tokenizer.inv_vocab) + 1, scratch)
            scratch.sync()
        facts: dict[str, Any] = {
            "dropped_bytes": dropped,
            "unknown_words": words.counts,
            "token_type": str(corpus.tokens.dtype),
            # Of parts read apart, nobody saw which lines of one are those of another.
            "input_report": reports[0] if len(reports) == 1 else "",
        }
        write_text(partial / _FACTS, json.dumps(facts))


def _token_blocks(folder: Path, layout: Layout) -> Iterator[TokenBlock]:
    """What a part holds, a block after the other."""
    arrays = OpenArrays(folder, layout)
    tokens, counts = arrays.view("tokens"), arrays.view("counts")
    at = 0
    for first in range(0, len(counts), _LINES_OF_A_BLOCK):
        lines = counts[first : first + _LINES_OF_A_BLOCK]
        end = at + int(lines[lines > 0].sum())
        yield TokenBlock(tokens[at:end], lines, 0)
        arrays.release()
        at = end
