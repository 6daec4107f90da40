"""Overlapping windows over token sequences that are too long for the model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def spans_of(length: int, room: int, stride: int) -> list[tuple[int, int]]:
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


def max_context(spans: Sequence[tuple[int, int]]) -> list[npt.NDArray[np.bool_]]:
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
