"""Raw text into token ids: a sentence a line, a blank line between documents."""

from __future__ import annotations

import dataclasses
import gzip
import multiprocessing
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from bert_tf.tokenization import FullTokenizer
from data_prep.ahead import in_order
from data_prep.block_tokens import BLANK, BlockTokenizer, TokenBlock
from data_prep.options import DataError
from data_prep.orphans import end_with_parent
from data_prep.spans import MAPPED_BYTES, read_spans
from data_prep.store import Scratch

_GZIP_MAGIC = b"\x1f\x8b"
_BLOCK_BYTES = 1 << 20

Progress = Callable[[int], object]
Starts = npt.NDArray[np.int64]


class TextReader:
    """Lines of text files, as the original's reader hands them out.

    `dropped_bytes` counts, after reading `lines`, the bytes that were not UTF-8: they are left
    out, which the original's convert_to_unicode does too (under Python 3 its reader fails before
    that).
    """

    def __init__(self, progress: Progress = lambda size: None) -> None:
        self.dropped_bytes = 0
        self._progress = progress

    def blocks(self, paths: Sequence[str]) -> Iterator[bytes]:
        """Whole lines, about a megabyte at a time; plain files and gzip alike.

        Each block ends with a newline, which is added to the last line of a file that lacks it.

        Raises:
          DataError: a compressed file is cut or damaged.
        """
        for path in paths:
            with open(path, "rb") as file:
                packed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
                file.seek(0)
                try:
                    yield from self._file_blocks(file, packed)
                except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                    raise DataError(
                        f"{path}: the gzip data is cut or damaged ({error}). Copy it again."
                    ) from error

    def lines(self, paths: Sequence[str]) -> Iterator[str]:
        """Each line, without surrounding white space (errors as `blocks`)."""
        for block in self.blocks(paths):
            # tf.gfile's line reader leaves out every carriage return, inside lines too.
            yield from map(self._text, block.replace(b"\r", b"").split(b"\n")[:-1])

    def _file_blocks(self, file: IO[bytes], packed: bool) -> Iterator[bytes]:
        stream = gzip.GzipFile(fileobj=file) if packed else file
        reported = 0
        begun: list[bytes] = []  # a line that no block has ended yet
        while data := stream.read(_BLOCK_BYTES):
            end = data.rfind(b"\n") + 1
            if end:
                yield b"".join([*begun, data[:end]])
                begun = []
            begun.append(data[end:])
            at = file.tell()
            self._progress(at - reported)
            reported = at
        last = b"".join(begun)
        # What has no byte left, at the very end, is not an empty line but the end.
        if last.replace(b"\r", b""):
            yield last + b"\n"
        self._progress(file.tell() - reported)

    def _text(self, raw: bytes) -> str:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("utf-8", "ignore")
            self.dropped_bytes += len(raw) - len(text.encode())
        return text.strip()


def tokenize_blocks(
    blocks: Iterable[bytes], tokenizer: FullTokenizer, workers: int
) -> Iterator[TokenBlock]:
    """The tokens of blocks of lines, in order, by `workers` processes (1: this one).

    Raises:
      DataError: a process was ended from outside.
    """
    if workers == 1:
        yield from map(BlockTokenizer(tokenizer).tokenize, blocks)
        return
    # Compiled once, before it is inherited: the way through Python, too.
    BlockTokenizer(tokenizer).tokenize("é é\n \n".encode())
    # Forked, so that nothing is imported or pickled again; the one thread that may run beside, the
    # clock of the progress bar, holds no lock that a worker takes.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("fork"), _start_worker, (tokenizer,)
    )
    with pool:
        try:
            yield from in_order(pool, workers, _tokenize_in_worker, blocks)
        except BrokenProcessPool as error:
            raise DataError(
                "A process that tokenized was ended, perhaps for lack of memory. Start again, "
                f"with --num_workers below {workers}."
            ) from error


_worker: BlockTokenizer | None = None


def _start_worker(tokenizer: FullTokenizer) -> None:
    global _worker
    end_with_parent()
    _worker = BlockTokenizer(tokenizer)


def _tokenize_in_worker(block: bytes) -> TokenBlock:
    if _worker is None:
        raise RuntimeError("_start_worker must have run in this process.")
    return _worker.tokenize(block)


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
