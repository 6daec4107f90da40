"""Masked LM predictions: which tokens of a pair are asked for, and what stands in their place.

A port of the rules of create_masked_lm_predictions of the original, compiled, with its constants
as options (and `ngrams` as one more). Its cost is the shuffle of all candidates.

A prediction is one int64: position in the sequence << POSITION_SHIFT | replacement, so that
sorting predictions sorts them by position.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from data_prep.mersenne import (
    AT,
    END,
    Swaps,
    Twister,
    below,
    bit_length,
    bits_at,
    bits_below,
    draw_swaps,
    reserve,
    shuffle,
)
from data_prep.ngrams import choose_ngrams, ngram_bounds
from data_prep.options import GenerationOptions, VocabularyIds, exact
from data_prep.pairs import END_A, END_B, START_A, START_B

Longs = npt.NDArray[np.int64]
TokenNumbers = npt.NDArray[np.unsignedinteger[Any]]  # of a sequence

POSITION_SHIFT = 32
_MOST_WORDS = 5  # of the generator for a prediction, if the first try to draw a token fits
KEEP_TOKEN = 0  # replacement 0 keeps the token, i + 1 writes the id i


class MaskRules(NamedTuple):
    """How to mask, as compiled code reads it.

    Attributes:
      wanted: int64 [max_seq_length + 1], predictions of a sequence by its length.
      words: int64, the id of every token that may replace one.
      mask: the id of [MASK].
      masks_below: draws of 53 bits below it make [MASK] of a token.
      keeps_below: of the other predictions, those whose next draw is below it keep their token.
      by_tokens: whether each token is masked or not whatever its neighbours are.
      whole_words: whether all pieces of a word are masked, or none.
      ngrams: see `ngrams.ngram_bounds`.
      continuation: uint8 [ids], 1 where a token continues a word.
      candidates: int64 [max_seq_length], scratch.
      chosen: [max_seq_length], scratch.
      swaps: [max_seq_length], scratch.
      part_ends: int64 [max_seq_length], where each part of the sequence ends, counted in tokens
        without special ones; set for each sequence.
    """

    wanted: Longs
    words: Longs
    mask: int
    masks_below: int
    keeps_below: int
    by_tokens: bool
    whole_words: bool
    ngrams: npt.NDArray[np.float64]
    continuation: npt.NDArray[np.uint8]
    candidates: Longs
    chosen: TokenNumbers
    swaps: Swaps
    part_ends: Longs


def mask_rules(options: GenerationOptions, vocabulary: VocabularyIds) -> MaskRules:
    """The rules that flags and vocabulary give."""
    wanted = [
        # Python's round, which takes halves to the even number.
        min(options.max_predictions_per_seq, max(1, round(length * options.masked_lm_prob)))
        for length in range(options.max_seq_length + 1)
    ]
    others = 1 - exact(options.mask_share)
    keep_share = float(1 - exact(options.random_share) / others) if others else 1.0
    length, numbers = options.max_seq_length, number_type(options)
    return MaskRules(
        np.array(wanted, np.int64),
        np.array(vocabulary.words, np.int64),
        vocabulary.mask,
        bits_below(options.mask_share),
        bits_below(keep_share),  # 0.5, which the original has here, for 0.8 and 0.1
        options.max_ngram == 1 and not options.do_whole_word_mask,
        options.do_whole_word_mask,
        ngram_bounds(options.max_ngram),
        vocabulary.continuation,
        np.empty(length, np.int64),
        np.empty(length, numbers),
        np.empty(length, numbers),
        np.empty(length, np.int64),
    )


def number_type(options: GenerationOptions) -> type[np.unsignedinteger[Any]]:
    """The dtype that numbers of tokens in a sequence fit into."""
    return np.uint16 if options.max_seq_length <= 1 << 16 else np.uint32


@inlined
def draw_predictions(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    pair: Longs,
    predictions: Longs,
) -> int:
    """Writes the predictions of one pair, unsorted; how many there are.

    Args:
      twister: advanced as the original advances its generator.
      rules: see `MaskRules`.
      tokens: of the corpus; read for whole words alone.
      pair: see `pairs`.
      predictions: written from the start; `max_predictions_per_seq` at most.
    """
    length_a = pair[END_A] - pair[START_A]
    rules.part_ends[0], rules.part_ends[1] = length_a, length_a + pair[END_B] - pair[START_B]
    return draw_in_parts(twister, rules, tokens, pair, 2, predictions)


# Compiled once and not into each caller: it takes long, and a call for a sequence costs little.
@compiled
def draw_in_parts(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    pair: Longs,
    parts: int,
    predictions: Longs,
) -> int:
    """`draw_predictions` for a sequence of `parts` parts, whose ends `rules` holds.

    [CLS] stands before the first, and [SEP] behind each.
    """
    size = rules.part_ends[parts - 1]
    wanted = rules.wanted[size + 1 + parts]
    if rules.by_tokens:
        count = draw_by_tokens(twister, rules, size, wanted, rules.swaps, 0, predictions, 0)
        choose_tokens(rules.swaps, 0, size, count, rules.chosen)
    else:
        count = _choose_units(twister, rules, tokens, pair, parts, size, wanted)
        _draw_replacements(twister, rules, predictions, 0, count)
    put_places(rules.chosen, rules.part_ends, parts, predictions, 0, count)
    return count


@inlined
def draw_by_tokens(
    twister: Twister,
    rules: MaskRules,
    size: int,
    wanted: int,
    swaps: Swaps,
    first_swap: int,
    predictions: Longs,
    first: int,
) -> int:
    """All draws for a sequence of `size` tokens, each of which may be chosen; how many are.

    What needs no draw is left: `choose_tokens`, with the swaps that are written from `first_swap`
    on, and `put_places`, in the predictions from `first` on.
    """
    draw_swaps(twister, 1, size, swaps, first_swap)
    count = min(wanted, size)
    _draw_replacements(twister, rules, predictions, first, count)
    return count


@inlined
def _draw_replacements(
    twister: Twister, rules: MaskRules, predictions: Longs, first: int, count: int
) -> None:
    """Writes predictions[first : first + count], without positions."""
    words, mask = rules.words, np.int64(rules.mask + 1)
    masks, keeps, count_of_words = rules.masks_below, rules.keeps_below, np.int64(len(words))
    shift = np.uint32(32 - bit_length(count_of_words))
    at, end = np.int64(twister[AT]), np.int64(twister[END])
    for i in range(first, first + count):
        if end - at < _MOST_WORDS:
            twister[AT] = at
            at = reserve(twister, _MOST_WORDS)
            end = np.int64(twister[END])
        replacement = mask
        drawn = bits_at(twister, at)
        at += 2
        if drawn >= masks:
            replacement = np.int64(KEEP_TOKEN)
            drawn = bits_at(twister, at)
            at += 2
            if drawn >= keeps:
                word = np.int64(twister[np.uint64(at)] >> shift)  # the first try of `below`
                at += 1
                if word >= count_of_words:
                    twister[AT] = at
                    word = below(twister, count_of_words)
                    at, end = np.int64(twister[AT]), np.int64(twister[END])
                replacement = words[np.uint64(word)] + 1
        predictions[np.uint64(i)] = replacement
    twister[AT] = at


@inlined
def choose_tokens(
    swaps: Swaps, first_swap: int, size: int, count: int, chosen: TokenNumbers
) -> None:
    """The first `count` (one or more) of `size` shuffled tokens; more of `chosen` is scratch."""
    for token in range(size):
        chosen[np.uint64(token)] = token
    before = np.uint64(first_swap - 1)
    # Nobody looks again at a place behind the first ones, so nothing is written there.
    for last in range(size - 1, count - 1, -1):
        chosen[np.uint64(swaps[before + np.uint64(last)])] = chosen[np.uint64(last)]
    for last in range(count - 1, 0, -1):
        i, j = np.uint64(last), np.uint64(swaps[before + np.uint64(last)])
        chosen[i], chosen[j] = chosen[j], chosen[i]


@inlined
def put_places(
    chosen: TokenNumbers, part_ends: Longs, parts: int, predictions: Longs, first: int, count: int
) -> None:
    """Adds the positions of the chosen tokens to predictions[first : first + count]."""
    for i in range(count):
        token = np.int64(chosen[np.uint64(i)])
        position = token + 1
        for part in range(parts - 1):
            position += token >= part_ends[np.uint64(part)]
        predictions[np.uint64(first + i)] |= position << POSITION_SHIFT


@compiled
def choose_for_all(
    swaps: Swaps,
    pairs: Longs,
    ends: Longs,
    predictions: Longs,
    rules: MaskRules,
) -> None:
    """What `draw_by_tokens` left for many pairs, whose swaps lie side by side.

    `rules` gives scratch: no other thread may have it.
    """
    first = first_swap = 0
    for row in range(len(pairs)):
        length_a = pairs[row, END_A] - pairs[row, START_A]
        size = length_a + pairs[row, END_B] - pairs[row, START_B]
        rules.part_ends[0], count = length_a, ends[row] - first
        choose_tokens(swaps, first_swap, size, count, rules.chosen)
        put_places(rules.chosen, rules.part_ends, 2, predictions, first, count)
        first, first_swap = ends[row], first_swap + size - 1


@compiled
def _choose_units(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    pair: Longs,
    parts: int,
    size: int,
    wanted: int,
) -> int:
    """Chooses tokens by whole words, by n-grams, or by both; how many."""
    if len(rules.ngrams) <= 1:
        return _choose_words(twister, rules, tokens, pair, size, wanted)
    continues = _continuations(rules, tokens, pair, size)
    continues[rules.part_ends[:parts]] = 0  # no span runs on behind a [SEP]
    return choose_ngrams(
        twister, rules.ngrams, continues, rules.part_ends, rules.candidates, rules.chosen, size,
        wanted,
    )  # fmt: skip


@compiled
def _continuations(
    rules: MaskRules, tokens: npt.NDArray[np.integer], pair: Longs, size: int
) -> npt.NDArray[np.uint8]:
    """uint8 [size + 1], 1 where a token continues a unit: never without --do_whole_word_mask."""
    continues = np.zeros(size + 1, np.uint8)
    if rules.whole_words:
        length_a = pair[END_A] - pair[START_A]
        for i in range(size):
            at = pair[START_A] + i if i < length_a else pair[START_B] + i - length_a
            continues[i] = rules.continuation[tokens[at]]
        continues[0] = continues[size] = 0  # the first token starts a word, the end ends one
    return continues


@compiled
def _choose_words(
    twister: Twister,
    rules: MaskRules,
    tokens: npt.NDArray[np.integer],
    pair: Longs,
    size: int,
    wanted: int,
) -> int:
    """Chooses whole words in shuffled order while they fit into `wanted`; how many tokens.

    A part that truncation cut inside a word continues the last word before it, as in the
    original.
    """
    continues = _continuations(rules, tokens, pair, size)
    words = 0
    for i in range(size):
        if not continues[i]:
            rules.candidates[words] = i
            words += 1
    order = rules.candidates[:words]
    shuffle(twister, order)
    count = 0
    for first in order:
        if count >= wanted:
            break
        end = first + 1
        while continues[end]:
            end += 1
        if count + end - first <= wanted:
            for i in range(first, end):
                rules.chosen[count] = i
                count += 1
    return count
