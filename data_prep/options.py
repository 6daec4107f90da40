"""What the generation of pretraining data is told, checked before anything is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[MASK]", "[UNK]")
# How the second sentence is asked for: is it the next one, is nothing asked, is the order right?
NextSentence = Literal["random", "none", "order"]
NEXT_SENTENCE = get_args(NextSentence)
# [CLS] a [SEP] b [SEP] with one token each in a and b; a shortened pair has two at least.
MIN_SEQ_LENGTH = 5

NOT_UTF8 = (
    "%d bytes of the input are not UTF-8 and were left out. If they are many, convert the text "
    "first, e.g. with iconv -f LATIN1 -t UTF-8."
)


def error_line(error: Exception) -> str:
    """What a command says of an error: one line, whatever the names of files hold."""
    shown = [char if char.isprintable() else repr(char)[1:-1] for char in str(error)]
    return f"error: {''.join(shown)}\n"


class DataError(ValueError):
    """Input or options that no records can be made from; the message says what to change."""


@dataclasses.dataclass(frozen=True)
class GenerationOptions:
    """The flags that decide what the examples are; the last four are none of the 2018 script.

    Attributes:
      mask_share: share of the predictions that [MASK] replaces (arXiv 1810.04805, table 8).
      random_share: share that a random token replaces; the others stay as they are.
      max_ngram: most units (tokens, or whole words) that are masked together, see `ngrams`.
      next_sentence: "random" as the original, "none" (`full_sentences`) or "order"
        (`sentence_order`).
    """

    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    random_seed: int = 12345
    dupe_factor: int = 10
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1
    do_whole_word_mask: bool = False
    mask_share: float = 0.8
    random_share: float = 0.1
    max_ngram: int = 1
    next_sentence: NextSentence = "random"

    def __post_init__(self) -> None:
        _require(
            self.max_seq_length >= MIN_SEQ_LENGTH,
            f"--max_seq_length must be at least {MIN_SEQ_LENGTH} (three special tokens and one "
            f"token of each part); got {self.max_seq_length}",
        )
        _require(
            self.max_predictions_per_seq >= 1,
            f"--max_predictions_per_seq must be at least 1; got {self.max_predictions_per_seq}. "
            "Take about --max_seq_length times --masked_lm_prob",
        )
        _require(
            self.dupe_factor >= 1,
            f"--dupe_factor must be at least 1 (passes over the text); got {self.dupe_factor}",
        )
        _require(
            0.0 < self.masked_lm_prob <= 1.0,
            f"--masked_lm_prob must be above 0 and at most 1; got {self.masked_lm_prob}",
        )
        _require(
            0.0 <= self.short_seq_prob <= 1.0,
            f"--short_seq_prob must be from 0 to 1; got {self.short_seq_prob}",
        )
        _require(
            0.0 <= self.mask_share <= 1.0
            and 0.0 <= self.random_share <= 1.0
            and exact(self.mask_share) + exact(self.random_share) <= 1,
            "--mask_share and --random_share must not be negative, nor above 1 together (the rest "
            f"keeps its tokens); got {self.mask_share} and {self.random_share}",
        )
        _require(
            1 <= self.max_ngram <= self.max_predictions_per_seq,
            "--max_ngram must be from 1 to --max_predictions_per_seq "
            f"({self.max_predictions_per_seq}); got {self.max_ngram}",
        )
        _require(
            self.next_sentence in NEXT_SENTENCE,
            f"--next_sentence must be one of {', '.join(NEXT_SENTENCE)}; got "
            f"{self.next_sentence!r}",
        )


def exact(share: float) -> Fraction:
    """A share as it was written: 1 - 0.8 is 0.2 then."""
    return Fraction(repr(share))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise DataError(f"{message}.")


@dataclasses.dataclass(frozen=True)
class VocabularyIds:
    """The ids that generation needs of a vocabulary.

    Attributes:
      cls, sep, mask: ids of the special tokens.
      words: the id of each different token, in the order of the vocabulary file.
      continuation: uint8 [largest id + 1], 1 where the token starts with "##".
    """

    cls: int
    sep: int
    mask: int
    words: list[int]
    continuation: npt.NDArray[np.uint8]

    @classmethod
    def from_vocab(cls, vocab: Mapping[str, int]) -> VocabularyIds:
        """From token -> id in file order; DataError where a special token is missing."""
        missing = [token for token in SPECIAL_TOKENS if token not in vocab]
        if missing:
            raise DataError(
                f"The vocabulary needs {', '.join(SPECIAL_TOKENS)}; {', '.join(missing)} missing "
                f"among its {len(vocab)} tokens. Is --vocab_file a BERT vocabulary?"
            )
        continuation = np.zeros(max(vocab.values()) + 1, np.uint8)
        continuation[[i for token, i in vocab.items() if token.startswith("##")]] = 1
        return cls(
            cls=vocab["[CLS]"],
            sep=vocab["[SEP]"],
            mask=vocab["[MASK]"],
            words=list(vocab.values()),
            continuation=continuation,
        )
