"""Sentence order prediction: two runs of sentences that follow each other, half of them swapped.

As ALBERT (arXiv 1909.11942, section 3.1): both parts come from one document, cut at a sentence, and
`next_sentence_labels` is 1 where they are swapped. Chunks of sentences are gathered as for pairs,
and all of a chunk is used. A chunk of one sentence is cut between two of its tokens; of a single
token nothing can be made. Compiled.
"""

from __future__ import annotations

from bert_tf.compiled import inlined
from data_prep.mersenne import Twister, below, uniform
from data_prep.pairs import (
    END_A,
    END_B,
    IS_RANDOM,
    START_A,
    START_B,
    Longs,
    draw_pair,
    sentences_of,
    truncate,
)


@inlined
def draw_ordered(
    twister: Twister,
    sentence_starts: Longs,
    chunk: int,
    document_end: int,
    target: int,
    max_tokens: int,
    pair: Longs,
) -> int:
    """Draws the pair that starts with sentence `chunk`; the sentence that the next starts with.

    Args:
      twister: advanced.
      sentence_starts: see `documents.Corpus`.
      chunk: a sentence.
      document_end: the sentence after the last one of its document.
      target: from `pairs.draw_target`.
      max_tokens: of a pair, without special tokens.
      pair: written; both parts are empty where there is only one token.
    """
    begin = sentence_starts[chunk]
    after = sentences_of(sentence_starts, chunk, document_end, begin + target)
    end = sentence_starts[after]
    if after - chunk >= 2:
        middle = sentence_starts[chunk + 1 + below(twister, after - chunk - 1)]
    elif end - begin >= 2:
        middle = begin + 1 + below(twister, end - begin - 1)
    else:
        pair[:] = 0
        return after
    pair[START_A], pair[END_A], pair[START_B], pair[END_B] = begin, middle, middle, end
    pair[IS_RANDOM] = uniform(twister) < 0.5
    if pair[IS_RANDOM]:
        pair[START_A], pair[END_A], pair[START_B], pair[END_B] = middle, end, begin, middle
    truncate(twister, pair, max_tokens)
    return after


@inlined
def draw_next(
    twister: Twister,
    sentence_starts: Longs,
    document_starts: Longs,
    order: Longs,
    place: int,
    chunk: int,
    target: int,
    max_tokens: int,
    ordered: bool,
    pair: Longs,
) -> int:
    """`draw_ordered` or `pairs.draw_pair`, whose arguments these are; a is empty for no pair."""
    if ordered:
        end = document_starts[order[place] + 1]
        return draw_ordered(twister, sentence_starts, chunk, end, target, max_tokens, pair)
    return draw_pair(
        twister, sentence_starts, document_starts, order, place, chunk, target, max_tokens, pair
    )
