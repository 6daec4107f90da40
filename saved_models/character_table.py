"""The tokenizer's character rules as tables, made once at export and applied by TensorFlow ops.

Each code point has a cell: flags that say what the rules do with it, and what it becomes when it
is lower-cased and decomposed. Cells are stored in pages of 256, and equal pages once, so that 1.1
million code points take some 100,000 cells.

The one rule that looks around is the final sigma of `str.lower`; the flags CASED and IGNORABLE
hold what it looks at. They are read off Python's own lower-casing, as all else here is read off
`bert_tf.unicode_rules`: tables of another Unicode version cannot slip in.
"""

from __future__ import annotations

import dataclasses
import functools
import unicodedata

import numpy as np
import numpy.typing as npt

from bert_tf.unicode_rules import is_cjk, is_dropped, is_punctuation

PAGE = 256
CODE_POINTS = 0x110000
CAPITAL_SIGMA, FINAL_SIGMA = 0x3A3, 0x3C2

# Flags of a code point.
DROPPED = 1 << 0  # rule 1
SPACE = 1 << 1  # rule 2
CJK = 1 << 2  # rule 3: a word of its own, and looked at before it is folded
PUNCTUATION = 1 << 3  # rule 5: a word of its own
MARK = 1 << 4  # category Mn, dropped by rule 4
CASED = 1 << 5  # a letter to the rule of the final sigma
IGNORABLE = 1 << 6  # nothing to that rule

_SURROGATES = range(0xD800, 0xE000)
_UNCHANGED = -1


@dataclasses.dataclass(frozen=True)
class CharacterTable:
    """Cells of all code points: code point c has cell pages[c // 256] * 256 + c % 256.

    Attributes:
      pages: int32 [4352].
      flags: int32 [cells].
      classes: int32 [cells], the canonical combining class.
      starts: int32 [cells], where in `folded` begins what the code point becomes; -1 where it
        stays as it is.
      counts: int32 [cells], how many code points it becomes, marks included.
      folded: int32, code points.
    """

    pages: npt.NDArray[np.int32]
    flags: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    folded: npt.NDArray[np.int32]


@functools.cache
def character_table(lower: bool) -> CharacterTable:
    """The table of cased (`lower=False`: nothing is folded) or uncased text; takes seconds."""
    folded: list[int] = []
    page_of: dict[bytes, int] = {}
    pages: list[int] = []
    cells: list[npt.NDArray[np.int64]] = []
    for first in range(0, CODE_POINTS, PAGE):
        page = np.array([_cell(code, lower, folded) for code in range(first, first + PAGE)])
        key = page.tobytes()
        if key not in page_of:
            page_of[key] = len(cells)
            cells.append(page)
        pages.append(page_of[key])
    flags, classes, starts, counts = np.concatenate(cells).astype(np.int32).T.copy()
    # One element at least, so that a gather from it is always allowed.
    return CharacterTable(
        np.array(pages, np.int32), flags, classes, starts, counts, np.array([*folded, 0], np.int32)
    )


def _cell(code: int, lower: bool, folded: list[int]) -> tuple[int, int, int, int]:
    """A code point's flags, class, start and count; appends to `folded` what it becomes."""
    if code in _SURROGATES:  # no decoder of UTF-8 hands them out
        return DROPPED, 0, _UNCHANGED, 1
    char = chr(code)
    flags, combining = _flags(char), unicodedata.combining(char)
    becomes = unicodedata.normalize("NFD", char.lower()) if lower else char
    if becomes == char:
        return flags, combining, _UNCHANGED, 1
    start = len(folded)
    folded.extend(map(ord, becomes))
    return flags, combining, start, len(becomes)


def _flags(char: str) -> int:
    if is_dropped(char):
        return DROPPED
    if char.isspace():
        return SPACE
    flags = CJK if is_cjk(char) else 0
    if is_punctuation(char):
        flags |= PUNCTUATION
    if unicodedata.category(char) == "Mn":
        flags |= MARK
    # A sigma between a letter and this character: is it final?
    if f"aΣ{char}".lower()[1] != chr(FINAL_SIGMA):
        flags |= CASED
    elif f"aΣ{char}a".lower()[1] != chr(FINAL_SIGMA):
        flags |= IGNORABLE
    return flags
