"""Draws of pairs and masks take the same bits as random.Random's own methods."""

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_prep.masking import POSITION_SHIFT, Masker
from data_prep.options import DataError, GenerationOptions, VocabularyIds
from data_prep.pairs import below, truncate_spans

VOCAB = {token: i for i, token in enumerate(["[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"])}


def masker(rng, continuation=b"", **options):
    ids = VocabularyIds.from_vocab(VOCAB)
    return Masker(GenerationOptions(**options), ids, continuation, rng)


@given(st.integers(1, 10**6), st.integers())
def test_below_draws_as_randint(bound, seed):
    ours, peer = random.Random(seed), random.Random(seed)
    assert below(ours.getrandbits, bound) == peer.randint(0, bound - 1)
    assert ours.getstate() == peer.getstate()


@pytest.mark.parametrize("length", [2, 3, 4, 7, 8, 9, 63, 64, 65, 125, 128, 200])
def test_chosen_tokens_are_the_head_of_a_shuffle(length):
    for wanted in (1, 2, length // 2, length, length + 3):
        ours, peer = random.Random(length), random.Random(length)
        expected = list(range(length))
        peer.shuffle(expected)
        subject = masker(ours, max_predictions_per_seq=wanted, masked_lm_prob=1.0)
        order = list(range(length))
        subject._shuffle(order, wanted)
        assert order[:wanted] == expected[:wanted]
        assert ours.getstate() == peer.getstate()


def test_positions_skip_the_separators():
    subject = masker(random.Random(3), masked_lm_prob=1.0, max_predictions_per_seq=99)
    places = sorted(p >> POSITION_SHIFT for p in subject.predictions((0, 2, 5, 8, False)))
    assert places == [1, 2, 4, 5, 6]


def test_whole_words_stay_together_or_are_left_out():
    continuation = bytes([0, 1, 1, 0, 1, 1, 0, 1])
    for seed in range(50):
        rng = random.Random(seed)
        subject = masker(
            rng, continuation, do_whole_word_mask=True, masked_lm_prob=0.5,
            max_predictions_per_seq=3,
        )  # fmt: skip
        places = {p >> POSITION_SHIFT for p in subject.predictions((0, 5, 5, 8, False))}
        # b starts inside the word of a's last tokens: 4, 5 and 7 are one word of three.
        words = [{1, 2, 3}, {4, 5, 7}, {8, 9}]
        assert places in words


def test_replacements_have_the_rates_of_the_paper():
    subject = masker(random.Random(0), masked_lm_prob=1.0, max_predictions_per_seq=100)
    drawn = [
        p & 0xFFFFFFFF for _ in range(300) for p in subject.predictions((0, 50, 50, 100, True))
    ]
    shares = np.bincount(drawn, minlength=7) / len(drawn)
    random_share = 0.1 / len(VOCAB)
    assert shares[0] == pytest.approx(0.1, abs=0.01)
    assert shares[VOCAB["[MASK]"] + 1] == pytest.approx(0.8 + random_share, abs=0.01)
    assert shares[VOCAB["a"] + 1] == pytest.approx(random_share, abs=0.005)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(2, 40), st.integers())
def test_truncation_moves_the_ends_as_lists_lose_tokens(size_a, size_b, room, seed):
    ours, peer = random.Random(seed), random.Random(seed)
    a, b = list(range(size_a)), list(range(50, 50 + size_b))
    while len(a) + len(b) > room:
        longer = a if len(a) > len(b) else b
        longer.pop(0 if peer.random() < 0.5 else -1)
    pair = truncate_spans((0, size_a, 50, 50 + size_b, True), room, ours.random)
    assert pair == (a[0], a[-1] + 1, b[0], b[-1] + 1, True)
    assert ours.getstate() == peer.getstate()


def test_vocabulary_without_special_tokens_is_refused():
    with pytest.raises(DataError, match=r"\[CLS\], \[MASK\] missing among its 2 tokens"):
        VocabularyIds.from_vocab({"[UNK]": 0, "[SEP]": 1})
