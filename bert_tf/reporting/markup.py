"""HTML made of data: whatever is not HTML already is escaped, and texts are cleaned and cut.

`Markup` (of the library MarkupSafe) is a str that is HTML; its `format` and `join` escape all else.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from markupsafe import Markup

LONGEST_TEXT = 600  # characters of a text that are shown
LONGEST_LABEL = 60
MOST_SHOWN = 200  # examples of a list
# Half a surrogate pair cannot be written as UTF-8, and HTML forbids the other ones.
_NO_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_REPLACEMENT = "\ufffd"
_ZERO_WIDTH_JOINER = "\u200d"
# A cut moves back at most so far to spare an accent: a flood of accents is no reason to drop all.
_MOST_ACCENTS = 16

Row = TypeVar("Row")


def clean(text: str) -> str:
    """The text, as long as before, without characters that cannot stand in an HTML file."""
    return _NO_TEXT.sub(_REPLACEMENT, text)


def cut(text: str, limit: int) -> tuple[str, int]:
    """At most `limit` characters of a text, and how many are left out.

    Accents stay with their letters.
    """
    if len(text) <= limit:
        return text, 0
    end = limit
    while end > max(limit - _MOST_ACCENTS, 0) and _belongs_together(text[end - 1], text[end]):
        end -= 1
    return text[:end], len(text) - end


def _belongs_together(before: str, after: str) -> bool:
    joined = before == _ZERO_WIDTH_JOINER or after == _ZERO_WIDTH_JOINER
    return joined or unicodedata.category(after).startswith("M")


def left_out(count: int, what: str = "characters") -> Markup:
    """A note in a text that some of it is missing; nothing for 0."""
    if not count:
        return Markup()
    return Markup(' <span class="note">[{:,} {} left out]</span>').format(count, what)


def quoted(text: str, limit: int = LONGEST_TEXT) -> Markup:
    """A text of the data within a line; its direction, whichever it is, ends where it ends."""
    shown, missing = cut(clean(text), limit)
    if not shown.strip():
        return Markup('<span class="note">(empty)</span>')
    return Markup('<bdi class="text">{}</bdi>{}').format(shown, left_out(missing))


def paragraph(text: str, limit: int = LONGEST_TEXT) -> Markup:
    """A text of the data as a block of its own."""
    return Markup('<p class="text" dir="auto">{}</p>').format(quoted(text, limit))


def label(text: str) -> Markup:
    """A short text of the data, such as the name of a class."""
    return quoted(text, LONGEST_LABEL)


def join(parts: Iterable[Markup]) -> Markup:
    """One after the other."""
    return Markup().join(parts)


def percent(share: float) -> str:
    """A share of 1 in percent."""
    return f"{100.0 * share:.1f} %"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> Markup:
    """A table whose first column names its rows; cells that begin with `<td` are whole cells.

    On a narrow screen it scrolls by itself, with the keyboard as well.
    """
    head = join(Markup('<th scope="col">{}</th>').format(each) for each in heads)
    body = join(Markup("<tr>{}</tr>").format(join(_cells(row))) for row in rows)
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table>'
        "<caption>{0}</caption><thead><tr>{1}</tr></thead><tbody>{2}</tbody></table></div>"
    ).format(caption, head, body)


def _cells(row: Sequence[object]) -> Iterator[Markup]:
    yield Markup('<th scope="row">{}</th>').format(row[0])
    for cell in row[1:]:
        if isinstance(cell, Markup) and cell.startswith("<td"):
            yield cell
        else:
            yield Markup("<td>{}</td>").format(cell)


def bar(share: float) -> Markup:
    """A cell with a share of 1 as number and bar."""
    inside = min(max(share, 0.0), 1.0)
    return Markup('<td class="bar" style="--share:{:.4f}"><span>{}</span></td>').format(
        inside, percent(share)
    )


def folded(summary: str, body: Markup) -> Markup:
    """What is shown when it is asked for."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, body)


def tag(text: Markup | str, kind: str) -> Markup:
    """A small box in the line; its kind is a class of page.css: gold, said, right, wrong, plain."""
    return Markup('<span class="tag {}">{}</span>').format(kind, text)


def shown_of(shown: int, count: int, what: str) -> Markup:
    """Says how many of a list are there."""
    if shown == count:
        return Markup("<p>All {:,} {}.</p>").format(count, what)
    return Markup("<p>{:,} of {:,} {}; {:,} are left out.</p>").format(
        shown, count, what, count - shown
    )


def pick(rows: Iterable[Row], numbers: Sequence[int]) -> list[Row]:
    """The rows with these numbers, in the order of the numbers; only they are kept in memory.

    Raises:
        ValueError: If there are fewer rows.
    """
    wanted = {int(number) for number in numbers}
    last = max(wanted, default=-1)
    # The range comes first: zip must not take a row more than it needs.
    found = {
        number: row for number, row in zip(range(last + 1), rows, strict=False) if number in wanted
    }
    if len(found) < len(wanted):
        raise ValueError(
            f"A report needs the text of every example, but there is none for number {last}. Has "
            "the file been changed since its examples were computed?"
        )
    return [found[int(number)] for number in numbers]
