"""Pairs and masks: the draws of the original, on offsets."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.masking import (
    POSITION_SHIFT,
    choose_for_all,
    draw_by_tokens,
    draw_predictions,
    mask_rules,
    number_type,
)
from data_prep.mersenne import next_word, twister_of
from data_prep.options import DataError, GenerationOptions, VocabularyIds
from data_prep.pairs import truncate

VOCAB = {token: i for i, token in enumerate(["[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"])}
NO_TOKENS = np.empty(0, np.uint16)


def predictions_of(twister, pair, tokens=NO_TOKENS, **options):
    options = GenerationOptions(**options)
    rules = mask_rules(options, VocabularyIds.from_vocab(VOCAB))
    found = np.empty(options.max_predictions_per_seq, np.int64)
    count = draw_predictions(twister, rules, tokens, np.array(pair), found)
    return found[:count].tolist()


@pytest.mark.parametrize("length", [2, 3, 4, 7, 8, 9, 63, 64, 65, 125])
def test_chosen_tokens_are_the_head_of_a_shuffle(length):
    for wanted in (1, 2, length // 2, length, length + 3):
        peer = random.Random(length)
        twister = twister_of(peer)
        order = list(range(length))
        peer.shuffle(order)
        found = predictions_of(
            twister, (0, 1, 1, length, 0), max_predictions_per_seq=wanted, masked_lm_prob=1.0
        )
        positions = [prediction >> POSITION_SHIFT for prediction in found]
        assert positions == [1 if i == 0 else i + 2 for i in order[:wanted]]
        for prediction in found:  # the draws of the replacements follow
            replacement = prediction & 0xFFFFFFFF
            if peer.random() < 0.8:
                assert replacement == VOCAB["[MASK]"] + 1
            elif peer.random() < 0.5:
                assert replacement == 0
            else:
                assert replacement == peer.randint(0, len(VOCAB) - 1) + 1
        assert next_word(twister) == peer.getrandbits(32)


@pytest.mark.parametrize("longest", [128, 70_000])
@pytest.mark.parametrize("wanted", [1, 2, 20, 200])
def test_what_draws_leave_can_be_done_later_for_many(longest, wanted):
    options = GenerationOptions(
        max_seq_length=longest, max_predictions_per_seq=wanted, masked_lm_prob=0.5
    )
    rules = mask_rules(options, VocabularyIds.from_vocab(VOCAB))
    pairs = np.array([[0, a, 9, 9 + b, 0] for a in (1, 2, 60) for b in (1, 2, 62)])
    at_once, later = twister_of(random.Random(7)), twister_of(random.Random(7))
    expected, found = np.empty((2, len(pairs) * wanted), np.int64)
    swaps = np.empty(len(pairs) * longest, number_type(options))
    ends, swap, count = np.zeros(len(pairs), np.int64), 0, 0
    for row, pair in enumerate(pairs):
        size = int(pair[1] + pair[3] - 9)
        draw_predictions(at_once, rules, NO_TOKENS, pair, expected[count:])
        count += draw_by_tokens(
            later, rules, size, int(rules.wanted[size + 3]), swaps, swap, found, count
        )
        ends[row], swap = count, swap + size - 1
    choose_for_all(swaps, pairs, ends, found, rules)
    assert found[:count].tolist() == expected[:count].tolist()
    assert next_word(later) == next_word(at_once)


def test_positions_skip_the_separators():
    found = predictions_of(
        twister_of(random.Random(3)), (0, 2, 5, 8, 0), masked_lm_prob=1.0,
        max_predictions_per_seq=99,
    )  # fmt: skip
    assert sorted(p >> POSITION_SHIFT for p in found) == [1, 2, 4, 5, 6]


def test_whole_words_stay_together_or_are_left_out():
    word, later = VOCAB["a"], VOCAB["##b"]
    tokens = np.array([word, later, later, word, later, later, word, later], np.uint16)
    for seed in range(50):
        found = predictions_of(
            twister_of(random.Random(seed)), (0, 5, 5, 8, 0), tokens, do_whole_word_mask=True,
            masked_lm_prob=0.5, max_predictions_per_seq=3,
        )  # fmt: skip
        places = {p >> POSITION_SHIFT for p in found}
        # b starts inside the word of a's last tokens: 4, 5 and 7 are one word of three.
        words = [{1, 2, 3}, {4, 5, 7}, {8, 9}]
        assert places in words


def test_replacements_have_the_rates_of_the_paper():
    twister = twister_of(random.Random(0))
    drawn = [
        prediction & 0xFFFFFFFF
        for _ in range(300)
        for prediction in predictions_of(
            twister, (0, 50, 50, 100, 1), masked_lm_prob=1.0, max_predictions_per_seq=100
        )
    ]
    shares = np.bincount(drawn, minlength=7) / len(drawn)
    random_share = 0.1 / len(VOCAB)
    assert shares[0] == pytest.approx(0.1, abs=0.01)
    assert shares[VOCAB["[MASK]"] + 1] == pytest.approx(0.8 + random_share, abs=0.01)
    assert shares[VOCAB["a"] + 1] == pytest.approx(random_share, abs=0.005)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 60), st.integers())
def test_truncation_moves_the_ends_as_lists_lose_tokens(size_a, size_b, room, seed):
    peer = random.Random(seed)
    twister = twister_of(peer)
    a, b = list(range(size_a)), list(range(50, 50 + size_b))
    while len(a) + len(b) > room:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if peer.random() < 0.5 else -1)
    pair = np.array([0, size_a, 50, 50 + size_b, 1])
    truncate(twister, pair, room)
    assert pair.tolist() == [a[0], a[-1] + 1, b[0], b[-1] + 1, 1]
    assert next_word(twister) == peer.getrandbits(32)


def test_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(DataError, match=r"\[CLS\], \[MASK\] missing among its 2 tokens"):
        VocabularyIds.from_vocab({"[UNK]": 0, "[SEP]": 1})
