"""Packing of token ids into [CLS] a [SEP] or [CLS] a [SEP] b [SEP].

The only place that does, apart from its compiled twin for millions of rows
(`data_prep.examples`), which a test holds equal.

index        0     1 .. A   A+1   A+2 .. A+B+1  A+B+2
input_ids   [CLS]  a ...   [SEP]  b ...         [SEP]   0 ...
segment_ids  0     0        0     1              1      0 ...
input_mask   1     1        1     1              1      0 ...
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

# [CLS] and one [SEP] after each part.
SPECIALS_SINGLE = 2
SPECIALS_PAIR = 3


@dataclasses.dataclass(frozen=True)
class PackedFeatures:
    """One input sequence, padded with zeros to T: three lists of T integers.

    `length` counts the tokens before the padding.
    """

    input_ids: list[int]
    input_mask: list[int]
    segment_ids: list[int]
    length: int


def truncate_pair(
    tokens_a: Sequence[int], tokens_b: Sequence[int], max_tokens: int
) -> tuple[list[int], list[int]]:
    """The two parts cut at their ends, the longer one first, to `max_tokens` in all.

    On equal lengths b loses a token (the original's `_truncate_seq_pair` of the classifiers;
    the generator of pretraining data cuts at random sides: `data_prep.pairs`).
    """
    length_a, length_b = len(tokens_a), len(tokens_b)
    while length_a + length_b > max(max_tokens, 0):
        if length_a > length_b:
            length_a -= 1
        else:
            length_b -= 1
    return list(tokens_a[:length_a]), list(tokens_b[:length_b])


def pad(values: Sequence[int], length: int, value: int = 0) -> list[int]:
    """`values` followed by `value` up to `length`; ValueError where they are longer."""
    if len(values) > length:
        raise ValueError(
            f"Padding needs at most {length} values, got {len(values)}. Truncate them first."
        )
    return [*values, *[value] * (length - len(values))]


def pack(
    tokens_a: Sequence[int],
    tokens_b: Sequence[int] | None = None,
    *,
    max_seq_length: int,
    cls_id: int,
    sep_id: int,
) -> PackedFeatures:
    """One or two token lists as a padded sequence of `max_seq_length` ids.

    What does not fit is cut by `truncate_pair`, or at the end of a single part. `tokens_b=None`
    means no second part; an empty list still gets its [SEP].

    Raises:
      ValueError: `max_seq_length` has no room beside the special tokens.
    """
    specials = SPECIALS_SINGLE if tokens_b is None else SPECIALS_PAIR
    room = max_seq_length - specials
    if room < 1:
        raise ValueError(
            f"max_seq_length must be at least {specials + 1} ({specials} special tokens and one "
            f"more); got {max_seq_length}."
        )
    # With an empty second part the pair rule cuts the first at its end.
    kept_a, kept_b = truncate_pair(tokens_a, tokens_b or (), room)
    ids = [cls_id, *kept_a, sep_id]
    segments = [0] * len(ids)
    if tokens_b is not None:
        ids += [*kept_b, sep_id]
        segments += [1] * (len(kept_b) + 1)
    return PackedFeatures(
        input_ids=pad(ids, max_seq_length),
        input_mask=pad([1] * len(ids), max_seq_length),
        segment_ids=pad(segments, max_seq_length),
        length=len(ids),
    )
