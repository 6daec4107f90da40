"""N-gram masking: runs of tokens, or of whole words, are masked together. Compiled.

Units are tokens, or whole words with --do_whole_word_mask. The starts of units are visited in
shuffled order until enough tokens are chosen. For each the number n of units is drawn with
p(n) proportional to 1/n, n <= --max_ngram; the run is cut where its part of the sequence ends,
and unit by unit to what is still wanted; a run of which a token is chosen already is left out.
Every token of a run is replaced on its own (--mask_share, --random_share).

Source: the lengths are those of ALBERT (arXiv 1909.11942, section 4.1); spans that are drawn until
a budget is used up are also SpanBERT's (arXiv 1907.10529, section 3.1).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.mersenne import Twister, shuffle, uniform

Longs = npt.NDArray[np.int64]


def ngram_bounds(max_ngram: int) -> npt.NDArray[np.float64]:
    """float64 [max_ngram]: a draw below entry n - 1, and not below those before it, gives n."""
    chances = 1.0 / np.arange(1, max_ngram + 1)
    return np.cumsum(chances) / np.sum(chances)


@compiled
def choose_ngrams(
    twister: Twister,
    bounds: npt.NDArray[np.float64],
    continues: npt.NDArray[np.uint8],
    part_ends: Longs,
    order: Longs,
    chosen: npt.NDArray[np.unsignedinteger[Any]],
    size: int,
    wanted: int,
) -> int:
    """Chooses runs of units while they fit into `wanted`; how many tokens.

    Args:
      twister: advanced.
      bounds: from `ngram_bounds`.
      continues: uint8 [size + 1], 1 where a token continues a unit; 0 at the end of each part.
      part_ends: where each part ends; the last one is `size`.
      order: scratch for `size` numbers.
      chosen: written from the start: the tokens, in the order in which they were chosen.
      size: tokens of the sequence, without special ones.
      wanted: most tokens.
    """
    units = 0
    for i in range(size):
        if not continues[i]:
            order[units] = i
            units += 1
    shuffle(twister, order[:units])
    taken = np.zeros(size, np.uint8)
    count = 0
    for first in order[:units]:
        if count >= wanted:
            break
        n = _draw_length(twister, bounds)
        part = 0
        while part_ends[part] <= first:
            part += 1
        limit = min(part_ends[part], first + wanted - count)
        end = _end_of_run(continues, taken, first, n, limit)
        for i in range(first, end):
            chosen[count] = i
            taken[i] = 1
            count += 1
    return count


@compiled
def _draw_length(twister: Twister, bounds: npt.NDArray[np.float64]) -> int:
    draw = uniform(twister)
    n = 1
    while n < len(bounds) and draw >= bounds[n - 1]:
        n += 1
    return n


@compiled
def _end_of_run(
    continues: npt.NDArray[np.uint8],
    taken: npt.NDArray[np.uint8],
    first: int,
    units: int,
    limit: int,
) -> int:
    """The end of at most `units` whole units from `first` on, at most `limit`; or `first`."""
    end = first
    for _ in range(units):
        after = end + 1
        if end >= limit:
            break
        while continues[after]:
            after += 1
        if after > limit:
            break
        end = after
    for i in range(first, end):
        if taken[i]:
            return first
    return end
