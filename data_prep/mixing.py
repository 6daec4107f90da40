"""All input of a run as one stream of lines: corpora, how often each is read, what was counted."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Iterable, Iterator, Sequence

from bert_tf.inputs.records import match_files
from data_prep.documents import Progress
from data_prep.line_counts import LineCounter, LineCounts
from data_prep.options import DataError
from data_prep.readers import CorpusReader, Reading


@dataclasses.dataclass(frozen=True)
class Mixture:
    """How often the documents of each corpus are read, instead of once.

    A weight of 2.5 reads a corpus twice, and half of its documents, drawn by `seed`, a third time.

    Attributes:
      names: what each corpus is called in reports: its pattern.
      files: how many of the input files each corpus has; they follow each other.
      weights: times to read each corpus.
      exponent: S, or None. A corpus with the share p of the bytes of all text gets the share that
        is proportional to p ** S: 1 changes nothing, 0 makes all equal. The amount of text stays
        the same. Source: multilingual.md of the original, which takes 0.7.
      seed: of the choice of documents.
    """

    names: tuple[str, ...]
    files: tuple[int, ...]
    weights: tuple[float, ...]
    exponent: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.names):
            raise DataError(
                f"--weights must have one number for each of the {len(self.names)} patterns of "
                f"--input_file; got {len(self.weights)}."
            )
        if not all(0.0 <= weight <= 1000.0 for weight in self.weights) or not any(self.weights):
            raise DataError(
                "--weights must be from 0 to 1000 and not all 0; got "
                f"{','.join(map(str, self.weights))}."
            )
        if self.exponent is not None and not 0.0 <= self.exponent <= 1.0:
            raise DataError(f"--sampling_exponent must be from 0 to 1; got {self.exponent}.")

    def times(self, sizes: Sequence[int]) -> list[float]:
        """How often to read each corpus, given the bytes of text in each."""
        if self.exponent is None:
            return list(self.weights)
        total = sum(sizes)
        smoothed = [(size / total) ** self.exponent if size else 0.0 for size in sizes]
        return [
            # Rounded: a 1 that is a little more would be another reading of all.
            round(weight * (share / sum(smoothed)) / (size / total), 9) if size else weight
            for weight, share, size in zip(self.weights, smoothed, sizes, strict=True)
        ]


def corpora_of(
    patterns: str, weights: Sequence[str], exponent: float | None, seed: int
) -> tuple[list[str], Mixture | None]:
    """The files of --input_file, and how they are mixed; None where all are read once.

    Raises:
      DataError: the weights do not fit.
      RecordError: a pattern matches no file.
    """
    names = tuple(patterns.split(","))
    found = [match_files([name]) for name in names]
    files = list(itertools.chain.from_iterable(found))
    if not weights and exponent is None:
        return files, None
    try:
        numbers = tuple(float(weight) for weight in weights) or (1.0,) * len(names)
    except ValueError as error:
        raise DataError(f"--weights must be numbers; got {','.join(weights)}.") from error
    return files, Mixture(names, tuple(map(len, found)), numbers, exponent, seed)


class TextInput:
    """The text of a run.

    Args:
      files: in reading order.
      reading: how each is read.
      mixture: how often; None for once, as it stands.
      progress: called with the bytes on disk that were read since the last call.
    """

    def __init__(
        self,
        files: Sequence[str],
        reading: Reading,
        mixture: Mixture | None = None,
        progress: Progress = lambda size: None,
    ) -> None:
        self._files, self._mixture, self._reading = files, mixture, reading
        self._reader = CorpusReader(reading, progress)
        self._counter = LineCounter()
        self._times: list[float] = []

    @property
    def dropped_bytes(self) -> int:
        """See `CorpusReader`."""
        return self._reader.dropped_bytes

    def counts(self) -> LineCounts:
        """Of the lines read, each once however often it is used."""
        return self._counter.result()

    def blocks(self) -> Iterator[bytes]:
        """Blocks of whole lines (errors as `CorpusReader.blocks`)."""
        if self._mixture is None:
            yield from self._counted(self._files)
            return
        parts = self._parts(self._mixture)
        sizes = [
            sum(map(len, CorpusReader(self._reading).blocks(files)))
            if self._mixture.exponent is not None
            else 0
            for files in parts
        ]
        self._times = self._mixture.times(sizes)
        for number, (files, times) in enumerate(zip(parts, self._times, strict=True)):
            rng = random.Random(f"documents {self._mixture.seed} {number}")
            for done in range(math.ceil(times)):
                share = min(times - done, 1.0)
                yield b"\n"
                again = CorpusReader(self._reading).blocks(files)
                blocks = again if done else self._counted(files)
                yield from blocks if share == 1.0 else some_documents(blocks, share, rng)

    def report(self) -> str:
        """What was read and counted, as lines of text."""
        reader, lines = self._reader, [f"read {self.counts()}"]
        if reader.empty_documents:
            lines.append(f"{reader.empty_documents} documents without text")
        if reader.nul_bytes:
            lines.append(f"{reader.nul_bytes} NUL bytes, which were left out")
        if reader.long_lines:
            lines.append(
                f"{reader.long_lines} lines of more than 1 MB: lines should be sentences, or "
                "paragraphs with --sentence_splitter"
            )
        if self._mixture:
            pairs = zip(self._mixture.names, self._times, strict=True)
            lines += [
                f"{name}: each document {times:.3g} times on average" for name, times in pairs
            ]
        return "".join(f"input: {line}\n" for line in lines)

    def _parts(self, mixture: Mixture) -> list[Sequence[str]]:
        ends = list(itertools.accumulate(mixture.files))
        return [
            self._files[end - size : end] for size, end in zip(mixture.files, ends, strict=True)
        ]

    def _counted(self, files: Sequence[str]) -> Iterator[bytes]:
        for block in self._reader.blocks(files):
            self._counter.add(block)
            yield block


def some_documents(blocks: Iterable[bytes], share: float, rng: random.Random) -> Iterator[bytes]:
    """The lines of a share of the documents; `rng` decides once for each."""
    keep: bool | None = None  # of the document; None between two
    for block in blocks:
        kept = []
        for line in block.split(b"\n")[:-1]:
            if not line.replace(b"\r", b"").decode("utf-8", "ignore").strip():
                kept.append(line)
                keep = None
            else:
                if keep is None:
                    keep = rng.random() < share
                if keep:
                    kept.append(line)
        if kept:
            yield b"\n".join(kept) + b"\n"
