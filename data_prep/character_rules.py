"""The tokenizer's character rules, as tables that compiled code reads.

What the rules of `bert_tf.unicode_rules` do with a character depends on that character alone, but
for a few: the capital sigma, whose small form looks at its neighbours, and some forty signs that
Unicode's order of marks may move. A chunk with one of these goes to the tokenizer in Python.

ASCII has its tables from the start. All other characters are asked about as a text brings
them: no text has many of the 1.1 million.
"""

from __future__ import annotations

import functools
import string
import unicodedata

import numpy as np
import numpy.typing as npt

from bert_tf.unicode_rules import is_dropped, split_words
from data_prep.byte_table import Bytes

Ints = npt.NDArray[np.int32]

# What a character is to a line. What is unseen is dropped too, but does not keep a line from being
# blank: white space to str.strip, and the carriage return, which tf.gfile's line reader removes.
# Compiled code compares them: what is dropped comes before, and white space at the end.
WORD, DROPPED, UNSEEN, HIGH, SYMBOL, SPACE, NEWLINE = range(7)
# Beyond ASCII a character can also be one that was not asked about yet, or one of the few.
NEW, LOOKS_AROUND = 7, 8
_UNSEEN_BYTES = b"\x0b\x0c\r\x1c\x1d\x1e\x1f"
_ASCII = 128
_CODE_POINTS = 0x110000
_CAPITAL_SIGMA = "Σ"
# The most bytes that a character may become when it is lower-cased and decomposed, without marks:
# a syllable of Hangul gives three letters of three bytes.
_MOST_BYTES = 9


def byte_classes(lower: bool) -> tuple[Bytes, Bytes]:
    """What each byte is, and what stands in a word for it; uint8 [256] each."""
    kinds = np.full(256, WORD, np.uint8)
    kinds[:32] = kinds[127] = DROPPED
    kinds[list(_UNSEEN_BYTES)] = UNSEEN
    kinds[[ord(char) for char in string.punctuation]] = SYMBOL
    kinds[_ASCII:] = HIGH
    kinds[[ord(" "), ord("\t")]] = SPACE
    kinds[ord("\n")] = NEWLINE
    lowered = np.arange(256, dtype=np.uint8)
    if lower:
        for char in string.ascii_uppercase:
            lowered[ord(char)] = ord(char.lower())
    return kinds, lowered


@functools.lru_cache(maxsize=1 << 14)  # every thread asks for itself, and about the same ones
def character_rule(char: str, lower: bool) -> tuple[int, str]:
    """What a character beyond ASCII is, and what stands in a word, or as one, for it.

    Args:
      char: one character.
      lower: whether text is lower-cased.
    """
    if char.isspace() and not is_dropped(char):
        return SPACE, ""
    if lower and _looks_around(char):
        return LOOKS_AROUND, ""
    words = split_words(f"a{char}a", lower)
    inside = words[0][1:-1]
    if len(words) == 1 and len(inside.encode()) <= _MOST_BYTES:
        return (WORD if inside else DROPPED), inside
    if len(words) == 3 and len(words[1]) == 1:
        return SYMBOL, words[1]
    return LOOKS_AROUND, ""


def _looks_around(char: str) -> bool:
    parts = unicodedata.normalize("NFD", char.lower())
    # Marks are sorted, and most of them dropped: who stays may have changed its place.
    moves = any(unicodedata.combining(c) and unicodedata.category(c) != "Mn" for c in parts)
    return moves or char == _CAPITAL_SIGMA


class CharacterRules:
    """The rules of the characters that were asked about.

    Memory is taken only for the neighbourhoods of these.

    Args:
      vocab: ids by token.
      unknown: the id of [UNK].
      lower: whether text is lower-cased.

    Attributes:
      kinds: uint8 [code points]; NEW at first. (That of ASCII is never read: `byte_classes`.)
      spelt: uint8 [code points, 1 + _MOST_BYTES], how many bytes stand for it in a word, and these.
      symbols: int32 [code points], the id of a SYMBOL.
    """

    def __init__(self, vocab: dict[str, int], unknown: int, lower: bool) -> None:
        self._vocab, self._unknown, self._lower = vocab, unknown, lower
        self.kinds: Bytes = np.full(_CODE_POINTS, NEW, np.uint8)
        self.spelt: Bytes = np.zeros((_CODE_POINTS, 1 + _MOST_BYTES), np.uint8)
        self.symbols: Ints = np.zeros(_CODE_POINTS, np.int32)
        for char in string.punctuation:
            self.symbols[ord(char)] = vocab.get(char, unknown)

    def learn(self, codes: Ints) -> None:
        """Asks about characters."""
        for code in codes.tolist():
            kind, text = character_rule(chr(code), self._lower)
            spelt = text.encode()
            self.spelt[code, 0] = len(spelt)
            self.spelt[code, 1 : 1 + len(spelt)] = list(spelt)
            self.symbols[code] = self._vocab.get(text, self._unknown)
            self.kinds[code] = kind
