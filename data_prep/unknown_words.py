"""Which words of a text became [UNK]: a sample of lines is looked at again.

The compiled tokenizer hands out ids alone. A few lines with [UNK] of every block go through the
tokenizer in Python, which is slow and cheap all the same.
"""

from __future__ import annotations

import collections
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from bert_tf.tokenization import UNK_TOKEN, FullTokenizer
from data_prep.block_tokens import TokenBlock

_LINES_OF_A_BLOCK = 8
_LONGEST_LINE = 10_000  # bytes
_MOST_WORDS = 4000
_LONGEST_WORD = 60


class UnknownWords:
    """Counts unknown words of a sample of lines, block after block.

    Args:
      tokenizer: that of the text.
      known: counts of earlier blocks, as `counts` gave them.
    """

    def __init__(self, tokenizer: FullTokenizer, known: Mapping[str, int] | None = None) -> None:
        self._split = tokenizer.basic_tokenizer.tokenize
        self._encode = tokenizer.encode
        self._unknown = tokenizer.vocab[UNK_TOKEN]
        self._counts = Counter(known or {})
        self._waiting: collections.deque[bytes] = collections.deque()

    @property
    def counts(self) -> dict[str, int]:
        """How often each word was seen; given to another object, that one goes on as this one."""
        return dict(self._counts)

    def add(self, counts: Mapping[str, int]) -> None:
        """Counts in what another object counted."""
        self._counts.update(counts)

    def taken(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        """Hands blocks on and keeps them until `look` has seen their tokens, in the same order."""
        for block in blocks:
            self._waiting.append(block)
            yield block

    def look(self, tokens: TokenBlock) -> None:
        """Counts in some lines of the block whose tokens these are."""
        block = self._waiting.popleft()
        places = np.flatnonzero(tokens.tokens == self._unknown)
        if not len(places):
            return
        ends = np.cumsum(np.maximum(tokens.counts, 0))
        numbers = np.unique(np.searchsorted(ends, places, side="right"))
        spread = np.linspace(0, len(numbers) - 1, min(_LINES_OF_A_BLOCK, len(numbers)))
        lines = block.split(b"\n")
        for number in numbers[spread.astype(np.int64)]:
            line = lines[number].replace(b"\r", b"")
            if len(line) <= _LONGEST_LINE:
                self._count(line.decode("utf-8", "ignore"))
        if len(self._counts) > _MOST_WORDS:
            self._counts = Counter(dict(self._counts.most_common(_MOST_WORDS // 2)))

    def _count(self, line: str) -> None:
        for word in self._split(line):
            if self._encode(word) == [self._unknown]:
                self._counts[word[:_LONGEST_WORD]] += 1
