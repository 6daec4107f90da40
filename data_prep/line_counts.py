"""Counts of lines: blank ones, and lines that stand in the text more than once. Compiled.

Lines are compared by what is left of them: letters in lower case, digits as 0, and bytes beyond
ASCII; white space and punctuation are dropped. Its hash is looked up in a table of fixed size.
Counts are exact up to half a million different lines. Then the table keeps only the hashes that end
in a zero bit, then in two, and so on: a random sample of the different lines, whose repetitions are
counted and scaled up (the adaptive sampling of M. Wegman; P. Flajolet, "On adaptive sampling",
1990). Memory stays at 12 MB however long the text is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]

_SLOTS = 1 << 20
_MOST = _SLOTS // 2
# Rotations and sums of random numbers, and the end of MurmurHash3: all bits of the result depend on
# all of the line.
_RANDOM = np.random.default_rng(0).integers(2**64, size=256, dtype=np.uint64)
_SEED = np.uint64(0xCBF29CE484222325)
_MIX_1, _MIX_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_LINES, _BLANK, _KEPT, _LEVEL = range(4)
_WHITE = b" \t\r\x0b\x0c\x1c\x1d\x1e\x1f"


def _normal_form() -> Bytes:
    """uint8 [256]: what a byte counts as; 0 where it is dropped, 1 where it is white space."""
    form = np.zeros(256, np.uint8)
    form[128:] = np.arange(128, 256)
    for char in "abcdefghijklmnopqrstuvwxyz":
        form[ord(char)] = form[ord(char.upper())] = ord(char)
    for char in "0123456789":
        form[ord(char)] = ord("0")
    form[list(_WHITE)] = 1
    return form


_FORM = _normal_form()


@dataclasses.dataclass(frozen=True)
class LineCounts:
    """What was counted.

    Attributes:
      lines: lines that are not blank.
      blank: blank ones.
      repeated: lines that are near-duplicates of an earlier one.
      estimated: whether `repeated` comes from a sample.
    """

    lines: int
    blank: int
    repeated: int
    estimated: bool

    def __str__(self) -> str:
        about = "about " if self.estimated else ""
        share = 100 * self.repeated / max(self.lines, 1)
        return (
            f"{self.lines} lines, {about}{self.repeated} of them ({share:.1f} %) nearly the same "
            f"as an earlier one; {self.blank} blank lines"
        )


class LineCounter:
    """Counts the lines of blocks."""

    def __init__(self) -> None:
        self._hashes = np.zeros(_SLOTS, np.uint64)
        self._times = np.zeros(_SLOTS, np.uint32)
        self._state = np.zeros(_LEVEL + 1, np.int64)

    def add(self, block: bytes) -> None:
        """Counts a block of whole lines."""
        data, at = np.frombuffer(block, np.uint8), 0
        while at < len(data):
            at = _count(data, at, _FORM, self._hashes, self._times, self._state)
            if at < len(data):
                self._thin_out()

    def result(self) -> LineCounts:
        """The counts so far."""
        lines, blank, kept, level = (int(value) for value in self._state)
        repeated = (int(self._times.sum(dtype=np.int64)) - kept) << level
        return LineCounts(lines, blank, min(repeated, lines), level > 0)

    def _thin_out(self) -> None:
        self._state[_LEVEL] += 1
        dropped = np.uint64((1 << int(self._state[_LEVEL])) - 1)
        stays = (self._times > 0) & ((self._hashes & dropped) == 0)
        hashes, times = self._hashes[stays], self._times[stays]
        self._hashes[:], self._times[:] = 0, 0
        self._state[_KEPT] = len(hashes)
        _insert_all(hashes, times, self._hashes, self._times)


@compiled
def _count(
    data: Bytes,
    at: int,
    form: Bytes,
    hashes: npt.NDArray[np.uint64],
    times: npt.NDArray[np.uint32],
    state: Longs,
) -> int:
    """Counts lines from `at` on, until the end or until the table is full; where it stopped."""
    while at < len(data):
        if state[_KEPT] >= _MOST:
            return at
        value, shows = _SEED, False
        while data[np.uint64(at)] != 10:
            byte = form[data[np.uint64(at)]]
            extended = (value << np.uint64(5) | value >> np.uint64(59)) + _RANDOM[byte]
            value = extended if byte > 1 else value  # no branch: where words end is not foretold
            shows |= byte != 1
            at += 1
        at += 1
        if not shows:
            state[_BLANK] += 1
            continue
        state[_LINES] += 1
        value = (value ^ (value >> np.uint64(33))) * _MIX_1
        value = (value ^ (value >> np.uint64(33))) * _MIX_2
        value ^= value >> np.uint64(33)
        if value & np.uint64((1 << state[_LEVEL]) - 1) == 0:
            place = _find(hashes, times, value)
            state[_KEPT] += times[place] == 0
            hashes[place] = value
            times[place] += np.uint32(1)
    return at


@compiled
def _find(hashes: npt.NDArray[np.uint64], times: npt.NDArray[np.uint32], value: np.uint64) -> Any:
    """The slot of a hash, or the free one where it belongs; the low bits are all alike later on."""
    place = (value >> np.uint64(40)) & np.uint64(_SLOTS - 1)
    while times[place] and hashes[place] != value:
        place = (place + np.uint64(1)) & np.uint64(_SLOTS - 1)
    return place


@compiled
def _insert_all(
    values: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.uint32],
    hashes: npt.NDArray[np.uint64],
    times: npt.NDArray[np.uint32],
) -> None:
    for i in range(len(values)):
        place = _find(hashes, times, values[i])
        hashes[place], times[place] = values[i], counts[i]
