"""Raw text into token ids: a sentence a line, a blank line between documents."""

from __future__ import annotations

import dataclasses
import gzip
import os
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import IO

import numpy as np
import numpy.typing as npt

from data_prep.options import DataError

_GZIP_MAGIC = b"\x1f\x8b"
_LINES_PER_REPORT = 2000

Progress = Callable[[int], object]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """All sentences of all documents in flat arrays; S sentences, D documents.

    Attributes:
      tokens: int32 [N], the token ids of all sentences one after another.
      sentence_starts: [S + 1], where each sentence starts in `tokens` (the last entry is N).
        No sentence is empty.
      document_starts: [D + 1], each document's first sentence (the last entry is S).
        No document is empty.
    """

    tokens: npt.NDArray[np.int32]
    sentence_starts: array[int]
    document_starts: array[int]

    @property
    def documents(self) -> int:
        """D."""
        return len(self.document_starts) - 1


class TextReader:
    """Lines of text files, as the original's reader hands them out.

    `dropped_bytes` counts, after reading, the bytes that were not UTF-8: they are left out, which
    the original's convert_to_unicode does too (under Python 3 its reader fails before that).
    """

    def __init__(self, progress: Progress = lambda size: None) -> None:
        self.dropped_bytes = 0
        self._progress = progress

    def lines(self, paths: Sequence[str]) -> Iterator[str]:
        """Each line, without surrounding white space; plain files and gzip alike.

        Raises:
          DataError: a compressed file is cut or damaged.
        """
        for path in paths:
            with open(path, "rb") as file:
                packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
                file.seek(0)
                try:
                    yield from self._file_lines(file, packed)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise DataError(
                        f"{path}: the gzip data is cut or damaged ({error}). Copy it again."
                    ) from error

    def _file_lines(self, file: IO[bytes], packed: bool) -> Iterator[str]:
        stream = gzip.GzipFile(fileobj=file) if packed else file
        reported = 0
        for number, raw in enumerate(stream, 1):
            # tf.gfile's line reader leaves out every carriage return, inside lines too; what
            # has no byte left, at the very end, is not an empty line but the end.
            line = raw.replace(b"\r", b"")
            if line:
                yield self._text(line)
            if number % _LINES_PER_REPORT == 0:
                at = file.tell()
                self._progress(at - reported)
                reported = at
        self._progress(file.tell() - reported)

    def _text(self, raw: bytes) -> str:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("utf-8", "ignore")
            self.dropped_bytes += len(raw) - len(text.encode())
        return text.strip()


def build_corpus(lines: Iterator[str], encode: Callable[[str], Sequence[int]]) -> Corpus:
    """Tokenizes lines into a Corpus (create_training_instances of the original, first half).

    Args:
      lines: stripped lines; an empty one ends a document, the end of a file does not.
      encode: text to token ids.

    Raises:
      DataError: there is no token in all the lines.
    """
    tokens = array("i")
    sentence_starts = array("q", [0])
    document_starts = array("q", [0])
    for line in lines:
        sentences = len(sentence_starts) - 1
        if not line:
            if sentences > document_starts[-1]:
                document_starts.append(sentences)
            continue
        ids = encode(line)
        if ids:
            tokens.extend(ids)
            sentence_starts.append(len(tokens))
    sentences = len(sentence_starts) - 1
    if sentences > document_starts[-1]:
        document_starts.append(sentences)
    if not tokens:
        raise DataError(
            "The input files hold no text. Each line should be a sentence, with a blank line "
            "between documents."
        )
    return Corpus(np.frombuffer(tokens, np.int32), sentence_starts, document_starts)


def total_size(paths: Sequence[str]) -> int:
    """Bytes of the files on disk (compressed as they are)."""
    return sum(os.path.getsize(path) for path in paths)
