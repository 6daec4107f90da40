"""Drawn examples in the order of writing, in memory that does not grow with their number.

The order is a shuffle of them all, so that who reads in it reads all over the disk, and the system
counts every page as the process's own. Instead the examples are dealt, as they were drawn, onto
stretches of the order; a stretch fits into memory, where it is put in order.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.masking import POSITION_SHIFT
from data_prep.options import GenerationOptions
from data_prep.pairs import PAIR_COLUMNS
from data_prep.store import Scratch

Longs = npt.NDArray[np.int64]
Packed = npt.NDArray[np.unsignedinteger[Any]]

STRETCH_BYTES = 32 << 20  # at most
# Shorter ones fit the processor's caches; for the disk's sake they are not too many.
_SHORT_STRETCH_BYTES, _MANY_STRETCHES = 4 << 20, 512
_AT_ONCE = 1 << 15  # examples that are dealt between two looks at the disk
# The head of a dealt example: where in the order it stands, the pair, how many predictions.
_PLACE, _PAIR, _COUNT = 0, 1, 1 + PAIR_COLUMNS
_HEAD = _COUNT + 1


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


class _Rows:
    """Room for dealt examples; what of them is in two files goes through it.

    Predictions are packed into half their bytes where ids and positions are small enough, as those
    of all released vocabularies are.

    Args:
      count: of examples.
      options: tell how long and how many predictions can be.
      ids: all ids are below.
    """

    def __init__(self, count: int, options: GenerationOptions, ids: int) -> None:
        self.shift = ids.bit_length()  # a replacement is an id + 1
        bits = self.shift + (options.max_seq_length - 1).bit_length()
        packed = np.uint32 if bits <= 32 else np.uint64
        self.heads = np.empty((count, _HEAD), np.int64)
        self.packed = np.empty((count, options.max_predictions_per_seq), packed)

    @property
    def parts(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """One for each file."""
        return self.heads, self.packed


def in_stretches(
    drawn: Drawn,
    options: GenerationOptions,
    ids: int,
    scratch: Scratch,
    rows_of_stretch: int | None = None,
) -> Iterator[Drawn]:
    """All of `drawn`, stretch after stretch of its order, the examples of each in order.

    Args:
      drawn: few examples come back as they are.
      options: with which they were drawn.
      ids: all ids are below.
      scratch: holds what is dealt, of an example 56 bytes and 4 (or 8) for each prediction that it
        might have.
      rows_of_stretch: examples of one of them; default: what fits into memory.

    Raises:
      OSError: the disk is full.
    """
    examples = len(drawn.order)
    size = rows_of_stretch or _rows_of_stretch(examples, options, ids)
    if examples <= size:
        yield drawn
        return
    files = [scratch.file().fileno() for _ in range(2)]
    _deal(drawn, size, _Rows(_AT_ONCE, options, ids), files, scratch)
    rows = _Rows(size, options, ids)
    for first in range(0, examples, size):
        yield _stretch(files, first, min(size, examples - first), rows)


def _rows_of_stretch(examples: int, options: GenerationOptions, ids: int) -> int:
    row_bytes = sum(part.nbytes for part in _Rows(1, options, ids).parts)
    wanted = max(examples * row_bytes // _MANY_STRETCHES, _SHORT_STRETCH_BYTES)
    return max(1, min(wanted, STRETCH_BYTES) // row_bytes)


def _stretch(files: list[int], first: int, count: int, rows: _Rows) -> Drawn:
    """The examples that stand from `first` on in the order; `rows` is room for them."""
    heads, packed = (part[:count] for part in rows.parts)
    for file, part in zip(files, (heads, packed), strict=True):
        _read(file, part, first * part.strides[0])
    ends = np.zeros(count + 1, np.int64)
    ends[heads[:, _PLACE] - first + 1] = heads[:, _COUNT]
    np.cumsum(ends, out=ends)
    pairs = np.empty((count, PAIR_COLUMNS), np.int64)
    predictions = np.empty(int(ends[-1]), np.int64)
    _put_in_order(heads, packed, first, rows.shift, pairs, ends, predictions)
    return Drawn(pairs, ends, predictions, np.arange(count, dtype=np.uint32))


def _deal(drawn: Drawn, size: int, rows: _Rows, files: list[int], scratch: Scratch) -> None:
    """Writes the examples of stretch s to the rows from s * size on, in any order."""
    examples = len(drawn.order)
    places = _places_in(drawn.order)
    filled = np.zeros(-(-examples // size), np.int64)
    for first in range(0, examples, _AT_ONCE):
        own = places[first : first + _AT_ONCE]
        counts = np.bincount(own // size, minlength=len(filled))
        ends = np.cumsum(counts)
        _lay_out(
            own, first, size, drawn.pairs, drawn.prediction_ends, drawn.predictions,
            rows.shift, ends - counts, rows.heads, rows.packed,
        )  # fmt: skip
        for stretch in np.flatnonzero(counts).tolist():
            row = stretch * size + int(filled[stretch])
            for file, part in zip(files, rows.parts, strict=True):
                own_rows = part[ends[stretch] - counts[stretch] : ends[stretch]]
                _write(file, own_rows, row * part.strides[0])
        filled += counts
        scratch.release()


@compiled
def _places_in(order: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Where each example stands in the order; no third array of that size is made."""
    places = np.empty_like(order)
    for place in range(len(order)):
        places[order[place]] = place
    return places


@compiled
def _lay_out(
    places: npt.NDArray[np.uint32],
    first: int,
    size: int,
    pairs: Longs,
    prediction_ends: Longs,
    predictions: Longs,
    shift: int,
    next_rows: Longs,
    heads: Longs,
    packed: Packed,
) -> None:
    """The examples from `first` on, those of each stretch side by side from `next_rows` on."""
    for i in range(len(places)):
        place = np.int64(places[i])
        stretch = place // size
        row = np.uint64(next_rows[stretch])
        next_rows[stretch] += 1
        start, end = prediction_ends[first + i], prediction_ends[first + i + 1]
        heads[row, _PLACE], heads[row, _COUNT] = place, end - start
        for column in range(PAIR_COLUMNS):
            heads[row, _PAIR + column] = pairs[first + i, column]
        for k in range(end - start):
            prediction = predictions[np.uint64(start + k)]
            position = prediction >> POSITION_SHIFT
            replacement = prediction & ((1 << POSITION_SHIFT) - 1)
            packed[row, np.uint64(k)] = position << shift | replacement


@compiled
def _put_in_order(
    heads: Longs,
    packed: Packed,
    first: int,
    shift: int,
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
) -> None:
    """Rows as they were before `_lay_out`, each where it stands behind `first` in the order."""
    for i in range(len(heads)):
        row = np.uint64(heads[i, _PLACE] - first)
        for column in range(PAIR_COLUMNS):
            pairs[row, column] = heads[i, _PAIR + column]
        start = ends[row]
        for k in range(heads[i, _COUNT]):
            prediction = np.int64(packed[i, np.uint64(k)])
            replacement = prediction & ((1 << shift) - 1)
            predictions[np.uint64(start + k)] = prediction >> shift << POSITION_SHIFT | replacement


def _write(file: int, rows: npt.NDArray[Any], at: int) -> None:
    left = memoryview(rows.reshape(-1).view(np.uint8).data)
    while left:
        done = os.pwrite(file, left, at)
        left, at = left[done:], at + done


def _read(file: int, rows: npt.NDArray[Any], at: int) -> None:
    left = memoryview(rows.reshape(-1).view(np.uint8).data)
    while left:
        done = os.preadv(file, [left], at)
        if not done:
            raise OSError("The scratch file ends too early: its disk has an error.")
        left, at = left[done:], at + done
