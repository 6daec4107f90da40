"""What records hold, counted while they are written: lengths, random next sentences, masks."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from bert_tf.tokenization import UNK_TOKEN, FullTokenizer
from data_prep.documents import Corpus
from data_prep.options import GenerationOptions
from data_prep.unknown_words import UnknownWords

Longs = npt.NDArray[np.int64]

_RANDOM, _TOKENS, _UNKNOWN, _MASKED, _REPLACED, _KEPT = range(6)
_MOST_WORDS = 20


@dataclasses.dataclass
class Statistics:
    """Counts of records.

    Attributes:
      lengths: int64 [max_seq_length + 1], records of each length.
      positions: int64 [max_seq_length], predictions at each place.
      predictions: int64 [max_predictions_per_seq + 1], records with so many.
      counts: int64 [6]: records with a random next sentence; tokens without the special ones;
        [UNK] among them; predictions that show [MASK], another token, the token itself.
    """

    lengths: Longs
    positions: Longs
    predictions: Longs
    counts: Longs

    @classmethod
    def empty(cls, options: GenerationOptions) -> Statistics:
        """Of no record."""
        length, most = options.max_seq_length, options.max_predictions_per_seq
        return cls(
            *(np.zeros(size, np.int64) for size in (length + 1, length, most + 1, _KEPT + 1))
        )

    def add_rows(self, rows: npt.NDArray[np.int32], mask: int, unknown: int) -> None:
        """Counts in records as rows of features (`ExampleWriter.values`).

        Args:
          rows: int32 [B, all lengths].
          mask: the id of [MASK].
          unknown: the id of [UNK].
        """
        _count(rows, mask, unknown, self.lengths, self.positions, self.predictions, self.counts)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.lengths + other.lengths,
            self.positions + other.positions,
            self.predictions + other.predictions,
            self.counts + other.counts,
        )

    def to_json(self) -> dict[str, list[int]]:
        """Plain values for json.dump."""
        return {name: values.tolist() for name, values in vars(self).items()}

    @classmethod
    def from_json(cls, values: Mapping[str, list[int]]) -> Statistics:
        """The inverse of `to_json`."""
        return cls(**{name: np.array(numbers, np.int64) for name, numbers in values.items()})

    @property
    def records(self) -> int:
        """How many were counted."""
        return int(self.lengths.sum())

    @property
    def masked(self) -> int:
        """Predictions of all records."""
        return int(self.counts[_MASKED:].sum())

    @property
    def tokens(self) -> int:
        """Tokens without [CLS] and [SEP]."""
        return int(self.counts[_TOKENS])

    @property
    def shares(self) -> dict[str, float]:
        """Shares of 1, by what they are of."""
        records, tokens, masked = (max(n, 1) for n in (self.records, self.tokens, self.masked))
        shown = self.counts[_MASKED:] / masked
        return {
            "random next": float(self.counts[_RANDOM] / records),
            "shorter": float(self.lengths[:-1].sum() / records),
            "masked": self.masked / tokens,
            "[MASK]": float(shown[0]),
            "another token": float(shown[1]),
            "kept": float(shown[2]),
            "[UNK]": float(self.counts[_UNKNOWN] / tokens),
        }

    @property
    def mean_length(self) -> float:
        """Tokens of a record, special ones too."""
        return float(np.arange(len(self.lengths)) @ self.lengths) / max(self.records, 1)


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that there is to say about the data of a run.

    Attributes:
      statistics: of the records.
      unknown_words: a sample of words that became [UNK], and how often.
      facts: of the text, by name: documents, sentences and the like.
      flags: of the run.
    """

    statistics: Statistics
    unknown_words: Mapping[str, int]
    facts: Mapping[str, int]
    flags: Mapping[str, object]

    @property
    def label(self) -> str | None:
        """What next_sentence_labels of 1 mean in this run; None where records are of one part."""
        return {"none": None, "order": "swapped"}.get(
            str(self.flags.get("next_sentence")), "random next"
        )

    @property
    def unit(self) -> str:
        """What a record is made of."""
        return "pairs" if self.label else "sequences"

    @property
    def top_words(self) -> list[tuple[str, int]]:
        """The most frequent unknown words; of equally frequent ones the first in the alphabet."""
        ranked = sorted(self.unknown_words.items(), key=lambda item: (-item[1], item[0]))
        return ranked[:_MOST_WORDS]

    def text(self) -> str:
        """Some lines for a terminal."""
        found = self.statistics
        share = {name: f"{100.0 * value:.2f} %" for name, value in found.shares.items()}
        words = ", ".join(f"{word!r} {count}" for word, count in self.top_words)
        facts = ", ".join(f"{count:,} {name}" for name, count in self.facts.items())
        full = len(found.lengths) - 1
        asked = f", {self.label} {share['random next']}" if self.label else ""
        return "\n".join(
            [
                f"text          {facts}",
                f"{self.unit:13} {found.records:,}{asked}",
                f"length        {found.mean_length:.1f} tokens on average; "
                f"{share['shorter']} have fewer than {full}",
                f"masked        {share['masked']} of all tokens: [MASK] {share['[MASK]']}, "
                f"another token {share['another token']}, kept {share['kept']}",
                f"[UNK]         {share['[UNK]']} of all tokens",
                f"unknown words {words or 'none'}" + (" (a sample)" if words else ""),
            ]
        )


class Counting:
    """Counts along with a run of exact mode.

    Attributes:
      words: to be shown the text and its tokens.
    """

    def __init__(self, tokenizer: FullTokenizer, options: GenerationOptions) -> None:
        self.words = UnknownWords(tokenizer)
        self._ids = (tokenizer.vocab["[MASK]"], tokenizer.vocab[UNK_TOKEN])
        self._statistics = Statistics.empty(options)
        self._lock = threading.Lock()

    def observe(self, rows: npt.NDArray[np.int32]) -> None:
        """Counts in records; several threads may call it."""
        with self._lock:
            self._statistics.add_rows(rows, *self._ids)

    def findings(self, corpus: Corpus, flags: Mapping[str, object]) -> Findings:
        """What was counted."""
        return Findings(self._statistics, self.words.counts, facts_of(corpus), flags)


def facts_of(corpus: Corpus) -> dict[str, int]:
    """How much text there is."""
    return {
        "documents": corpus.documents,
        "sentences": len(corpus.sentence_starts) - 1,
        "tokens": len(corpus.tokens),
    }


@compiled
def _count(
    rows: npt.NDArray[np.int32],
    mask: int,
    unknown: int,
    lengths: Longs,
    positions: Longs,
    predictions: Longs,
    counts: Longs,
) -> None:
    """Rows as in `pretraining_schema`: ids, mask, segments; positions, labels, weights; label."""
    length, most = len(lengths) - 1, len(predictions) - 1
    for row in range(len(rows)):
        ids, places = rows[row, :length], rows[row, 3 * length : 3 * length + most]
        labels = rows[row, 3 * length + most : 3 * length + 2 * most]
        weights = rows[row, 3 * length + 2 * most : 3 * length + 3 * most]
        size = rows[row, length : 2 * length].sum()
        separator = ids[size - 1]  # every part ends with one, and every document of full sentences
        lengths[size] += 1
        counts[_RANDOM] += rows[row, 3 * length + 3 * most]
        for i in range(1, size):
            counts[_TOKENS] += ids[i] != separator
            counts[_UNKNOWN] += ids[i] == unknown
        asked = 0
        while asked < most and weights[asked] != 0:
            place, label = places[asked], labels[asked]
            shown = ids[place]
            # What was there counts, not what stands there now.
            counts[_TOKENS] += shown == separator
            counts[_UNKNOWN] += np.int64(label == unknown) - np.int64(shown == unknown)
            positions[place] += 1
            if shown == mask:
                counts[_MASKED] += 1
            elif shown == label:
                counts[_KEPT] += 1
            else:
                counts[_REPLACED] += 1
            asked += 1
        predictions[asked] += 1
