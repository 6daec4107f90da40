"""Sentence pairs: which spans of the corpus become part a and part b of an example.

A port of the rules of create_instances_from_document and truncate_seq_pair of the original,
on offsets: sentences of a chunk lie side by side in the token array, so a part is one span and
truncation moves its ends. Every draw comes in the original's order. Compiled.

A pair is int64 [5]: start of a, end of a, start of b, end of b, 1 if b is from elsewhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import inlined
from data_prep.mersenne import AT, Twister, below, reserve, uniform

Longs = npt.NDArray[np.int64]

START_A, END_A, START_B, END_B, IS_RANDOM = range(5)
PAIR_COLUMNS = 5
# [CLS], [SEP], [SEP].
SPECIALS = 3
_TRIES_FOR_ANOTHER_DOCUMENT = 10
# Tokens that are cut off with one reservation of the generator's words.
_GROUP = 256
_HALF = 1 << 31


@inlined
def draw_target(twister: Twister, max_tokens: int, short_seq_prob: float) -> int:
    """How many tokens the pairs of one pass over a document should have."""
    if uniform(twister) < short_seq_prob:
        return 2 + below(twister, max_tokens - 1)
    return max_tokens


@inlined
def draw_pair(
    twister: Twister,
    sentence_starts: Longs,
    document_starts: Longs,
    order: Longs,
    place: int,
    chunk: int,
    target: int,
    max_tokens: int,
    pair: Longs,
) -> int:
    """Draws the pair that starts with sentence `chunk`; the sentence that the next starts with.

    The original masks each pair before it draws the next, from one generator, so the caller
    masks in between.

    Args:
      twister: advanced as the original advances its generator.
      sentence_starts: see `documents.Corpus`.
      document_starts: likewise.
      order: document numbers as shuffled; the document is order[place].
      place: which one.
      chunk: a sentence of it.
      target: from `draw_target`.
      max_tokens: of a pair, without special tokens.
      pair: written.
    """
    begin = sentence_starts[chunk]
    after = sentences_of(sentence_starts, chunk, document_starts[order[place] + 1], begin + target)
    split = after
    if after - chunk >= 2:
        split = chunk + 1 + below(twister, after - chunk - 1)
    pair[START_A], pair[END_A] = begin, sentence_starts[split]
    if split == after or uniform(twister) < 0.5:
        pair[IS_RANDOM] = 1
        wanted = target - (pair[END_A] - begin)
        _draw_random_span(twister, sentence_starts, document_starts, order, place, wanted, pair)
        after = split  # the sentences that b did not take start the next chunk
    else:
        pair[IS_RANDOM] = 0
        pair[START_B], pair[END_B] = sentence_starts[split], sentence_starts[after]
    truncate(twister, pair, max_tokens)
    return after


@inlined
def sentences_of(sentence_starts: Longs, first: int, end: int, token: int) -> int:
    """The end of the fewest sentences from `first` on that reach `token`; at most `end`."""
    after = first + 1
    while after < end and sentence_starts[after] < token:
        after += 1
    return after


@inlined
def _draw_random_span(
    twister: Twister,
    sentence_starts: Longs,
    document_starts: Longs,
    order: Longs,
    place: int,
    wanted: int,
    pair: Longs,
) -> None:
    """As b, whole sentences of `wanted` tokens or more, from anywhere in another document.

    After ten draws of the document itself it is taken all the same, as in the original.
    """
    other = place
    for _ in range(_TRIES_FOR_ANOTHER_DOCUMENT):
        other = below(twister, len(order))
        if other != place:
            break
    first, end = document_starts[order[other]], document_starts[order[other] + 1]
    first += below(twister, end - first)
    pair[START_B] = sentence_starts[first]
    last = sentences_of(sentence_starts, first, end, pair[START_B] + wanted)
    pair[END_B] = sentence_starts[last]


@inlined
def truncate(twister: Twister, pair: Longs, max_tokens: int) -> None:
    """Takes single tokens off the longer part until both have `max_tokens` in all.

    A draw decides for each whether the front or the back loses; on equal lengths b does.
    """
    length_a, length_b = pair[END_A] - pair[START_A], pair[END_B] - pair[START_B]
    start_a, start_b = pair[START_A], pair[START_B]
    excess = length_a + length_b - max_tokens
    while excess > 0:
        group = min(excess, _GROUP)
        at = reserve(twister, 2 * group)
        for _ in range(group):
            # A draw is below a half if its first bit is not set.
            at_front = np.int64(twister[np.uint64(at)]) < _HALF
            at += 2
            if length_a > length_b:
                length_a -= 1
                start_a += at_front
            else:
                length_b -= 1
                start_b += at_front
        twister[AT] = at
        excess -= group
    pair[START_A], pair[START_B] = start_a, start_b
    pair[END_A] = pair[START_A] + length_a
    pair[END_B] = pair[START_B] + length_b
