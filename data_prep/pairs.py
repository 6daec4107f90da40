"""Sentence pairs: which spans of the corpus become part a and part b of an example.

A port of the rules of create_instances_from_document and truncate_seq_pair of the original,
on offsets: sentences of a chunk lie side by side in the token array, so a part is one span and
truncation moves its ends. Every draw comes in the original's order.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from data_prep.documents import Corpus
from data_prep.options import GenerationOptions

# [CLS], [SEP], [SEP].
SPECIALS = 3
_TRIES_FOR_ANOTHER_DOCUMENT = 10

# start of a, end of a, start of b, end of b, is b from elsewhere
Pair = tuple[int, int, int, int, bool]


def below(getrandbits: Callable[[int], int], bound: int) -> int:
    """The draw of `random.Random.randint(0, bound - 1)`, without its four calls."""
    bits = bound.bit_length()
    value = getrandbits(bits)
    while value >= bound:
        value = getrandbits(bits)
    return value


def truncate_spans(pair: Pair, max_tokens: int, draw: Callable[[], float]) -> Pair:
    """Takes single tokens off the longer part until both have `max_tokens` in all.

    `draw() < 0.5` decides for each whether the front or the back loses; on equal lengths b does.
    """
    start_a, end_a, start_b, end_b, is_random = pair
    length_a, length_b = end_a - start_a, end_b - start_b
    while length_a + length_b > max_tokens:
        if length_a > length_b:
            length_a -= 1
            if draw() < 0.5:
                start_a += 1
        else:
            length_b -= 1
            if draw() < 0.5:
                start_b += 1
    return start_a, start_a + length_a, start_b, start_b + length_b, is_random


def document_pairs(
    corpus: Corpus,
    order: Sequence[int],
    place: int,
    options: GenerationOptions,
    rng: random.Random,
) -> Iterator[Pair]:
    """The pairs of one pass over one document, drawn one by one.

    Lazy on purpose: the original masks each pair before it draws the next, from one generator,
    so the caller masks between two steps of this iterator.

    Args:
      corpus: all documents.
      order: document numbers as shuffled; the document is order[place].
      place: which one.
      options: lengths and probabilities.
      rng: advanced as the original advances it.
    """
    starts = corpus.sentence_starts
    getrandbits, draw = rng.getrandbits, rng.random
    max_tokens = options.max_seq_length - SPECIALS
    target = max_tokens
    if draw() < options.short_seq_prob:
        target = 2 + below(getrandbits, max_tokens - 1)
    chunk = corpus.document_starts[order[place]]
    end = corpus.document_starts[order[place] + 1]
    while chunk < end:
        begin = starts[chunk]
        after = min(bisect_left(starts, begin + target, chunk + 1, end + 1), end)
        split = after
        if after - chunk >= 2:
            split = chunk + 1 + below(getrandbits, after - chunk - 1)
        middle = starts[split]
        if split == after or draw() < 0.5:
            start_b, end_b = _random_span(
                corpus, order, place, target - (middle - begin), getrandbits
            )
            pair = (begin, middle, start_b, end_b, True)
            after = split  # the sentences that b did not take start the next chunk
        else:
            pair = (begin, middle, middle, starts[after], False)
        length = pair[1] - begin + pair[3] - pair[2]
        yield pair if length <= max_tokens else truncate_spans(pair, max_tokens, draw)
        chunk = after


def _random_span(
    corpus: Corpus,
    order: Sequence[int],
    place: int,
    wanted: int,
    getrandbits: Callable[[int], int],
) -> tuple[int, int]:
    """Whole sentences of `wanted` tokens or more, from a random place in another document.

    After ten draws of the document itself it is taken all the same, as in the original.
    """
    other = place
    for _ in range(_TRIES_FOR_ANOTHER_DOCUMENT):
        other = below(getrandbits, len(order))
        if other != place:
            break
    first, end = corpus.document_starts[order[other]], corpus.document_starts[order[other] + 1]
    first += below(getrandbits, end - first)
    starts = corpus.sentence_starts
    last = min(bisect_left(starts, starts[first] + wanted, first + 1, end + 1), end)
    return starts[first], starts[last]
