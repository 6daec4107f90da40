"""Input files of all forms as blocks of lines: a sentence a line, a blank line between documents.

    text      as it is; gzip and zstd too
    json      JSON lines, packed or not: a document each, whose text is --text_field
    parquet   a document a row, whose text is the column --text_field

"auto" tells them apart: Parquet by its first bytes, JSON lines by their names (.jsonl, .ndjson,
.json, also with .gz or .zst) or by a first line like those that WikiExtractor --json writes.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, get_args

from data_prep.compression import PARQUET, beginning, needed, read_some, unpacked
from data_prep.documents import Progress, TextReader
from data_prep.options import DataError

InputFormat = Literal["auto", "text", "json", "parquet"]
INPUT_FORMATS = get_args(InputFormat)
DocumentEnd = Literal["blank_line", "file"]
DOCUMENT_ENDS = get_args(DocumentEnd)

_JSON_NAME = re.compile(r"\.(jsonl|ndjson|json)(\.gz|\.zst)?$", re.IGNORECASE)
_WIKI_KEYS = {"id", "title", "text"}
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_BLOCK_BYTES = 1 << 20
_ROWS_AT_ONCE = 256
_SNIFFED = 1 << 16
_PARQUET_WORDS = ("string", "large_string", "string_view")


@dataclasses.dataclass(frozen=True)
class Reading:
    """How input files become lines.

    Attributes:
      input_format: see the module.
      text_field: name of the text in JSON and Parquet.
      sentence_splitter: language (ISO 639) by whose rules lines are split into sentences; None
        leaves lines as they are.
      document_end: what ends a document of a text file, besides the start of a file of rows.
    """

    input_format: InputFormat = "auto"
    text_field: str = "text"
    sentence_splitter: str | None = None
    document_end: DocumentEnd = "blank_line"

    def __post_init__(self) -> None:
        language = self.sentence_splitter
        if language is not None and not _LANGUAGE.fullmatch(language):
            raise DataError(
                "--sentence_splitter takes the code of a language in two or three letters, such "
                f"as en; got {language!r}."
            )


AS_IT_IS = Reading()


class CorpusReader:
    """Reads files of all forms.

    Args:
      reading: how.
      progress: called with the bytes on disk that were read since the last call.

    Attributes:
      empty_documents: rows without text.
      dropped_bytes: bytes that were not UTF-8 and were left out. Where lines are handed out as they
        are, it is the tokenizer that drops them.
    """

    def __init__(self, reading: Reading, progress: Progress = lambda size: None) -> None:
        self._reading, self._progress = reading, progress
        self._text, self._rows = TextReader(progress), TextReader(progress)
        self._split = _splitter(reading.sentence_splitter)
        self.empty_documents = self.dropped_bytes = 0

    @property
    def nul_bytes(self) -> int:
        """See `TextReader`."""
        return self._text.nul_bytes

    @property
    def long_lines(self) -> int:
        """See `TextReader`."""
        return self._text.long_lines

    def blocks(self, paths: Iterable[str]) -> Iterator[bytes]:
        """Blocks of whole lines, about a megabyte each; each ends with a newline.

        Raises:
          DataError: a file cannot be read in its form; the message names it.
        """
        for path in paths:
            form = self._reading.input_format
            form = self.form_of(path) if form == "auto" else form
            if form == "text":
                yield from self._text_blocks(path)
            else:
                rows = self._json_texts(path) if form == "json" else self._parquet_texts(path)
                yield b"\n"  # the text before does not run on into the first row
                yield from _gathered(self._documents(rows))

    def form_of(self, path: str) -> InputFormat:
        """What a file holds, by its first bytes and its name."""
        start = beginning(path)
        if start.startswith(PARQUET):
            return "parquet"
        if _JSON_NAME.search(path):
            return "json"
        with open(path, "rb") as file:
            start = read_some(path, unpacked(path, file), _SNIFFED)
        return "json" if start.startswith(b"{") and _is_wiki(start) else "text"

    def _text_blocks(self, path: str) -> Iterator[bytes]:
        """A text file, split into sentences, its documents ended as told."""
        by_file = self._reading.document_end == "file"
        for block in self._text.blocks([path]):
            if self._split or by_file:
                yield b"".join(self._sentences(block, keep_blank=not by_file))
            else:
                yield block
        if by_file:
            yield b"\n"

    def _sentences(self, lines: bytes, keep_blank: bool) -> Iterator[bytes]:
        for line in lines.replace(b"\r", b"").split(b"\n")[:-1]:
            text = line.decode("utf-8", "ignore")
            if not text.strip():
                if keep_blank:
                    yield b"\n"
            elif self._split is None:
                yield line + b"\n"
            else:
                if len(text) < len(line):
                    self.dropped_bytes += len(line) - len(text.encode())
                yield from (sentence.encode() + b"\n" for sentence in self._split(text))

    def _documents(self, texts: Iterable[str]) -> Iterator[bytes]:
        """Each text as lines, with a blank line behind it."""
        for text in texts:
            # JSON may escape half a surrogate pair, which is no character.
            lines = text.encode("utf-8", "ignore") + b"\n"
            document = b"".join(self._sentences(lines, keep_blank=False))
            if document:
                yield document + b"\n"
            else:
                self.empty_documents += 1

    def _json_texts(self, path: str) -> Iterator[str]:
        done = 0
        for block in self._rows.blocks([path]):
            lines = block.split(b"\n")[:-1]
            for number, line in enumerate(lines, done + 1):
                if line.strip():
                    yield self._json_text(path, number, line)
            done += len(lines)

    def _json_text(self, path: str, number: int, line: bytes) -> str:
        field = self._reading.text_field
        text = line.decode("utf-8", "ignore")
        if len(text) < len(line):
            self.dropped_bytes += len(line) - len(text.encode())
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(
                f"{path}, line {number}: is no JSON ({error}). JSON lines hold one object a line; "
                "use --input_format=text if this is no JSON at all."
            ) from error
        if not isinstance(row, dict):
            raise DataError(
                f"{path}, line {number}: must be a JSON object with the text under {field!r}, but "
                f"is a {type(row).__name__}. Write one object a line."
            )
        value = row.get(field)
        if not isinstance(value, str) and not (value is None and field in row):
            raise DataError(
                f"{path}, line {number}: {field!r} must be a string, but the line has "
                f"{_described(row)}. Name the field of the text with --text_field."
            )
        return value or ""

    def _parquet_texts(self, path: str) -> Iterator[str]:
        parquet = needed("pyarrow.parquet", f"Reading {path}")
        arrow = needed("pyarrow", f"Reading {path}")
        field, size = self._reading.text_field, os.path.getsize(path)
        try:
            with parquet.ParquetFile(path, pre_buffer=False) as file:
                kinds = {column.name: str(column.type) for column in file.schema_arrow}
                if kinds.get(field) not in _PARQUET_WORDS:
                    raise DataError(
                        f"{path}: the column {field!r} must hold strings, but the file has "
                        f"{_listed(f'{name} ({kind})' for name, kind in kinds.items())}. Name the "
                        "column of the text with --text_field."
                    )
                rows, done, reported = max(file.metadata.num_rows, 1), 0, 0
                for batch in file.iter_batches(_ROWS_AT_ONCE, columns=[field]):
                    yield from (value or "" for value in batch.column(0).to_pylist())
                    done += len(batch)
                    self._progress(size * done // rows - reported)
                    reported = size * done // rows
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{path}: cannot be read as Parquet ({reason}). Copy it again, or leave it out."
            ) from error


def _is_wiki(start: bytes) -> bool:
    """Whether the first line is a JSON object like those of WikiExtractor, as far as one sees."""
    line, _, _ = start.partition(b"\n")
    try:
        row = json.loads(line)
        return isinstance(row, dict) and row.keys() >= _WIKI_KEYS
    except ValueError:  # a line longer than what was read
        return all(f'"{key}": '.encode() in line for key in _WIKI_KEYS)


def _gathered(documents: Iterable[bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    size = 0
    for document in documents:
        held.append(document)
        size += len(document)
        if size >= _BLOCK_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _splitter(language: str | None) -> Callable[[str], Iterator[str]] | None:
    """Splits a line into sentences; None for no language."""
    if language is None:
        return None
    segment: Any = needed("sentencex", "--sentence_splitter").segment

    def split(text: str) -> Iterator[str]:
        for sentence in segment(language, text):
            if sentence := " ".join(sentence.split("\n")).strip():
                yield sentence

    return split


def _described(row: dict[str, Any]) -> str:
    return _listed(f"{name} ({type(value).__name__})" for name, value in row.items())


def _listed(names: Iterable[str], most: int = 8) -> str:
    shown = list(names)
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more if shown else "nothing"
