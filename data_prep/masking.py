"""Masked LM predictions: which tokens of a pair are asked for, and what stands in their place.

A port of the rules of create_masked_lm_predictions of the original. Its cost is the shuffle of
all candidates, so the draws of `random.Random.shuffle` are taken here straight from
`getrandbits`, the same bits in the same order, and a shuffled element that nobody reads any
more is not stored.
"""

from __future__ import annotations

import random

from data_prep.options import GenerationOptions, VocabularyIds
from data_prep.pairs import Pair

# A prediction is one integer: position in the sequence << POSITION_SHIFT | replacement.
POSITION_SHIFT = 32
KEEP_TOKEN = 0  # replacement 0 keeps the token, i + 1 writes the id i

# Index ranges that draw the same number of bits: (indices from high to low, bits).
_Draws = list[tuple[range, int]]


def _shuffle_draws(high: int, low: int) -> _Draws:
    """The steps i = high .. low of a shuffle; step i draws a number below i + 1."""
    draws = []
    while high >= low:
        bits = (high + 1).bit_length()
        floor = max(low, (1 << (bits - 1)) - 1)
        draws.append((range(high, floor - 1, -1), bits))
        high = floor - 1
    return draws


class Masker:
    """Draws the predictions of pairs, one pair after another.

    Holds tables only; all chance comes from `rng`, in the original's order.

    Args:
      options: probability, limits and whether whole words are masked.
      vocabulary: ids of [MASK] and of all tokens that may replace one.
      continuation: a byte for each token of the corpus, 1 where it continues a word; needed
        for whole words alone.
      rng: advanced as the original advances it.
    """

    def __init__(
        self,
        options: GenerationOptions,
        vocabulary: VocabularyIds,
        continuation: bytes,
        rng: random.Random,
    ) -> None:
        self._wanted = [
            min(
                options.max_predictions_per_seq,
                max(1, round(length * options.masked_lm_prob)),
            )
            for length in range(options.max_seq_length + 1)
        ]
        self._whole_words = options.do_whole_word_mask
        self._continuation = continuation
        self._mask = vocabulary.mask + 1
        self._words = [word + 1 for word in vocabulary.words]
        self._places = [place << POSITION_SHIFT for place in range(options.max_seq_length)]
        self._draws: dict[tuple[int, int], tuple[_Draws, _Draws]] = {}
        self._random = rng.random
        self._getrandbits = rng.getrandbits

    def predictions(self, pair: Pair) -> list[int]:
        """The predictions of one pair, unsorted: position << POSITION_SHIFT | replacement."""
        start_a, end_a, start_b, end_b, _ = pair
        middle = end_a - start_a + 1  # where [SEP] stands
        end = middle + 1 + end_b - start_b
        wanted = self._wanted[end + 1]
        # Token by token the position of each, shifted already; [CLS] and [SEP] left out.
        places = self._places[1:middle] + self._places[middle + 1 : end]
        if self._whole_words:
            return self._replace(self._choose_words(pair, places, wanted))
        self._shuffle(places, wanted)
        return self._replace(places[:wanted])

    def _shuffle(self, order: list[int], wanted: int) -> None:
        """`random.Random.shuffle(order)`, of which only the first `wanted` are right."""
        plan = self._draws.get((len(order), wanted))
        if plan is None:
            wanted_here = min(wanted, len(order))
            plan = self._draws[len(order), wanted] = (
                _shuffle_draws(len(order) - 1, max(wanted_here, 1)),
                _shuffle_draws(wanted_here - 1, 1),
            )
        getrandbits = self._getrandbits
        for indices, bits in plan[0]:
            for i in indices:
                j = getrandbits(bits)
                while j > i:
                    j = getrandbits(bits)
                # Place i is final now and not among the wanted: only its element lives on.
                order[j] = order[i]
        for indices, bits in plan[1]:
            for i in indices:
                j = getrandbits(bits)
                while j > i:
                    j = getrandbits(bits)
                order[i], order[j] = order[j], order[i]

    def _choose_words(self, pair: Pair, places: list[int], wanted: int) -> list[int]:
        """Whole words in shuffled order while they fit into `wanted`, token by token.

        A part that truncation cut inside a word continues the last word before it, as in the
        original.
        """
        start_a, end_a, start_b, end_b, _ = pair
        flags = self._continuation[start_a:end_a] + self._continuation[start_b:end_b]
        firsts = [i for i, flag in enumerate(flags) if not flag or not i]
        ends = [*firsts[1:], len(flags)]
        order = list(range(len(firsts)))
        self._shuffle(order, len(order))
        chosen: list[int] = []
        for word in order:
            if len(chosen) >= wanted:
                break
            if len(chosen) + ends[word] - firsts[word] <= wanted:
                chosen += places[firsts[word] : ends[word]]
        return chosen

    def _replace(self, chosen: list[int]) -> list[int]:
        """80 % [MASK], 10 % the token itself, 10 % any token of the vocabulary."""
        draw, getrandbits = self._random, self._getrandbits
        mask, words = self._mask, self._words
        bound = len(words)
        bits = bound.bit_length()
        predictions = []
        for place in chosen:
            if draw() < 0.8:
                predictions.append(place | mask)
            elif draw() < 0.5:
                predictions.append(place | KEEP_TOKEN)
            else:
                word = getrandbits(bits)
                while word >= bound:
                    word = getrandbits(bits)
                predictions.append(place | words[word])
        return predictions
