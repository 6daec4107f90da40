"""Masked LM predictions: which tokens of a pair are asked for, and what stands in their place.

A port of the rules of create_masked_lm_predictions of the original, compiled, with its constants
as options (and `ngrams` as one more). Its cost is the shuffle of all candidates.

A prediction is one int64: position in the sequence << POSITION_SHIFT | replacement, so that
sorting predictions sorts them by position.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled
from data_prep.mersenne import AT, Twister, below, reserve, shuffle, uniform_at
from data_prep.ngrams import choose_ngrams, ngram_bounds
from data_prep.options import GenerationOptions, VocabularyIds, exact
from data_prep.pairs import END_A, END_B, START_A, START_B

Longs = npt.NDArray[np.int64]

POSITION_SHIFT = 32
# Words of the generator are reserved for so many predictions at once.
_GROUP, _MOST_WORDS = 128, 4
KEEP_TOKEN = 0  # replacement 0 keeps the token, i + 1 writes the id i


class MaskRules(NamedTuple):
    """How to mask, as compiled code reads it.

    Attributes:
      wanted: int64 [max_seq_length + 1], predictions of a sequence by its length.
      words: int64, the id of every token that may replace one.
      mask: the id of [MASK].
      mask_share: of predictions, that [MASK] replaces.
      keep_share: of the other predictions, that keep their token.
      whole_words: whether all pieces of a word are masked, or none.
      ngrams: see `ngrams.ngram_bounds`.
      continuation: uint8 [ids], 1 where a token continues a word.
      candidates: int64 [max_seq_length], scratch.
      chosen: int64 [max_seq_length], scratch.
      part_ends: int64 [max_seq_length], where each part of the sequence ends, counted in tokens
        without special ones; set for `draw_in_parts`.
    """

    wanted: Longs
    words: Longs
    mask: int
    mask_share: float
    keep_share: float
    whole_words: bool
    ngrams: npt.NDArray[np.float64]
    continuation: npt.NDArray[np.uint8]
    candidates: Longs
    chosen: Longs
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
    scratch = [np.empty(options.max_seq_length, np.int64) for _ in range(3)]
    return MaskRules(
        np.array(wanted, np.int64),
        np.array(vocabulary.words, np.int64),
        vocabulary.mask,
        options.mask_share,
        keep_share,  # 0.5, which the original has here, for 0.8 and 0.1
        options.do_whole_word_mask,
        ngram_bounds(options.max_ngram),
        vocabulary.continuation,
        *scratch,
    )


@compiled
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
    candidates, chosen = rules.candidates, rules.chosen
    if len(rules.ngrams) > 1:
        continues = _continuations(rules, tokens, pair, size)
        continues[rules.part_ends[:parts]] = 0  # no span runs on behind a [SEP]
        count = choose_ngrams(
            twister, rules.ngrams, continues, rules.part_ends, candidates, chosen, size, wanted
        )
    elif rules.whole_words:
        count = _choose_words(twister, rules, tokens, pair, size, wanted)
    else:
        order = candidates[:size]
        for i in range(size):
            order[i] = i
        shuffle(twister, order)
        count = min(wanted, size)
        chosen[:count] = order[:count]
    words, mask = rules.words, rules.mask
    at, left = reserve(twister, _MOST_WORDS * _GROUP), _GROUP
    for i in range(count):
        if not left:
            twister[AT] = at
            at, left = reserve(twister, _MOST_WORDS * _GROUP), _GROUP
        left -= 1
        position = chosen[i] + 1
        for part in range(parts - 1):
            position += chosen[i] >= rules.part_ends[part]
        replacement = np.int64(mask + 1)
        masked = uniform_at(twister, at)
        at += 2
        if masked >= rules.mask_share:
            replacement = np.int64(KEEP_TOKEN)
            kept = uniform_at(twister, at)
            at += 2
            if kept >= rules.keep_share:
                twister[AT] = at
                replacement = words[below(twister, len(words))] + 1
                at, left = reserve(twister, _MOST_WORDS * _GROUP), _GROUP
        predictions[i] = position << POSITION_SHIFT | replacement
    twister[AT] = at
    return count


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
