"""Raw text into token ids: a sentence a line, a blank line between documents."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bert_tf.tokenization import FullTokenizer
from data_prep.ahead import in_order
from data_prep.block_tokens import BLANK, BlockTokenizer, TokenBlock
from data_prep.compression import read_some, unpacked
from data_prep.options import DataError
from data_prep.pieces import pieces_of
from data_prep.spans import MAPPED_BYTES, read_spans
from data_prep.store import Scratch

_BLOCK_BYTES = 1 << 20
# A line is kept in memory whole. Longer ones than the second are no lines any more.
_LONG_LINE, _LONGEST_LINE = 1 << 20, 1 << 28
_MOST_NULS = 0.2  # of the first block: every second byte of English in UTF-16 is one

Progress = Callable[[int], object]
Starts = npt.NDArray[np.int64]


class TextReader:
    """Lines of text files, as the original's reader hands them out.

    Attributes:
      nul_bytes: how many of the bytes read were NUL; they are part of no token.
      long_lines: how many lines had more than a megabyte.
    """

    def __init__(self, progress: Progress = lambda size: None) -> None:
        self.nul_bytes = self.long_lines = 0
        self._progress = progress

    def blocks(self, paths: Sequence[str]) -> Iterator[bytes]:
        """Whole lines, about a megabyte at a time; plain files, gzip and zstd alike.

        Each block ends with a newline, which is added to the last line of a file that lacks it.

        Raises:
          DataError: a compressed file is cut or damaged; a file is no text; a line has no end.
        """
        for path in paths:
            with open(path, "rb") as file:
                yield from self._file_blocks(path, file)

    def _file_blocks(self, path: str, file: IO[bytes]) -> Iterator[bytes]:
        stream = unpacked(path, file)
        reported = 0
        begun: list[bytes] = []  # a line that no block has ended yet
        size = 0  # of that
        while data := read_some(path, stream, _BLOCK_BYTES):
            self._look_at(path, data, first=not reported)
            end = data.rfind(b"\n") + 1
            if end:
                rest = data.find(b"\n")
                self._check_length(path, size + rest, rest)
                yield b"".join([*begun, data[:end]])
                begun, size = [], 0
            begun.append(data[end:])
            size += len(begun[-1])
            self._check_length(path, size, len(begun[-1]))
            at = file.tell()
            self._progress(at - reported)
            reported = at
        last = b"".join(begun)
        # What has no byte left, at the very end, is not an empty line but the end.
        if last.replace(b"\r", b""):
            yield last + b"\n"
        self._progress(file.tell() - reported)

    def _look_at(self, path: str, data: bytes, first: bool) -> None:
        nuls = data.count(0)
        self.nul_bytes += nuls
        if first and nuls > _MOST_NULS * len(data):
            raise DataError(
                f"{path}: {100 * nuls / len(data):.0f} % of its first bytes are NUL, so it is no "
                "UTF-8 text. Convert it (iconv -f UTF-16 -t UTF-8), or leave it out."
            )

    def _check_length(self, path: str, size: int, added: int) -> None:
        """Looks at a line that has `size` bytes so far, `added` of them new."""
        self.long_lines += size - added <= _LONG_LINE < size
        if size > _LONGEST_LINE:
            raise DataError(
                f"{path}: a line has more than {_LONGEST_LINE >> 20} MB. Lines are sentences, or "
                "paragraphs with --sentence_splitter: put line ends into the text."
            )


def tokenize_blocks(
    blocks: Iterable[bytes], tokenizer: FullTokenizer, workers: int
) -> Iterator[TokenBlock]:
    """The tokens of blocks of lines, in order, by `workers` threads.

    Threads are enough: the compiled code that does nearly all of it runs side by side.
    """
    own = threading.local()

    def tokenize(block: bytes) -> TokenBlock:
        if not hasattr(own, "tokenizer"):
            own.tokenizer = BlockTokenizer(tokenizer, pieces.result())
        return own.tokenizer.tokenize(block)

    with ThreadPoolExecutor(1) as other:  # makes the tables while the first blocks are read
        pieces = other.submit(pieces_of, tokenizer)
        yield from in_order(workers, tokenize, blocks)


@dataclasses.dataclass(frozen=True)
class Corpus:
    """All sentences of all documents in flat arrays on disk; S sentences, D documents.

    Attributes:
      tokens: uint16 or int32 [N], the token ids of all sentences one after another.
      sentence_starts: int64 [S + 1], where each sentence starts in `tokens` (the last entry is
        N). No sentence is empty.
      document_starts: int64 [D + 1], each document's first sentence (the last entry is S). No
        document is empty.
      token_file: number of the file that `tokens` maps; None where they lie in memory.
    """

    tokens: npt.NDArray[Any]
    sentence_starts: Starts
    document_starts: Starts
    token_file: int | None = None

    @property
    def documents(self) -> int:
        """D."""
        return len(self.document_starts) - 1

    def tokens_of(self, pairs: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Tokens that hold those of `pairs` (see `pairs`), which now count in them."""
        if self.token_file is None or self.tokens.nbytes <= MAPPED_BYTES:
            return self.tokens
        return read_spans(self.token_file, self.tokens.dtype, pairs)


def build_corpus(blocks: Iterable[TokenBlock], vocab_size: int, scratch: Scratch) -> Corpus:
    """Tokenized lines into a Corpus (create_training_instances of the original, first half).

    A blank line ends a document, the end of a file does not.

    Args:
      blocks: in reading order.
      vocab_size: all ids are below.
      scratch: makes the arrays.

    Raises:
      DataError: there is no token in all the lines.
      OSError: the disk is full.
    """
    tokens = scratch.array(np.uint16 if vocab_size <= 2**16 else np.int32)
    sentence_starts, document_starts = scratch.array(np.int64), scratch.array(np.int64)
    for starts in (sentence_starts, document_starts):
        starts.append(np.zeros(1, np.int64))
    token_count = sentences = last_document = 0
    for block in blocks:
        tokens.append(block.tokens)
        is_sentence = block.counts > 0
        sentence_starts.append(token_count + np.cumsum(block.counts[is_sentence], dtype=np.int64))
        token_count += len(block.tokens)
        ends = np.unique(sentences + np.cumsum(is_sentence)[block.counts == BLANK])
        ends = ends[ends > last_document]
        document_starts.append(ends)
        last_document = max([last_document, *ends[-1:]])
        sentences += int(is_sentence.sum())
    if sentences > last_document:
        document_starts.append(np.array([sentences]))
    if not token_count:
        raise DataError(
            "The input files hold no text. Each line should be a sentence, with a blank line "
            "between documents."
        )
    return Corpus(tokens.view(), sentence_starts.view(), document_starts.view(), tokens.fileno())


def total_size(paths: Sequence[str]) -> int:
    """Bytes of the files on disk (compressed as they are)."""
    return sum(os.path.getsize(path) for path in paths)
