"""Drawn examples as rows of one size, the form they have on disk between draws and records.

A row is int64 [W]:

    0 .. 4   the pair (`pairs`)
    5        place in the order of its stretch (`deal`) << 32 | number of predictions
    6 ..     the predictions, in the order of their positions, two in each number where ids and
             positions are small enough, as those of all released vocabularies are

A prediction here is position << shift | replacement (`masking`).
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.cpython.unsafe.numbers import trailing_zeros

from bert_tf.compiled import compiled, inlined
from data_prep.masking import POSITION_SHIFT
from data_prep.options import GenerationOptions
from data_prep.pairs import PAIR_COLUMNS

Longs = npt.NDArray[np.int64]
Packed = npt.NDArray[np.unsignedinteger[Any]]

PLACE_AND_COUNT = PAIR_COLUMNS
PLACE_SHIFT = 32
_HEAD = PAIR_COLUMNS + 1


@inlined
def count_of(place_and_count: int) -> int:
    """How many predictions a row has, from its column PLACE_AND_COUNT."""
    return place_and_count & ((1 << PLACE_SHIFT) - 1)


@inlined
def place_of(place_and_count: int) -> int:
    """Where in the order of its stretch a row stands, from the same."""
    return place_and_count >> PLACE_SHIFT


class RowLayout(NamedTuple):
    """How predictions lie in rows.

    Attributes:
      length: all positions are below.
      most: predictions that a row has room for.
      shift: bits of a prediction's replacement.
      packed: dtype of a prediction.
    """

    length: int
    most: int
    shift: int
    packed: type[np.unsignedinteger[Any]]

    @property
    def columns(self) -> int:
        """W."""
        return _HEAD - (-self.most * np.dtype(self.packed).itemsize // 8)

    @property
    def first(self) -> int:
        """Where the predictions start in a row of `predictions`."""
        return _HEAD * 8 // np.dtype(self.packed).itemsize

    def predictions(self, rows: Longs) -> Packed:
        """The rows, int64 [E, W], as numbers of the size of a prediction."""
        return rows.view(self.packed)


def row_layout(options: GenerationOptions, ids: int) -> RowLayout:
    """The layout for what `options` draw, where all ids are below `ids`."""
    shift = ids.bit_length()  # a replacement is an id + 1
    bits = shift + (options.max_seq_length - 1).bit_length()
    packed = np.uint32 if bits <= 32 else np.uint64
    return RowLayout(options.max_seq_length, options.max_predictions_per_seq, shift, packed)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """E examples as they were drawn, and the order in which they are written.

    Attributes:
      rows: int64 [E, W], see the module.
      order: uint32 [E].
      layout: of the rows.
    """

    rows: Longs
    order: npt.NDArray[np.uint32]
    layout: RowLayout


def pack_rows(pairs: Longs, ends: Longs, predictions: Longs, layout: RowLayout) -> Longs:
    """Rows of examples as they come from their draws.

    Args:
      pairs: int64 [E, 5 or more].
      ends: int64 [E], where the predictions of each end; the next one's start there.
      predictions: int64, see `masking`; in any order.
      layout: of the rows.
    """
    rows = np.empty((len(pairs), layout.columns), np.int64)
    packed = layout.predictions(rows)
    _pack(pairs, ends, predictions, layout.length, layout.first, layout.shift, rows, packed)
    return rows


@compiled
def _pack(
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
    length: int,
    first_packed: int,
    shift: int,
    rows: Longs,
    packed: Packed,
) -> None:
    """Positions differ, so that a bit for each of them, in `marks`, puts them in order."""
    marks, replacements = np.zeros(length // 64 + 1, np.uint64), np.empty(length, np.int64)
    first = 0
    for row in range(len(pairs)):
        end = ends[row]
        for column in range(PAIR_COLUMNS):
            rows[row, column] = pairs[row, column]
        rows[row, PLACE_AND_COUNT] = end - first
        for k in range(first, end):
            prediction = predictions[np.uint64(k)]
            place = np.uint64(prediction >> POSITION_SHIFT)
            marks[place >> np.uint64(6)] |= np.uint64(1) << (place & np.uint64(63))
            replacements[place] = prediction & ((1 << POSITION_SHIFT) - 1)
        at = np.uint64(first_packed)
        for word in range(len(marks)):
            left = marks[word]
            marks[word] = 0
            while left:
                position = np.uint64(64 * word) + np.uint64(trailing_zeros(left))
                left &= left - np.uint64(1)
                packed[row, at] = position << np.uint64(shift) | np.uint64(replacements[position])
                at += np.uint64(1)
        first = end
