"""What the generation of pretraining data is told, checked before anything is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

SPECIAL_TOKENS = ("[CLS]", "[SEP]", "[MASK]", "[UNK]")
# [CLS] a [SEP] b [SEP] with one token each in a and b; a shortened pair has two at least.
MIN_SEQ_LENGTH = 5


class DataError(ValueError):
    """Input or options that no records can be made from; the message says what to change."""


@dataclasses.dataclass(frozen=True)
class GenerationOptions:
    """The flags of the 2018 script that decide what the examples are."""

    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    random_seed: int = 12345
    dupe_factor: int = 10
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1
    do_whole_word_mask: bool = False

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
