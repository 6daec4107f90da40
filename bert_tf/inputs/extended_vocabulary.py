"""New words for an old vocabulary: where they go, and which pieces they were spelt with before."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from bert_tf.tokenization import (
    MAX_INPUT_CHARS_PER_WORD,
    UNK_TOKEN,
    FullTokenizer,
    WordpieceTokenizer,
)

_UNUSED = re.compile(r"\[unused\d+\]")
_LATER = "##"


@dataclasses.dataclass(frozen=True)
class Extension:
    """A vocabulary with new words.

    Attributes:
      tokens: all tokens in the order of their ids.
      pieces: id of each new word -> ids of the pieces that spelt it before.
      known: words that the vocabulary held already.
    """

    tokens: tuple[str, ...]
    pieces: dict[int, tuple[int, ...]]
    known: tuple[str, ...]


def extend_vocabulary(
    tokenizer: FullTokenizer, words: Iterable[str], fill_unused: bool = True
) -> Extension:
    """Finds a place for each word: the [unused] entries in their order, then behind the last one.

    Args:
      tokenizer: with the old vocabulary.
      words: new words, and pieces that continue a word ("##ware"); put into the tokenizer's form
        (lower case, without accents) first.
      fill_unused: whether [unused] entries are given up; their ids stay the same.

    Raises:
      ValueError: a token stands twice in the vocabulary; a word that the tokenizer would never
        look up; no word that is new.
    """
    vocab = tokenizer.vocab
    size = max(vocab.values()) + 1
    if len(vocab) != size:
        raise ValueError(
            f"A vocabulary that is extended must hold each token once, but of its {size} lines "
            f"{size - len(vocab)} repeat a token. Remove repetitions (and their rows) first."
        )
    tokens = list(vocab)
    free = [index for token, index in vocab.items() if fill_unused and _UNUSED.fullmatch(token)]
    pieces: dict[int, tuple[int, ...]] = {}
    known = []
    for word in dict.fromkeys(_normal_form(tokenizer, word) for word in words):
        if word in vocab:
            known.append(word)
            continue
        place = free.pop(0) if free else len(tokens)
        tokens[place : place + 1] = [word]
        pieces[place] = tuple(vocab[piece] for piece in spelling(tokenizer, word))
    if not pieces:
        raise ValueError(
            "There is no new word: "
            + (f"the vocabulary holds {', '.join(known)} already." if known else "none was given.")
        )
    return Extension(tuple(tokens), pieces, tuple(known))


def spelling(tokenizer: FullTokenizer, word: str) -> list[str]:
    """The pieces of a word, or of a piece that continues one; [UNK] where it cannot be spelt."""
    if not word.startswith(_LATER):
        return tokenizer.wordpiece_tokenizer.split_word(word)
    # A vocabulary in which pieces that continue a word may start one, too, and nothing else may.
    later = [token for token in tokenizer.vocab if token.startswith(_LATER)]
    within = WordpieceTokenizer({*later, *(token.removeprefix(_LATER) for token in later)})
    found = within.split_word(word.removeprefix(_LATER))
    return found if found == [UNK_TOKEN] else [_LATER + found[0], *found[1:]]


def _normal_form(tokenizer: FullTokenizer, word: str) -> str:
    """The form in which the tokenizer looks a word up."""
    rest = word.strip().removeprefix(_LATER)
    found = tokenizer.basic_tokenizer.tokenize(rest)
    if len(found) != 1:
        raise ValueError(
            f"A new word must be one word to the tokenizer, but {word!r} becomes "
            f"{' '.join(found) or 'nothing'}: as one entry it would never be found. Add its parts."
        )
    if len(found[0]) > MAX_INPUT_CHARS_PER_WORD:
        raise ValueError(
            f"A word may have {MAX_INPUT_CHARS_PER_WORD} characters, but {word[:20]!r}... has "
            f"{len(found[0])}. Leave it out."
        )
    return found[0] if rest == word.strip() else _LATER + found[0]
