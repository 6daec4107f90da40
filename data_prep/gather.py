"""Brings examples that lie all over the disk into memory, in the order in which they lie there.

Who follows a shuffle through a memory map touches pages everywhere, until the whole file counts as
the process's own; and a disk would have to jump for each of them. So the examples of a stretch of
the shuffle are fetched in the order of the file, and pages are given back on the way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.pairs import END_A, END_B, START_A, START_B

Longs = npt.NDArray[np.int64]
Release = Callable[[], None]

_MAPPED_BYTES = 16 << 20


def gather_rows(rows: npt.NDArray[Any], numbers: Longs, release: Release) -> npt.NDArray[Any]:
    """`rows[numbers]`, of mapped rows.

    Args:
      rows: [N, columns], mapped from the disk.
      numbers: int64 [B], in any order.
      release: gives back the pages read so far.
    """
    found = np.empty((len(numbers), rows.shape[1]), rows.dtype)
    order = np.argsort(numbers)
    for part in _portions(numbers[order] * rows.strides[0]):
        found[order[part]] = rows[numbers[order[part]]]
        release()
    return found


def gather_tokens(
    tokens: npt.NDArray[Any], pairs: Longs, release: Release
) -> tuple[npt.NDArray[Any], Longs]:
    """The tokens of pairs, side by side, and the pairs as places in these.

    Args:
      tokens: of the corpus, mapped from the disk.
      pairs: int64 [B, columns], see `pairs`; further columns stay as they are.
      release: gives back the pages read so far.
    """
    starts = pairs[:, [START_A, START_B]].reshape(-1)
    lengths = pairs[:, [END_A, END_B]].reshape(-1) - starts
    places = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(lengths, out=places[1:])
    found = np.empty(int(places[-1]), tokens.dtype)
    order = np.argsort(starts)
    for part in _portions(starts[order] * tokens.itemsize):
        _copy_spans(tokens, starts, lengths, places, order[part], found)
        release()
    own = pairs.copy()
    own[:, [START_A, START_B]] = places[:-1].reshape(-1, 2)
    own[:, [END_A, END_B]] = places[1:].reshape(-1, 2)
    return found, own


def _portions(places: Longs) -> Iterator[slice]:
    """Parts of sorted places in a file that have no more than a few megabytes of it each."""
    if not len(places):
        return
    edges = np.arange(places[0], places[-1] + _MAPPED_BYTES + 1, _MAPPED_BYTES)
    bounds = np.unique(np.searchsorted(places, edges))
    for first, end in itertools.pairwise(bounds.tolist()):
        yield slice(first, end)


@compiled
def _copy_spans(
    tokens: npt.NDArray[np.integer],
    starts: Longs,
    lengths: Longs,
    places: Longs,
    spans: Longs,
    found: npt.NDArray[np.integer],
) -> None:
    for span in spans:
        start, place = starts[span], places[span]
        for i in range(lengths[span]):
            found[np.uint64(place + i)] = tokens[np.uint64(start + i)]
