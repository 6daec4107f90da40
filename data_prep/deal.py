"""Drawn examples in the order of writing, in memory that does not grow with their number.

The order is a shuffle of them all, so that who reads in it reads all over the disk, and the system
counts every page as the process's own. Instead the examples are dealt, as they were drawn, onto
stretches of the order; a stretch fits into memory, where it is put in order.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.pairs import PAIR_COLUMNS
from data_prep.store import Scratch

Longs = npt.NDArray[np.int64]

STRETCH_BYTES = 64 << 20
_AT_ONCE = 1 << 15  # examples that are dealt between two looks at the disk
# A dealt example: where in the order it stands, the pair, how many predictions, these.
_PLACE, _PAIR, _COUNT, _PREDICTIONS = 0, 1, 1 + PAIR_COLUMNS, 2 + PAIR_COLUMNS


@dataclasses.dataclass(frozen=True)
class Drawn:
    """E examples as they were drawn, and the order in which they are written.

    Attributes:
      pairs: int64 [E, 5], see `pairs`.
      prediction_ends: int64 [E + 1], example e has predictions[ends[e]:ends[e + 1]].
      predictions: int64, see `masking`.
      order: uint32 [E].
    """

    pairs: Longs
    prediction_ends: Longs
    predictions: Longs
    order: npt.NDArray[np.uint32]


def in_stretches(
    drawn: Drawn, most_predictions: int, scratch: Scratch, stretch_bytes: int | None = None
) -> Iterator[Drawn]:
    """All of `drawn`, stretch after stretch of its order.

    Args:
      drawn: few examples come back as they are.
      most_predictions: of an example.
      scratch: holds what is dealt, as much again as was drawn.
      stretch_bytes: of memory for one of them; default: STRETCH_BYTES.

    Raises:
      OSError: the disk is full.
    """
    columns = _PREDICTIONS + most_predictions
    size = max(1, (stretch_bytes or STRETCH_BYTES) // (8 * columns))
    examples = len(drawn.order)
    if examples <= size:
        yield drawn
        return
    file = scratch.file().fileno()
    _deal(drawn, size, columns, file, scratch)
    for first in range(0, examples, size):
        yield _stretch(file, first, min(size, examples - first), columns)


def _stretch(file: int, first: int, count: int, columns: int) -> Drawn:
    """The examples that stand from `first` on in the order; its dealt rows end with the call."""
    rows = np.empty((count, columns), np.int64)
    _read(file, rows, first * 8 * columns)
    ends = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(rows[:, _COUNT], out=ends[1:])
    order = np.empty(len(rows), np.uint32)
    order[rows[:, _PLACE] - first] = np.arange(len(rows), dtype=np.uint32)
    predictions = np.empty(int(ends[-1]), np.int64)
    _join(rows, ends, predictions)
    return Drawn(np.ascontiguousarray(rows[:, _PAIR:_COUNT]), ends, predictions, order)


def _deal(drawn: Drawn, size: int, columns: int, file: int, scratch: Scratch) -> None:
    """Writes the examples of stretch s to the rows from s * size on, in any order."""
    examples = len(drawn.order)
    places = np.empty(examples, np.uint32)
    places[drawn.order] = np.arange(examples, dtype=np.uint32)
    filled = np.zeros(-(-examples // size), np.int64)
    rows = np.empty((_AT_ONCE, columns), np.int64)
    for first in range(0, examples, _AT_ONCE):
        own = places[first : first + _AT_ONCE]
        counts = np.bincount(own // size, minlength=len(filled))
        ends = np.cumsum(counts)
        _lay_out(
            own, first, size, drawn.pairs, drawn.prediction_ends, drawn.predictions,
            ends - counts, rows,
        )  # fmt: skip
        for stretch in np.flatnonzero(counts):
            part = rows[ends[stretch] - counts[stretch] : ends[stretch]]
            at = (int(stretch) * size + int(filled[stretch])) * 8 * columns
            _write(file, part, at)
        filled += counts
        scratch.release()


@compiled
def _lay_out(
    places: npt.NDArray[np.uint32],
    first: int,
    size: int,
    pairs: Longs,
    prediction_ends: Longs,
    predictions: Longs,
    next_rows: Longs,
    rows: Longs,
) -> None:
    """The examples from `first` on, those of each stretch side by side from `next_rows` on."""
    for i in range(len(places)):
        place = np.int64(places[i])
        stretch = place // size
        row = rows[next_rows[stretch]]
        next_rows[stretch] += 1
        row[_PLACE] = place
        for column in range(PAIR_COLUMNS):
            row[_PAIR + column] = pairs[first + i, column]
        start, end = prediction_ends[first + i], prediction_ends[first + i + 1]
        row[_COUNT] = end - start
        for k in range(end - start):
            row[np.uint64(_PREDICTIONS + k)] = predictions[np.uint64(start + k)]


@compiled
def _join(rows: Longs, ends: Longs, predictions: Longs) -> None:
    """The predictions of all rows, one after another."""
    for i in range(len(rows)):
        for k in range(ends[i + 1] - ends[i]):
            predictions[np.uint64(ends[i] + k)] = rows[i, np.uint64(_PREDICTIONS + k)]


def _write(file: int, rows: Longs, at: int) -> None:
    left = memoryview(rows.view(np.uint8).data).cast("B")
    while left:
        done = os.pwrite(file, left, at)
        left, at = left[done:], at + done


def _read(file: int, rows: Longs, at: int) -> None:
    left = memoryview(rows.view(np.uint8).data).cast("B")
    while left:
        done = os.preadv(file, [left], at)
        if not done:
            raise OSError("The scratch file ends too early: its disk has an error.")
        left, at = left[done:], at + done
