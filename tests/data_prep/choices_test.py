"""Masking and pairing by choice: the paper's shares, runs of words, full sentences, their order."""

import itertools
import random
import threading
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bert_tf.inputs.records import pretraining_schema
from bert_tf.tokenization import load_vocab
from data_prep.documents import Corpus
from data_prep.examples import draw_examples
from data_prep.masking import POSITION_SHIFT, draw_predictions, mask_rules
from data_prep.mersenne import twister_of
from data_prep.options import DataError, GenerationOptions, VocabularyIds
from data_prep.pairs import END_A, END_B, IS_RANDOM, START_A, START_B
from data_prep.rows import ExampleWriter
from data_prep.store import Scratch
from tests.data_prep.create_pretraining_data_test import CORPUS, VOCAB, generate, read_records

IDS = {token: i for i, token in enumerate(["[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "##b"])}
VOCABULARY = VocabularyIds.from_vocab(IDS)
WORD, LATER, FIRST = IDS["a"], IDS["##b"], len(IDS)


def drawn_ids(options, tokens, times, seed=0, split=None):
    """Position and replacement of each prediction, for `times` pairs."""
    twister, rules = twister_of(random.Random(seed)), mask_rules(options, VOCABULARY)
    split = split or len(tokens) // 2
    pair = np.array([0, split, split, len(tokens), 0])
    found = np.empty(options.max_predictions_per_seq, np.int64)
    for _ in range(times):
        count = draw_predictions(twister, rules, tokens, pair, found)
        yield [(value >> POSITION_SHIFT, value & 0xFFFFFFFF) for value in found[:count].tolist()]


# Mask, random, keep: the rows of table 8 of the paper.
TABLE_8 = [(0.8, 0.1), (1.0, 0.0), (0.8, 0.0), (0.8, 0.2), (0.0, 0.2), (0.0, 1.0)]


@pytest.mark.parametrize(("mask", "other"), TABLE_8)
def test_shares_are_those_of_the_flags(mask, other):
    options = GenerationOptions(128, 100, masked_lm_prob=1.0, mask_share=mask, random_share=other)
    tokens = np.full(100, WORD, np.uint16)
    counts = Counter(kind for pair in drawn_ids(options, tokens, 400) for _, kind in pair)
    total, kinds = counts.total(), len(IDS)
    keep = 1 - mask - other
    expected = np.full(kinds + 1, other / kinds)
    expected[0] = keep
    expected[IDS["[MASK]"] + 1] += mask
    observed = np.array([counts[kind] for kind in range(kinds + 1)])
    possible = expected > 1e-9
    assert total == 40_000
    assert not observed[~possible].any()
    squares = (observed - total * expected)[possible] ** 2 / (total * expected[possible])
    assert squares.sum() < 25  # 6 degrees of freedom: exceeded once in 3000


def test_defaults_draw_as_before():
    rules = mask_rules(GenerationOptions(), VOCABULARY)
    shares = rules.masks_below / 2**53, rules.keeps_below / 2**53
    assert (*shares, len(rules.ngrams)) == (0.8, 0.5, 1)


def test_lengths_of_runs_fall_as_one_over_n():
    """Few predictions in a long sequence: no run is cut, and hardly two touch."""
    options = GenerationOptions(
        4000, 3, masked_lm_prob=1.0, max_ngram=3, mask_share=1.0, random_share=0.0
    )
    tokens = np.full(3990, WORD, np.uint16)
    lengths = Counter()
    for pair in drawn_ids(options, tokens, 6000):
        positions = [position for position, _ in pair]
        first = [positions[0]]  # later runs are cut to what is left
        for position in positions[1:]:
            if position != first[-1] + 1:
                break
            first.append(position)
        lengths[len(first)] += 1
    total = lengths.total()
    expected = np.array([6, 3, 2]) / 11 * total
    observed = np.array([lengths[n] for n in (1, 2, 3)])
    assert ((observed - expected) ** 2 / expected).sum() < 20


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([WORD, WORD, LATER]), min_size=2, max_size=60),
    st.integers(1, 6), st.integers(6, 30), st.booleans(), st.integers(0, 2**32),
)  # fmt: skip
def test_runs_keep_units_whole_and_stay_in_their_part(tokens, ngram, most, whole, seed):
    options = GenerationOptions(
        128, most, masked_lm_prob=0.5, max_ngram=ngram, do_whole_word_mask=whole
    )
    tokens = np.array(tokens, np.uint16)
    split = 1 + seed % (len(tokens) - 1)
    (found,) = drawn_ids(options, tokens, 1, seed, split)
    wanted = min(most, max(1, round((len(tokens) + 3) * 0.5)))
    places = [position - (1 if position <= split else 2) for position, _ in found]
    assert len(set(places)) == len(places) <= wanted
    assert all(0 <= place < len(tokens) for place in places)
    assert split + 1 not in [position for position, _ in found]
    if whole:
        for place in range(1, len(tokens)):
            if tokens[place] == LATER and place != split and ngram > 1:
                assert (place in places) == (place - 1 in places)
    else:
        assert len(places) == min(wanted, len(tokens))


def a_corpus(rng, most_words=30):
    """Documents of numbered tokens: a token's value says where it stands."""
    sentence_starts, document_starts = [0], [0]
    for _ in range(rng.randint(1, 6)):
        for _ in range(rng.randint(1, 7)):
            sentence_starts.append(sentence_starts[-1] + rng.randint(1, most_words))
        document_starts.append(len(sentence_starts) - 1)
    tokens = np.arange(FIRST, FIRST + sentence_starts[-1], dtype=np.uint16)
    return Corpus(tokens, np.array(sentence_starts), np.array(document_starts))


def draw(corpus, folder, seed=1, **options):
    options = GenerationOptions(
        max_predictions_per_seq=5, dupe_factor=2, mask_share=0.0, random_share=0.0, **options
    )
    ids = [*range(FIRST)]
    vocabulary = VocabularyIds(1, 2, 3, ids, np.zeros(FIRST + len(corpus.tokens), np.uint8))
    with Scratch(folder) as scratch:
        drawn = draw_examples(corpus, vocabulary, options, random.Random(seed), scratch)
        values = ExampleWriter(drawn, corpus, vocabulary, options).values(
            np.arange(len(drawn.order))
        )
        return drawn, values


def features(row, length):
    named, at = {}, 0
    for feature in pretraining_schema(length, 5).features:
        named[feature.name] = row[at : at + feature.length].tolist()
        at += feature.length
    return named


def test_an_error_of_the_other_thread_is_raised(tmp_path, monkeypatch):
    def full(self, values):
        assert threading.current_thread() is not threading.main_thread()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("data_prep.store.DiskArray.append", full)
    with pytest.raises(OSError, match="No space left"):
        draw(a_corpus(random.Random(1)), tmp_path)


@pytest.mark.parametrize("seed", range(30))
def test_full_sentences_hold_every_token_once_a_pass(tmp_path, seed):
    rng = random.Random(seed)
    corpus, length = a_corpus(rng), rng.choice([5, 8, 20, 64, 200])
    _, values = draw(corpus, tmp_path, seed, max_seq_length=length, next_sentence="none")
    starts = set(corpus.sentence_starts[corpus.document_starts[1:-1]].tolist())
    seen = []
    for row in values:
        record = features(row, length)
        size = sum(record["input_mask"])
        ids = record["input_ids"][:size]
        assert (ids[0], ids[-1]) == (1, 2)
        assert set(record["segment_ids"]) == {0}
        assert record["next_sentence_labels"] == [0]
        assert record["input_ids"][size:] == [0] * (length - size)
        inner = [token - FIRST for token in ids[1:-1] if token != 2]
        assert inner == list(range(inner[0], inner[0] + len(inner)))
        # A [SEP] stands where a document begins, and nowhere else.
        for before, token in itertools.pairwise(ids[1:-1]):
            assert (before == 2) == (token - FIRST in starts) or token == 2
        wanted = min(5, max(1, round(size * 0.15)))
        weights = np.array(record["masked_lm_weights"], np.int32).view(np.float32)
        assert weights.sum() == min(wanted, len(inner))
        for position, label, weight in zip(
            record["masked_lm_positions"], record["masked_lm_ids"], weights, strict=True
        ):
            if weight:
                assert label == ids[position] != 2
        seen += inner
    once = list(range(len(corpus.tokens)))
    assert seen == once * 2
    assert len(values) % 2 == 0


def test_full_sentences_are_packed_as_long_as_they_fit(tmp_path):
    corpus = Corpus(
        np.arange(FIRST, FIRST + 30, dtype=np.uint16), np.array([0, 3, 6, 10, 24, 30]),
        np.array([0, 2, 5]),
    )  # fmt: skip
    drawn, values = draw(corpus, tmp_path, max_seq_length=13, next_sentence="none")
    # 3 + 3 + [SEP] + 4; then 14 tokens, of which 11 fit; their last 3 and the next 6.
    assert drawn.rows[:3, [START_A, END_A]].tolist() == [[0, 10], [10, 21], [21, 30]]
    f = FIRST
    assert features(values[0], 13)["input_ids"] == [
        1, f, f + 1, f + 2, f + 3, f + 4, f + 5, 2, f + 6, f + 7, f + 8, f + 9, 2
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_order_pairs_follow_each_other_or_are_swapped(tmp_path, seed):
    rng = random.Random(seed)
    corpus = a_corpus(rng, rng.choice([1, 3, 30]))
    length = rng.choice([5, 9, 30, 64])
    drawn, values = draw(
        corpus, tmp_path, seed, max_seq_length=length, next_sentence="order", short_seq_prob=0.2
    )
    ends = corpus.sentence_starts[corpus.document_starts[1:]]
    for pair, row in zip(drawn.rows, values, strict=True):
        a, b = (pair[START_A], pair[END_A]), (pair[START_B], pair[END_B])
        first, second = (b, a) if pair[IS_RANDOM] else (a, b)
        assert first[0] < first[1] <= second[0] < second[1]
        assert np.searchsorted(ends, first[0], "right") == np.searchsorted(
            ends, second[1] - 1, "right"
        )
        assert features(row, length)["next_sentence_labels"] == [pair[IS_RANDOM]]
        if first[1] < second[0]:  # cut by truncation alone
            assert sum(features(row, length)["input_mask"]) == length


def test_half_of_the_order_pairs_are_swapped(tmp_path):
    rng = random.Random(5)
    starts = np.cumsum([0, *(rng.randint(5, 20) for _ in range(8000))])
    corpus = Corpus(np.full(starts[-1], FIRST, np.uint16), starts, np.arange(0, 8001, 10))
    drawn, _ = draw(corpus, tmp_path, max_seq_length=64, next_sentence="order")
    swapped = drawn.rows[:, IS_RANDOM]
    assert len(swapped) > 2000
    assert abs(swapped.mean() - 0.5) < 3.5 * 0.5 / len(swapped) ** 0.5


def test_a_single_token_has_no_order(tmp_path):
    corpus = Corpus(np.array([7, 8, 9], np.uint16), np.array([0, 1, 3]), np.array([0, 1, 2]))
    drawn, _ = draw(corpus, tmp_path, next_sentence="order")
    assert len(drawn.order) == 2
    assert (drawn.rows[:, [START_A, START_B]].min(axis=1) == 1).all()


@pytest.mark.parametrize("next_sentence", ["none", "order"])
def test_records_are_readable_and_workers_change_nothing(tmp_path, next_sentence):
    options = {"next_sentence": next_sentence, "max_ngram": 3, "dupe_factor": 2}
    (one,) = generate(tmp_path, [CORPUS], ["a"], max_seq_length=64, **options)
    (two,) = generate(tmp_path, [CORPUS], ["b"], max_seq_length=64, workers=3, **options)
    schema = pretraining_schema(64, 20)
    decoded = [schema.decode(record) for record in read_records(one)]
    assert decoded
    assert list(read_records(one)) == list(read_records(two))
    labels = {int(record["next_sentence_labels"][0]) for record in decoded}
    assert labels == ({0} if next_sentence == "none" else {0, 1})
    masks = load_vocab(VOCAB)["[MASK]"]
    assert sum((record["input_ids"] == masks).sum() for record in decoded) > len(decoded)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask_share": 0.95}, r"above 1 together .*; got 0\.95 and 0\.1"),
        ({"random_share": -0.1}, r"must not be negative, .*; got 0\.8 and -0\.1"),
        ({"mask_share": float("nan")}, "--mask_share and --random_share"),
        (
            {"max_ngram": 0},
            r"--max_ngram must be from 1 to --max_predictions_per_seq \(20\); got 0",
        ),
        ({"max_ngram": 21}, "got 21"),
        ({"next_sentence": "maybe"}, "must be one of random, none, order; got 'maybe'"),
    ],
)
def test_choices_are_checked(options, message):
    with pytest.raises(DataError, match=message):
        GenerationOptions(**options)
