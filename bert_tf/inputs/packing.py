"""Texts and pairs as input sequences: cut where they are too long, or read in several windows."""

from collections.abc import Sequence
from dataclasses import dataclass

from bert_tf.inputs.features import SPECIALS_PAIR, SPECIALS_SINGLE, PackedFeatures, pack
from bert_tf.inputs.windows import Span, rooms_of, side_by_side
from bert_tf.tokenization import FullTokenizer

TRUNCATE, WINDOW = "truncate", "window"  # what is done with long texts
SEQUENCES = ("input_ids", "input_mask", "segment_ids")


@dataclass(frozen=True)
class Window:
    """An input sequence, and which tokens of its one or two texts it shows."""

    packed: PackedFeatures
    spans: tuple[Span, ...]


@dataclass
class TextPacker:
    """Tokenizes and packs texts; counts those that do not fit.

    Attributes:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        stride: Tokens from the start of one window to the next, where long texts become several
            windows; 0 where they are cut as in the original.
        noun: What is counted, for the report.
        seen: How many there were so far.
        long: Those of them that did not fit.
    """

    tokenizer: FullTokenizer
    max_seq_length: int
    stride: int = 0
    noun: str = "examples"
    seen: int = 0
    long: int = 0

    def windows(self, text: str, seconds: Sequence[str | None] = (None,)) -> list[list[Window]]:
        """A text beside each of one or more second texts.

        Args:
            text: The first segment.
            seconds: Second segments, all of which are read with the same part of the text; None
                alone stands for no second segment.

        Returns:
            For each window (one where all fits, or is cut), a sequence for each of `seconds`. Of
            two texts that are both long, a window shows a half of each.

        Raises:
            ValueError: If T has no room beside the special tokens.
        """
        first = self.tokenizer.encode(text)
        others = [None if second is None else self.tokenizer.encode(second) for second in seconds]
        single = others[0] is None
        room = self.max_seq_length - (SPECIALS_SINGLE if single else SPECIALS_PAIR)
        lengths = [len(first), *(len(other or ()) for other in others)]
        longest = max(lengths[1:])
        too_long = len(first) + longest > room
        self.seen += 1
        self.long += too_long
        if not (too_long and self.stride):
            plan = [[(0, length) for length in lengths]]
        elif single:
            plan = [[*spans, (0, 0)] for spans in side_by_side(lengths[:1], [room], self.stride)]
        else:
            room_a, room_b = rooms_of(len(first), longest, room)
            plan = side_by_side(lengths, [room_a] + [room_b] * len(others), self.stride)
        return [
            [
                self._window(first, other, own, span)
                for other, span in zip(others, rest, strict=True)
            ]
            for own, *rest in plan
        ]

    def _window(
        self, first: Sequence[int], second: Sequence[int] | None, own: Span, other: Span
    ) -> Window:
        vocab = self.tokenizer.vocab
        packed = pack(
            _part(first, own),
            None if second is None else _part(second, other),
            max_seq_length=self.max_seq_length,
            cls_id=vocab["[CLS]"],
            sep_id=vocab["[SEP]"],
        )
        return Window(packed, (own,) if second is None else (own, other))

    def report(self) -> str | None:
        """A line about what did not fit, or None."""
        if not self.long:
            return None
        done = "were read in several windows" if self.stride else "were cut"
        advice = "" if self.stride else " (--long_texts=window reads all of them)"
        return (
            f"{self.long} of {self.seen} {self.noun} are longer than --max_seq_length = "
            f"{self.max_seq_length} and {done}{advice}."
        )


def _part(ids: Sequence[int], span: Span) -> Sequence[int]:
    return ids[span[0] : span[0] + span[1]]
