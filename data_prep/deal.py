"""Drawn examples in the order of writing, in memory that does not grow with their number.

The order is a shuffle of them all, so that who reads in it reads all over the disk, and the system
counts every page as the process's own. Instead the examples are dealt, as they were drawn, onto
stretches of the order; a stretch fits into memory, where it is put in order.
"""

from __future__ import annotations

import collections
import contextlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.ahead import in_order
from data_prep.drawn import PLACE_AND_COUNT, PLACE_SHIFT, Drawn, place_of
from data_prep.store import Scratch

Longs = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint32]

STRETCH_BYTES = 32 << 20  # at most
# Shorter ones fit the processor's caches; for the disk's sake they are not too many.
_SHORT_STRETCH_BYTES, _MANY_STRETCHES = 4 << 20, 512
_MEMORY_BYTES = 64 << 20  # of all examples: fewer are not dealt through the disk
_PORTION_BYTES = 4 << 20  # of examples that one thread deals at once


def in_stretches(
    drawn: Drawn,
    scratch: Scratch,
    threads: int = 1,
    rows_of_stretch: int | None = None,
) -> Iterator[Drawn]:
    """All of `drawn`, stretch after stretch of its order.

    Args:
      drawn: few examples come back as they are.
      scratch: holds what is dealt, as much as the rows, unless they are few.
      threads: that deal.
      rows_of_stretch: examples of one of them; default: what fits into memory.

    Raises:
      OSError: the disk is full.
    """
    examples = len(drawn.order)
    row_bytes = 8 * drawn.layout.columns
    size = rows_of_stretch or _rows_of_stretch(examples, row_bytes)
    if examples <= size:
        yield drawn
        return
    dealt = _Dealt(examples, drawn.layout.columns, scratch)
    _deal(drawn, size, dealt, scratch, threads)
    for first in range(0, examples, size):
        rows = dealt.take(first, min(size, examples - first))
        order = np.empty(len(rows), np.uint32)
        _put_in_order(rows, order)
        yield Drawn(rows, order, drawn.layout)


def _rows_of_stretch(examples: int, row_bytes: int) -> int:
    wanted = max(examples * row_bytes // _MANY_STRETCHES, _SHORT_STRETCH_BYTES)
    return max(1, min(wanted, STRETCH_BYTES) // row_bytes)


class _Dealt:
    """Rows by their numbers: in memory where they are few, else in a file.

    Threads may put rows of their own side by side.
    """

    def __init__(self, rows: int, columns: int, scratch: Scratch) -> None:
        self._columns = columns
        self._memory: Longs | None = None
        if 8 * rows * columns <= _MEMORY_BYTES:
            self._memory = np.empty((rows, columns), np.int64)
        else:
            self._file = scratch.file().fileno()

    def put(self, first: int, rows: Longs) -> None:
        """Sets the rows from `first` on; OSError where the disk is full."""
        if self._memory is None:
            _write(self._file, rows, first * rows.strides[0])
        else:
            self._memory[first : first + len(rows)] = rows

    def take(self, first: int, count: int) -> Longs:
        """The rows from `first` on."""
        if self._memory is not None:
            return self._memory[first : first + count]
        rows = np.empty((count, self._columns), np.int64)
        _read(self._file, rows, first * rows.strides[0])
        return rows


# From which example on, where each stands; each stretch's next row, and how many it gets.
_Portion = tuple[int, Words, Longs, Longs]


def _deal(drawn: Drawn, size: int, dealt: _Dealt, scratch: Scratch, threads: int) -> None:
    """Puts the examples of stretch s to the rows from s * size on, in any order."""
    places = _places_in(drawn.order)

    def portions() -> Iterator[_Portion]:
        starts = np.arange(0, len(places), size)
        most = max(1, _PORTION_BYTES // drawn.rows.strides[0])
        for first in range(0, len(places), most):
            own = places[first : first + most]
            counts = np.bincount(own // size, minlength=len(starts))
            yield first, own, starts, counts
            starts = starts + counts

    def write(portion: _Portion) -> None:
        first, own, starts, counts = portion
        rows, ends = np.empty((len(own), drawn.layout.columns), np.int64), np.cumsum(counts)
        _lay_out(own, first, size, drawn.rows, ends - counts, rows)
        for stretch in np.flatnonzero(counts).tolist():
            own_rows = rows[ends[stretch] - counts[stretch] : ends[stretch]]
            dealt.put(int(starts[stretch]), own_rows)
        scratch.release()

    with contextlib.closing(in_order(threads, write, portions())) as written:
        collections.deque(written, maxlen=0)


@compiled
def _places_in(order: Words) -> Words:
    """Where each example stands in the order; no third array of that size is made."""
    places = np.empty_like(order)
    for place in range(len(order)):
        places[order[place]] = place
    return places


@compiled
def _lay_out(
    places: Words, first: int, size: int, source: Longs, next_rows: Longs, rows: Longs
) -> None:
    """The examples from `first` on, those of each stretch side by side from `next_rows` on."""
    for i in range(len(places)):
        stretch = np.int64(places[i]) // size
        row = np.uint64(next_rows[stretch])
        next_rows[stretch] += 1
        for column in range(rows.shape[1]):
            rows[row, column] = source[first + i, column]
        rows[row, PLACE_AND_COUNT] |= np.int64(places[i]) - stretch * size << PLACE_SHIFT


@compiled
def _put_in_order(rows: Longs, order: Words) -> None:
    """Sets which row of a stretch stands where in it."""
    for row in range(len(rows)):
        order[np.uint64(place_of(rows[row, PLACE_AND_COUNT]))] = row


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
