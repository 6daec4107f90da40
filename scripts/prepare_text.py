"""Turns running text into the form that the data generator reads, in two parts.

    .venv/bin/python scripts/prepare_text.py book.txt demo_out/train.txt demo_out/dev.txt

The result has one sentence a line and a blank line between documents.  Every tenth document goes
to the second file (at least one), so that evaluation sees text that training did not.  Documents
are told apart by titles in WikiText's form (` = Title = `) where the text has two or more of
them, otherwise by blank lines.
"""

import argparse
import gzip
import re
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bert_tf.files import write_text

Document = list[str]

_HEADING = re.compile(r"^\s*(=(?: =)*) \S.* \1\s*$")
# The end of a sentence in a script with spaces, and in CJK, where no space follows.
_END = re.compile(r"""[.!?…]+["'”’»)\]]*\s+|[。！？]+[」』”’）]*\s*""")
_OPENING = "\"'“‘«„([¿¡—– "
# How far around the end of a sentence to look: past opening marks, and back over an abbreviation.
# Without bounds, a text on one line would take quadratic time.
_LOOK_AHEAD = 64
_LOOK_BEHIND = 16
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[“\"'])(?:\d\d?|[^\W\d_]|[A-Z](?:\.[A-Z])+|Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|No|Nos|Vol|vol|pp?"
    r"|vs|etc|approx|ca?|cf|al|e\.g|i\.e|Gen|Col|Capt|Lt|Sgt|Maj|Adm|Rev|Hon|Mt|Ft|Co|Inc|Ltd"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)$"
)


class TextError(ValueError):
    """The text cannot be used; the message says why and what to do."""


def split_sentences(line: str) -> list[str]:
    """Splits one line of text where a sentence surely ends; a single sentence stays whole.

    A full stop, exclamation or question mark ends a sentence if a space follows and then
    something that is not a small letter, and if no abbreviation, initial or ordinal (`3. Mai`)
    stands before it.
    """
    sentences: list[str] = []
    start = 0
    for end in _END.finditer(line):
        stop = end.end()
        if stop < len(line) and not _is_boundary(line, start, end):
            continue
        if line[stop : stop + 2] == '" ' and line.count('"', start, stop) % 2:
            stop += 2  # tokenized text: the quotation mark stands apart, but closes this sentence
        sentences.append(line[start:stop].strip())
        start = stop
    sentences.append(line[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _is_boundary(line: str, start: int, end: re.Match[str]) -> bool:
    if end.group()[0] in "。！？":
        return end.group().rstrip()[-1] in "。！？"  # after a quotation, "she said" may follow
    following = line[end.end() : end.end() + _LOOK_AHEAD].lstrip(_OPENING)
    if not following or following[0].islower() or following[0] in "»”’)]":
        return False
    before = line[max(start, end.start() - _LOOK_BEHIND) : end.start()]
    return not (end.group()[0] == "." and _ABBREVIATION.search(before))


def split_documents(lines: Iterable[str]) -> list[Document]:
    """Groups lines into documents of sentences; headings are boundaries and are dropped."""
    kept = [line.strip() for line in lines]
    levels = [_heading_level(line) for line in kept]
    by_title = levels.count(1) >= 2
    documents: list[Document] = [[]]
    for line, level in zip(kept, levels, strict=True):
        if level == 1 or (not by_title and (level or not line)):
            documents.append([])
        elif not level:
            documents[-1].extend(split_sentences(line))
    return [document for document in documents if document]


def _heading_level(line: str) -> int:
    """1 for ` = Title = `, 2 for ` = = Part = = `, ...; 0 for text."""
    match = _HEADING.match(line)
    return match.group(1).count("=") if match else 0


def hold_out(documents: Sequence[Document]) -> tuple[list[Document], list[Document]]:
    """Returns (training, held-out) documents: every tenth, or the last one, is held out."""
    if len(documents) < 2:
        raise TextError(
            f"the text must hold at least 2 documents, one of them to evaluate on; "
            f"it holds {len(documents)}. Put a blank line between documents."
        )
    held = set(range(9, len(documents), 10)) or {len(documents) - 1}
    train = [document for i, document in enumerate(documents) if i not in held]
    return train, [documents[i] for i in sorted(held)]


def read_lines(path: Path, max_bytes: int) -> Iterator[str]:
    """Yields the lines of a UTF-8 file (`.gz` too) until `max_bytes` are read."""
    size = 0
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            size += len(raw)
            if size > max_bytes:
                print(f"prepare_text: the first {max_bytes / 1e6:g} MB of {path} are used")
                return
            try:
                yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise TextError(
                    f"the text must be UTF-8; line {number} of {path} has the byte "
                    f"0x{raw[error.start]:02x} at position {error.start}. "
                    f"Convert it first, e.g.: iconv -f LATIN1 -t UTF-8"
                ) from error


def write_documents(path: Path, documents: Sequence[Document]) -> None:
    """Writes one sentence a line and a blank line between documents; whole or not at all."""
    write_text(path, "\n\n".join("\n".join(d) for d in documents) + "\n")


def main() -> int:
    """Reads the arguments and writes the two files; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path, help="UTF-8 text, also .gz")
    parser.add_argument("train", type=Path, help="file for nine tenths of the documents")
    parser.add_argument("dev", type=Path, help="file for the held-out documents")
    parser.add_argument("--max_megabytes", type=float, default=20.0, help="use no more than this")
    args = parser.parse_args()
    try:
        documents = split_documents(read_lines(args.text, int(args.max_megabytes * 1e6)))
        train, dev = hold_out(documents)
        for path, part in ((args.train, train), (args.dev, dev)):
            write_documents(path, part)
            print(f"{path}: {len(part)} documents, {sum(map(len, part))} sentences")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        print(
            f"prepare_text: {args.text}: the gzip data is cut or damaged ({error}). Copy it again.",
            file=sys.stderr,
        )
        return 1
    except (TextError, OSError) as error:
        print(f"prepare_text: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
