"""Noise for models that will meet text that is no sentence.

The original's README advises to "randomly truncate 2% of input segments". A segment is a line
here: one that is hit keeps only its first n tokens, n drawn evenly below its length. Lines of one
token stay. Compiled.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.block_tokens import TokenBlock
from data_prep.mersenne import Twister, below, twister_of, uniform


def truncate_lines(
    blocks: Iterable[TokenBlock], share: float, rng: random.Random
) -> Iterator[TokenBlock]:
    """The blocks with a share of their lines cut; drawn line after line, whatever the blocks."""
    twister = twister_of(rng)
    for block in blocks:
        tokens, counts = block.tokens.copy(), block.counts.copy()
        kept = _truncate(twister, share, tokens, counts)
        yield TokenBlock(tokens[:kept], counts, block.dropped_bytes)


@compiled
def _truncate(
    twister: Twister, share: float, tokens: npt.NDArray[np.int32], counts: npt.NDArray[np.int32]
) -> int:
    """Cuts lines in place; how many tokens are left."""
    read = written = 0
    for line in range(len(counts)):
        count = max(counts[line], 0)
        kept = count
        if count > 1 and uniform(twister) < share:
            kept = 1 + below(twister, count - 1)
            counts[line] = kept
        for i in range(kept):
            tokens[written + i] = tokens[read + i]
        read += count
        written += kept
    return written
