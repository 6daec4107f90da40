"""Overlapping windows over token sequences that are too long for the model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Span = tuple[int, int]  # first token and number of tokens


def spans_of(length: int, room: int, stride: int) -> list[Span]:
    """First token and length of each window over `length` tokens, `room` at most in each."""
    spans = []
    first = 0
    while first < length:
        size = min(room, length - first)
        spans.append((first, size))
        if first + size == length:
            break
        first += min(size, stride)
    return spans


def max_context(spans: Sequence[Span]) -> list[npt.NDArray[np.bool_]]:
    """For each window, which of its tokens have their best context there.

    The context of a token in a window is the lesser of what stands left and right of it, and a
    hundredth of the window's length; of equals, the first window wins.
    """
    total = max(first + size for first, size in spans)
    scores = np.full((len(spans), total), -1.0)
    for row, (first, size) in enumerate(spans):
        place = np.arange(size)
        scores[row, first : first + size] = np.minimum(place, size - 1 - place) + 0.01 * size
    best = np.argmax(scores, axis=0)
    return [best[first : first + size] == row for row, (first, size) in enumerate(spans)]


def rooms_of(length_a: int, length_b: int, room: int) -> tuple[int, int]:
    """How many tokens of each of two texts a window shows: the shorter whole, or of each a half.

    Raises:
        ValueError: If there is no room for one token of each.
    """
    if room < 2:
        raise ValueError(
            f"Windows over two texts need room for a token of each, but there is room for {room}. "
            "Give a longer --max_seq_length."
        )
    kept = min(length_a, length_b, room // 2)
    return (room - kept, kept) if length_a >= length_b else (kept, room - kept)


def side_by_side(lengths: Sequence[int], rooms: Sequence[int], stride: int) -> list[list[Span]]:
    """Windows over several texts at once, so that each token of each text is in one at least.

    The text with most windows says how many there are; the others go along as evenly as they can.

    Args:
        lengths: Tokens of each text.
        rooms: Tokens of each text that a window shows at most.
        stride: Tokens from the start of one window to the next, in the text with most of them.

    Returns:
        For each window, its span of each text.
    """
    spans = [
        spans_of(length, room, min(stride, room)) or [(0, 0)]
        for length, room in zip(lengths, rooms, strict=True)
    ]
    count = max(map(len, spans))
    return [[own[number * len(own) // count] for own in spans] for number in range(count)]


def mean_of_windows(
    rows: npt.NDArray[Any], owners: npt.NDArray[Any], weights: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]:
    """Rows of windows [W, ...] averaged to rows of what they are windows of [N, ...].

    Args:
        rows: Of each window.
        owners: Numbers [W] of what each is a window of: N consecutive ones, in any order.
        weights: What each window counts [W]; None counts all alike.
    """
    owners = owners.astype(np.int64) - owners.min()
    weights = np.ones(len(owners)) if weights is None else weights
    wide = weights.reshape(-1, *[1] * (rows.ndim - 1))
    sums = np.zeros((owners.max() + 1, *rows.shape[1:]))
    np.add.at(sums, owners, rows * wide)
    return sums / np.bincount(owners, weights).reshape(-1, *[1] * (rows.ndim - 1))
