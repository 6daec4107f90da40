"""Named entities in column files: sentences, documents, tags.

A file has a word a line, its columns parted by spaces or tabs, the tag in the last one; a blank
line ends a sentence, `-DOCSTART-` begins a document (CoNLL-2003, arXiv cs/0306050).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bert_tf.inputs.text_files import TextFileError, read_lines

DOCUMENT_START = "-DOCSTART-"
OUTSIDE = "O"
_TAG = re.compile(r"O|[BIES]-.+")
_CHUNK = re.compile(r"\S+")

# What plain text's words are parted from at their edges.
_QUOTES = "\"'`“”„‘’‚«»‹›"
OPENING = frozenset(_QUOTES + "([{<¿¡（「『《")
CLOSING = frozenset(_QUOTES + ")]}>）」』》.,;:!?…。，、；：！？")
APOSTROPHES = frozenset("'’")
DIGITS = frozenset("0123456789")
FULL_STOP = "."


@dataclass(frozen=True)
class Sentence:
    """Words, their tags where there are any, and where they stand in `text`."""

    words: tuple[str, ...]
    tags: tuple[str, ...] | None
    text: str
    starts: tuple[int, ...]
    where: str


@dataclass(frozen=True)
class Entity:
    """Words `first` to `last` (exclusive) of a sentence name something of a kind."""

    kind: str
    first: int
    last: int


Document = list[Sentence]


def read_columns(path: str | Path, tagged: bool) -> list[Document]:
    """Documents of a column file.

    Args:
        path: The file.
        tagged: Whether the last column is a tag.

    Raises:
        TextFileError: If a line has no tag, a tag is none, or there is no word.
    """
    documents: list[Document] = [[]]
    words: list[str] = []
    tags: list[str] = []
    line = 0

    def end_sentence() -> None:
        if words:
            own = begin_entities(tags) if tagged else None
            documents[-1].append(_sentence(words, own, f"{path}, before line {line}"))
            words.clear()
            tags.clear()

    for line, text in enumerate(read_lines(path), start=1):
        fields = text.split()
        if not fields or fields[0] == DOCUMENT_START:
            end_sentence()
            if fields and documents[-1]:
                documents.append([])
            continue
        if tagged:
            _check_tag(path, line, fields)
            tags.append(fields[-1])
        words.append(fields[0])
    line += 1
    end_sentence()
    documents = [document for document in documents if document]
    if not documents:
        raise TextFileError(f"{path} must hold at least one word, but holds none.")
    return documents


def is_tag(text: str) -> bool:
    """Whether a text is a tag: O, or B-, I-, E- or S- and a kind."""
    return bool(_TAG.fullmatch(text))


def _check_tag(path: str | Path, line: int, fields: Sequence[str]) -> None:
    if len(fields) < 2:
        raise TextFileError(
            f"{path}, line {line}: must have a word and, in its last column, a tag, but has only "
            f"{fields[0]!r}. Give files without tags as --predict_file alone."
        )
    if not is_tag(fields[-1]):
        raise TextFileError(
            f"{path}, line {line}: the last column must be a tag such as O, B-PER or I-PER, but "
            f"is {fields[-1]!r}."
        )


def _sentence(words: Sequence[str], tags: Sequence[str] | None, where: str) -> Sentence:
    starts, place = [], 0
    for word in words:
        starts.append(place)
        place += len(word) + 1
    own = None if tags is None else tuple(tags)
    return Sentence(tuple(words), own, " ".join(words), tuple(starts), where)


def read_plain(path: str | Path) -> list[Document]:
    """Documents of a text file: a sentence a line, a blank line between documents.

    Raises:
        TextFileError: If there is no word.
    """
    documents: list[Document] = [[]]
    for number, line in enumerate(read_lines(path), start=1):
        sentence = plain_sentence(line, f"{path}, line {number}")
        if sentence.words:
            documents[-1].append(sentence)
        elif documents[-1]:
            documents.append([])
    documents = [document for document in documents if document]
    if not documents:
        raise TextFileError(f"{path} must hold at least one word, but holds none.")
    return documents


def plain_sentence(text: str, where: str = "") -> Sentence:
    """The words of plain text, see `plain_words`."""
    spans = plain_words(text)
    words = tuple(text[start:end] for start, end in spans)
    return Sentence(words, None, text, tuple(start for start, _ in spans), where)


def column_sentence(text: str) -> Sentence:
    """The words of text that is parted into words by white space already, as columns are."""
    chunks = list(_CHUNK.finditer(text))
    words = tuple(chunk.group() for chunk in chunks)
    return Sentence(words, None, text, tuple(chunk.start() for chunk in chunks), "")


def plain_words(text: str) -> list[tuple[int, int]]:
    """Where the words of plain text begin and end: white-space chunks without what is on the edges.

    Quotes and brackets at the beginning of a chunk are words of their own, each character one, and
    so are quotes, brackets and the signs of `CLOSING` at its end, and then a possessive 's. A full
    stop stays with a single character (no digit) that begins the word or follows another full
    stop: "U.N.", "J.", "e.g.", but not "Inc." or "1995.".
    """
    spans: list[tuple[int, int]] = []
    for chunk in _CHUNK.finditer(text):
        start, end = chunk.span()
        first, last = start, end
        while first < end and text[first] in OPENING:
            first += 1
        while last > first and text[last - 1] in CLOSING:
            last -= 1
        if (
            first < last < end
            and text[last] == FULL_STOP
            and text[last - 1] not in DIGITS
            and (last - 1 == first or text[last - 2] == FULL_STOP)
        ):
            last += 1
        begins = [*range(start, first), first] if first < last else [*range(start, first)]
        if last - 2 > first and text[last - 2] in APOSTROPHES and text[last - 1] in "sS":
            begins.append(last - 2)
        begins += range(last, end)
        spans += zip(begins, [*begins[1:], end], strict=True)
    return spans


def entity_row(sentence: Sentence, entity: Entity) -> dict[str, object]:
    """An entity with its place in the sentence's text."""
    last = entity.last - 1
    start, end = sentence.starts[entity.first], sentence.starts[last] + len(sentence.words[last])
    return {
        "type": entity.kind,
        "text": sentence.text[start:end],
        "start": start,
        "end": end,
        "first_word": entity.first,
        "end_word": entity.last,
    }


def begin_entities(tags: Sequence[str]) -> list[str]:
    """Tags whose every entity begins with B-: CoNLL-2003 has B- only between neighbours.

    Tags that are written so already stay, and so do those with S- and E-.
    """
    made: list[str] = []
    for number, tag in enumerate(tags):
        before = tags[number - 1] if number else OUTSIDE
        starts = tag.startswith("I-") and (before == OUTSIDE or before[2:] != tag[2:])
        made.append(f"B-{tag[2:]}" if starts else tag)
    return made


def entities_of(tags: Sequence[str]) -> Iterator[Entity]:
    """Entities of a sentence's tags, by the rules of conlleval: a change of kind begins one."""
    first, kind = -1, ""
    for number, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, own = tag.partition("-")
        begins = prefix in ("B", "S") or (prefix in ("I", "E") and (first < 0 or own != kind))
        if first >= 0 and (begins or prefix == OUTSIDE):
            yield Entity(kind, first, number)
            first = -1
        if begins:
            first, kind = number, own
        if prefix in ("E", "S") and first >= 0:
            yield Entity(kind, first, number + 1)
            first = -1


def learn_tags(documents: Sequence[Document]) -> tuple[str, ...]:
    """The tags of training documents: O first, then sorted.

    Raises:
        ValueError: If there is no entity at all.
    """
    tags = {tag for document in documents for sentence in document for tag in sentence.tags or ()}
    tags.discard(OUTSIDE)
    if not tags:
        raise ValueError(
            "The training file must tag some entities, but every word is O. Is the tag the last "
            "column?"
        )
    return (OUTSIDE, *sorted(tags))
