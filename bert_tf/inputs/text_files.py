"""Text files as people have them: any of the usual encodings, line ends and table formats.

    for line, row in read_rows(Path("reviews.csv")): ...

UTF-8 with and without byte order mark, UTF-16 with one, gzip by the ending; tables as .tsv (no
quoting, as GLUE publishes them), .csv (quoted) and .jsonl (an object a line).
"""

import codecs
import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

Row = Mapping[str, str]

TABLE_ENDINGS = (".tsv", ".csv", ".jsonl")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# One field of a table may be a whole document.
csv.field_size_limit(1 << 28)


class TextFileError(ValueError):
    """A text file that cannot be read as what it should be; the message says where and why."""


def open_text(path: str | Path, newline: str | None = None) -> IO[str]:
    """Opens a text file for reading, whatever its encoding.

    Args:
        path: The file; one that ends in .gz is unpacked.
        newline: As `open`; None gives every line end as "\\n".

    Raises:
        FileNotFoundError: If it is not there.
        TextFileError: If it is a directory, or holds null bytes and no byte order mark.
    """
    path = Path(path)
    if path.is_dir():
        raise TextFileError(f"{path} must be a text file, but is a directory. Name a file in it.")
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    packed = path.suffix == ".gz"
    with gzip.open(path) if packed else path.open("rb") as file:
        try:
            begin = file.read(4096)
        except (gzip.BadGzipFile, EOFError) as error:
            raise TextFileError(f"{path} cannot be unpacked: {error}.") from None
    encoding = next((name for mark, name in _MARKS if begin.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\0" in begin:
        raise TextFileError(
            f"{path} must be UTF-8 text, or UTF-16 with a byte order mark, but holds null bytes. "
            "Save it as UTF-8."
        )
    if packed:
        return gzip.open(path, "rt", encoding=encoding, newline=newline)
    return path.open(encoding=encoding, newline=newline)


def read_lines(path: str | Path) -> Iterator[str]:
    """Lines without their ends; TextFileError where the encoding is broken, with the line."""
    with open_text(path) as file:
        number = 0
        try:
            for number, line in enumerate(file, start=1):  # noqa: B007  (for the message)
                yield line.rstrip("\n")
        except UnicodeDecodeError as error:
            raise _broken(path, number, error) from None
        except EOFError:
            raise TextFileError(
                f"{path} is cut short after line {number}: it cannot be unpacked. Copy it again."
            ) from None


def read_text(path: str | Path) -> str:
    """A whole file, its line ends as "\\n"."""
    return "\n".join(read_lines(path))


def read_fields(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Line number from 1 and fields of each line of a .tsv file, which knows no quotes."""
    for number, line in enumerate(read_lines(path), start=1):
        yield number, line.split("\t")


def read_rows(path: str | Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and row of each line of a table, by the names of its columns.

    Args:
        path: A file that ends in one of `TABLE_ENDINGS`, or one of them and .gz. The first line
            of .tsv and .csv holds the names.

    Raises:
        TextFileError: If the ending is another, the names are missing or twice there, a row has
            another number of fields, or a line is no JSON object.
    """
    ending = Path(str(path).removesuffix(".gz")).suffix
    if ending == ".jsonl":
        yield from _json_rows(path)
    elif ending in (".tsv", ".csv"):
        yield from _named_rows(path, read_fields(path) if ending == ".tsv" else _csv_rows(path))
    else:
        raise TextFileError(
            f"A table's name must end in {', '.join(TABLE_ENDINGS)} (or one of them and .gz), but "
            f"is {path}. Rename or convert it."
        )


def column_names(path: str | Path) -> list[str]:
    """Names of the columns of a table's first row."""
    for _, row in read_rows(path):
        return list(row)
    raise TextFileError(f"{path} must hold at least one row below its names, but is empty.")


def _csv_rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    with open_text(path, newline="") as file:
        reader = csv.reader(file, strict=True)
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise TextFileError(
                    f"{path}, line {reader.line_num}: no CSV ({error}). Fields with commas, quotes "
                    'or line ends stand in quotes, and a quote in them is written "".'
                ) from None
            except UnicodeDecodeError as error:
                raise _broken(path, reader.line_num, error) from None
            if fields:  # An empty line is no row.
                yield reader.line_num, fields


def _named_rows(
    path: str | Path, lines: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, dict[str, str]]]:
    first = next(lines, None)
    if first is None or first[1] == [""]:
        raise TextFileError(f"{path} must begin with a line of column names, but is empty.")
    names = first[1]
    if len(set(names)) < len(names):
        raise TextFileError(
            f"{path} must have different names in its first line, but has {', '.join(names)}. "
            "Does the line of names lack?"
        )
    for number, fields in lines:
        if fields == [""]:
            continue
        if len(fields) != len(names):
            raise TextFileError(
                f"{path}, line {number}: must have {len(names)} fields like the first line, but "
                f"has {len(fields)}. Tabs and line ends cannot stand inside a field of a .tsv; "
                "in a .csv, such fields stand in quotes."
            )
        yield number, dict(zip(names, fields, strict=True))


def _json_rows(path: str | Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TextFileError(f"{path}, line {number}: no JSON ({error}).") from None
        if not isinstance(row, dict):
            raise TextFileError(
                f'{path}, line {number}: must be a JSON object such as {{"text": "..."}}, but is '
                f"{line[:40]}."
            )
        yield number, {name: _as_text(value) for name, value in row.items()}


def _as_text(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False)


def _broken(path: str | Path, line: int, error: UnicodeDecodeError) -> TextFileError:
    return TextFileError(
        f"{path}, after line {line}: must be {error.encoding} text, but {error.reason} "
        f"(byte 0x{error.object[error.start]:02x}). Save the file as UTF-8."
    )
