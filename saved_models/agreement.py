"""Where tensorflow-text's fast tokenizer agrees with the original's: which characters, which lines.

Both look at characters one at a time, apart from three rules: the final sigma, the order of
combining marks, and the longest word. So a character on which they agree in a few words is one on
which they always agree, if it is none of the first two and words are short. Which these are is
asked of the fast tokenizer itself, when an export is made: it is the one that will run.
"""

from __future__ import annotations

import functools
import itertools
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence

import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD, UNK_TOKEN, FullTokenizer
from saved_models.character_table import CAPITAL_SIGMA

# What ASCII text may hold: what is printed, and the white space that the rules know.
PLAIN_LINE = r"[\x20-\x7e\t\n\r]*"
# A word beyond ASCII of so many characters, three bytes each at most, is within both limits.
_SHORT = MAX_INPUT_CHARS_PER_WORD // 3
LONG_CHUNK = rf"(?s).*[^ \t\n\r]{{{_SHORT + 1},}}.*"
# Letters and signs of European languages, the punctuation of printed text, currencies, arrows.
_CANDIDATES = (
    range(0xA0, 0x250),
    range(0x370, 0x530),
    range(0x1E00, 0x1F00),
    range(0x2010, 0x2200),
)
_CONTEXTS = ("{0}", "a{0}b", "a {0} b", "{0}{0}a", "A{0}", "a{0}{0} {0}b")


@functools.cache
def agreeing_line(lower: bool) -> str:
    """A regular expression of lines whose every character the two agree on (see `LONG_CHUNK`)."""
    return rf"[\x20-\x7e\t\n\r{_ranges(agreeing(lower))}]*"


def agreeing(lower: bool) -> list[int]:
    """Those of the candidates on which both give the same tokens with the same offsets.

    Args:
      lower: whether text is lower-cased.
    """
    codes = [code for span in _CANDIDATES for code in span if _stands_alone(chr(code))]
    texts = [context.format(chr(code)) for code in codes for context in _CONTEXTS]
    tokens = _vocabulary(codes, lower)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        file.write("".join(f"{token}\n" for token in tokens))
        file.flush()
        original = FullTokenizer(file.name, lower)
        expected = [_with_bytes(original, text) for text in texts]
    fast = tf_text.FastBertTokenizer(
        vocab=tokens, token_out_type=tf.int32, lower_case_nfd_strip_accents=lower
    )
    ids, starts, ends = (part.to_list() for part in fast.tokenize_with_offsets(tf.constant(texts)))
    same = [found == wanted for *found, wanted in zip(ids, starts, ends, expected, strict=True)]
    size = len(_CONTEXTS)
    return [code for at, code in enumerate(codes) if all(same[at * size : (at + 1) * size])]


def _stands_alone(char: str) -> bool:
    """Whether no rule looks at the character's neighbours."""
    return not (ord(char) == CAPITAL_SIGMA or any(map(unicodedata.combining, char.lower())))


def _vocabulary(codes: Iterable[int], lower: bool) -> list[str]:
    """Tokens for every character that the original may make of `codes`: none is unknown."""
    made = {"a", "b", "A"}
    for code in codes:
        char = chr(code)
        made.update(unicodedata.normalize("NFD", char.lower()) if lower else char)
    words = sorted(char for char in made if not char.isspace())
    return [UNK_TOKEN, *words, *(f"##{char}" for char in words)]


def _with_bytes(tokenizer: FullTokenizer, text: str) -> list[list[int]]:
    """Ids, first bytes and ends, as the fast tokenizer gives them."""
    places = [0, *itertools.accumulate(len(char.encode()) for char in text)]
    tokens, offsets = tokenizer.tokenize_with_offsets(text)
    ids = [tokenizer.vocab[token] for token in tokens]
    return [ids, [places[start] for start, _ in offsets], [places[end] for _, end in offsets]]


def _ranges(codes: Sequence[int]) -> str:
    """The inside of a character class."""
    found: list[list[int]] = []
    for code in codes:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in found)
