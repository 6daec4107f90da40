"""The character rules of the 2018 tokenizer: cleaning, lower-casing and splitting into words.

Everything here works on a *chunk*: a run of characters without white space. A chunk is the
natural unit because no rule looks across white space, so a chunk's words depend on nothing else
and may be remembered. Order of the rules, which matters (original: `BasicTokenizer.tokenize`):

1. drop NUL, U+FFFD and the categories Cc and Cf, except tab, newline and carriage return;
2. split at white space;
3. make each character of the original's eight CJK blocks a word of its own;
4. if lower-casing: `str.lower`, canonical decomposition (NFD), drop the category Mn;
5. make each punctuation character a word of its own.

Rule 1 comes before rule 2 and drops some characters that `str.split` takes for white space, so
`"a\\x0bb"` is one word: `split_chunks` sees to that.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

# What both `str.split` and category Cc hold, apart from the three that count as white space.
_DROPPED_SPACES = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"
_DROPPED_SPACE = re.compile(f"[{_DROPPED_SPACES}]")
_RAW_CHUNK = re.compile(rf"[\S{_DROPPED_SPACES}]+")

# The blocks that the original tests for: Han only, neither kana nor Hangul.
_CJK_RANGES = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
_CJK = re.compile("([" + "".join(f"{chr(lo)}-{chr(hi)}" for lo, hi in _CJK_RANGES) + "])")

# Every printable ASCII character is a letter, a digit or punctuation under rule 5.
_ASCII_WORD = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")


class AlignedWord(NamedTuple):
    """A word and, for each of its characters, where in the raw chunk it came from.

    Character i of `text` came from `chunk[starts[i]:ends[i]]`.
    """

    text: str
    starts: Sequence[int]
    ends: Sequence[int]


class _Char(NamedTuple):
    """A character with its half-open span in the raw chunk."""

    char: str
    start: int
    end: int


def is_dropped(char: str) -> bool:
    """Whether rule 1 removes this character."""
    if char in "\t\n\r":
        return False
    return char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cf")


def is_punctuation(char: str) -> bool:
    """Whether the character is in a category P*, or an ASCII symbol such as `$`, `^` or a tick."""
    if char < "\x7f":
        return "!" <= char <= "~" and not char.isalnum()
    return unicodedata.category(char).startswith("P")


def is_cjk(char: str) -> bool:
    """Whether rule 3 makes the character a word of its own."""
    return _CJK.fullmatch(char) is not None


def split_chunks(text: str) -> list[str]:
    """Splits at white space, which the characters that rule 1 drops are not."""
    # One search per character beats one regular expression: each is a memchr.
    for char in _DROPPED_SPACES:
        if char in text:
            return _DROPPED_SPACE.sub("", text).split()
    return text.split()


def find_raw_chunks(text: str) -> list[tuple[int, str]]:
    """The chunks of a text, nothing dropped from them yet, each with its first index."""
    return [(match.start(), match.group()) for match in _RAW_CHUNK.finditer(text)]


def split_words(chunk: str, lower: bool) -> list[str]:
    """The words of one chunk by rules 1 and 3 to 5; none if the rules drop all of it."""
    if chunk.isascii() and chunk.isprintable():
        return _ASCII_WORD.findall(chunk.lower() if lower else chunk)
    # All that rule 1 drops is unprintable, but for U+FFFD.
    if not chunk.isprintable() or "\ufffd" in chunk:
        chunk = "".join(char for char in chunk if not is_dropped(char))
    words: list[str] = []
    for piece in _CJK.split(chunk):
        words += _split_punctuation(_fold(piece) if lower else piece)
    return words


def split_aligned_words(chunk: str, lower: bool) -> list[AlignedWord]:
    """As `split_words`, with the origin of every character.

    The spans of consecutive characters never go backwards. A character that became several
    (a Hangul syllable under NFD) gives each the same span; a dropped accent widens the span of
    the character that it stood on.
    """
    if chunk.isascii() and chunk.isprintable():
        return [
            AlignedWord(m.group(), range(m.start(), m.end()), range(m.start() + 1, m.end() + 1))
            for m in _ASCII_WORD.finditer(chunk.lower() if lower else chunk)
        ]
    kept = [_Char(c, i, i + 1) for i, c in enumerate(chunk) if not is_dropped(c)]
    words: list[AlignedWord] = []
    first = 0
    for piece in _CJK.split("".join(char.char for char in kept)):
        chars = kept[first : first + len(piece)]
        first += len(piece)
        words += _split_aligned_punctuation(_fold_aligned(chars) if lower else chars)
    return words


def _fold(piece: str) -> str:
    """Rule 4."""
    piece = piece.lower()
    if piece.isascii():
        return piece
    decomposed = unicodedata.normalize("NFD", piece)
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


def _split_punctuation(piece: str) -> list[str]:
    """Rule 5."""
    if piece.isalnum():
        return [piece]
    words: list[str] = []
    start = 0
    for index, char in enumerate(piece):
        if is_punctuation(char):
            if start < index:
                words.append(piece[start:index])
            words.append(char)
            start = index + 1
    if start < len(piece):
        words.append(piece[start:])
    return words


def _split_aligned_punctuation(chars: list[_Char]) -> list[AlignedWord]:
    """Rule 5, with spans."""
    words: list[AlignedWord] = []
    first = 0
    for text in _split_punctuation("".join(char.char for char in chars)):
        members = chars[first : first + len(text)]
        first += len(text)
        words.append(AlignedWord(text, [m.start for m in members], [m.end for m in members]))
    return words


def _fold_aligned(chars: list[_Char]) -> list[_Char]:
    """Rule 4, with spans."""
    # Lower-casing looks around (final sigma) so it takes the whole piece, but the number of
    # characters that one becomes does not depend on its neighbours.
    lowered = "".join(char.char for char in chars).lower()
    decomposed: list[_Char] = []
    first = 0
    for char, start, end in chars:
        last = first + len(char.lower())
        for part in unicodedata.normalize("NFD", lowered[first:last]):
            decomposed.append(_Char(part, start, end))
        first = last
    return _drop_marks(_order_marks(decomposed))


def _order_marks(chars: list[_Char]) -> list[_Char]:
    """Sorts each run of combining characters by combining class, the second half of NFD.

    Runs that changed take the whole run's span, so that spans still never go backwards.
    """
    ordered: list[_Char] = []
    first = 0
    while first < len(chars):
        last = first
        while last < len(chars) and unicodedata.combining(chars[last].char):
            last += 1
        run = chars[first:last]
        in_order = sorted(run, key=lambda char: unicodedata.combining(char.char))
        if in_order != run:
            in_order = [_Char(char.char, run[0].start, run[-1].end) for char in in_order]
        ordered += in_order
        ordered += chars[last : last + 1]
        first = last + 1
    return ordered


def _drop_marks(chars: list[_Char]) -> list[_Char]:
    """Drops the category Mn; the character before a dropped mark takes in its span."""
    kept: list[_Char] = []
    for char in chars:
        if unicodedata.category(char.char) != "Mn":
            kept.append(char)
        elif kept:
            kept[-1] = kept[-1]._replace(end=max(kept[-1].end, char.end))
    return kept
