"""Masks drawn in the pipeline: anew in every epoch, the same after a resume, as offline ones."""

import itertools
import random

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.inputs.dynamic_masking import DynamicMasking, remask, unmask
from bert_tf.inputs.records import (
    Manifest,
    RecordError,
    RecordWriter,
    pretraining_schema,
    read_records,
)
from bert_tf.tokenization import load_vocab
from data_prep.documents import Corpus
from data_prep.examples import draw_examples
from data_prep.options import GenerationOptions, VocabularyIds
from data_prep.rows import ExampleWriter
from data_prep.store import Scratch
from tests.support import small

VOCAB = load_vocab(small.VOCAB)
CLS, SEP, MASK = (VOCAB[token] for token in ("[CLS]", "[SEP]", "[MASK]"))


@pytest.fixture
def source():
    return small.records().masked_anew(small.VOCAB, 0.15, seed=7)


def context(replicas=1, pipelines=1, index=0):
    return tf.distribute.InputContext(pipelines, index, replicas)


def batches(source, count, size=16, first=0, shuffle=True, where=None):
    made = source.training(
        size, shuffle=shuffle, seed=7, first_batch=first, context=where or context()
    )
    return [
        {name: value.numpy() for name, value in batch.items()}
        for batch in itertools.islice(made, count)
    ]


def same(left, right):
    return all(np.array_equal(left[name], right[name]) for name in left)


def plain(batch):
    return unmask({name: tf.constant(value) for name, value in batch.items()}).numpy()


@pytest.mark.parametrize("shuffle", [True, False])
def test_masks_after_a_resume_are_those_of_a_run_without_one(source, shuffle):
    straight = batches(source, 20, shuffle=shuffle)
    for step in (1, 11, 13):
        resumed = batches(source, 3, first=step, shuffle=shuffle)
        assert all(map(same, straight[step:], resumed))


def test_another_epoch_has_other_masks_of_the_same_tokens(source):
    """14 records a batch: an epoch is 14 batches."""
    first, second = (batches(source, 14, 14, first, shuffle=False) for first in (0, 14))
    for one, two in zip(first, second, strict=True):
        np.testing.assert_array_equal(plain(one), plain(two))
        equal = (one["masked_lm_positions"] == two["masked_lm_positions"]).all(axis=1)
        assert equal.sum() < 4


def test_seeds_differ():
    one, two = (
        batches(small.records().masked_anew(small.VOCAB, 0.15, seed), 1, shuffle=False)[0]
        for seed in (1, 2)
    )
    assert not np.array_equal(one["masked_lm_positions"], two["masked_lm_positions"])


def test_replicas_workers_and_batch_sizes_draw_the_same(source):
    (whole,) = batches(source, 1, 16)
    parts = batches(source, 2, 8)
    replicas = batches(source, 2, 16, where=context(replicas=2))
    workers = [batches(source, 1, 16, where=context(2, 2, index))[0] for index in (0, 1)]
    for split in (parts, replicas, workers):
        for name, value in whole.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in split]), value)


def test_only_words_are_masked_and_all_else_stays(source):
    untouched = small.records()
    for before, after in zip(batches(untouched, 12), batches(source, 12), strict=True):
        tokens = plain(before)
        np.testing.assert_array_equal(plain(after), tokens)
        for name in ("input_mask", "segment_ids", "next_sentence_labels", "example_weight"):
            np.testing.assert_array_equal(before[name], after[name])
        sizes = before["input_mask"].sum(axis=1)
        for row in range(16):
            positions = after["masked_lm_positions"][row]
            weights = after["masked_lm_weights"][row]
            count = int(weights.sum())
            assert count == min(10, max(1, round(int(sizes[row]) * 0.15)))
            assert weights.tolist() == [1.0] * count + [0.0] * (10 - count)
            assert not positions[count:].any()
            assert not after["masked_lm_ids"][row][count:].any()
            assert (np.diff(positions[:count]) > 0).all()
            labels = tokens[row, positions[:count]]
            np.testing.assert_array_equal(after["masked_lm_ids"][row][:count], labels)
            assert not np.isin(labels, [CLS, SEP]).any()
            assert positions[:count].max() < sizes[row]
            others = np.delete(np.arange(64), positions[:count])
            np.testing.assert_array_equal(after["input_ids"][row, others], tokens[row, others])


def test_unmasked_tokens_are_those_of_the_text():
    """What was masked offline is put back: no [MASK] is left, and a second look changes nothing."""
    batch = batches(small.records(), 12)
    assert sum((one["input_ids"] == MASK).sum() for one in batch) > 500
    assert not any((plain(one) == MASK).any() for one in batch)


def test_evaluation_keeps_the_masks_of_the_records(source):
    before, after = (
        next(iter(made.evaluation(14, 1, context()))) for made in (small.records(), source)
    )
    assert same({k: v.numpy() for k, v in before.items()}, {k: v.numpy() for k, v in after.items()})


# --- The distribution, beside the generator's own draws. ---

LENGTH, PREDICTIONS, FIRST, ROUNDS = 24, 5, 110, 4000


def offline(folder):
    """Masks that the generator draws for one sequence of 21 tokens, many times."""
    tokens = np.arange(FIRST, FIRST + 21, dtype=np.uint16)
    corpus = Corpus(tokens, np.array([0, 10, 21]), np.array([0, 2]))
    options = GenerationOptions(
        LENGTH, PREDICTIONS, dupe_factor=ROUNDS, short_seq_prob=0.0, next_sentence="order"
    )
    vocabulary = VocabularyIds.from_vocab(VOCAB)
    with Scratch(folder) as scratch:
        drawn = draw_examples(corpus, vocabulary, options, random.Random(3), scratch)
        return ExampleWriter(drawn, corpus, vocabulary, options).values(drawn.order)


def batch_of(rows):
    """The features of rows side by side."""
    names = ("input_ids", "input_mask", "segment_ids")
    batch = {name: rows[:, i * LENGTH : (i + 1) * LENGTH] for i, name in enumerate(names)}
    rest = rows[:, 3 * LENGTH :]
    batch["masked_lm_positions"] = rest[:, :PREDICTIONS]
    batch["masked_lm_ids"] = rest[:, PREDICTIONS : 2 * PREDICTIONS]
    weights = np.ascontiguousarray(rest[:, 2 * PREDICTIONS : 3 * PREDICTIONS])
    batch["masked_lm_weights"] = weights.view(np.float32)
    return batch


def counts(batch):
    """How often each position is masked, each pair of first two, and each kind of replacement."""
    used = batch["masked_lm_weights"] > 0
    rows = np.nonzero(used)[0]
    positions = batch["masked_lm_positions"][used]
    written = batch["input_ids"][rows, positions]
    labels = batch["masked_lm_ids"][used]
    kinds = np.where(written == MASK, 0, np.where(written == labels, 1, 2))
    distances = batch["masked_lm_positions"][:, 1] - batch["masked_lm_positions"][:, 0]
    return [
        np.bincount(positions, minlength=LENGTH),
        np.bincount(kinds, minlength=3),
        np.bincount(distances, minlength=LENGTH),
        np.bincount(used.sum(axis=1), minlength=PREDICTIONS + 1),
        np.bincount(written[kinds == 2] // 50, minlength=10),
    ]


def chi_squared(one, two):
    """Whether two samples are of one distribution: the statistic and its degrees of freedom."""
    seen = (one + two) > 0
    one, two = one[seen].astype(float), two[seen].astype(float)
    scale = np.sqrt(two.sum() / one.sum())
    return ((one * scale - two / scale) ** 2 / (one + two)).sum(), int(seen.sum()) - 1


def test_distribution_is_the_generators(tmp_path):
    from scipy import stats

    rows = offline(tmp_path)
    masking = DynamicMasking.for_records(
        pretraining_schema(LENGTH, PREDICTIONS), small.VOCAB, 0.15, 1
    )
    given = {name: tf.constant(value) for name, value in batch_of(rows).items()}
    anew = remask(given, tf.range(len(rows), dtype=tf.int64), masking)
    anew = {name: value.numpy() for name, value in anew.items()}
    for of_generator, of_pipeline in zip(counts(batch_of(rows)), counts(anew), strict=True):
        statistic, freedom = chi_squared(of_generator, of_pipeline)
        assert stats.chi2.sf(statistic, freedom) > 0.001 or freedom == 0
    expected = np.array([0.8, 0.1, 0.1]) * counts(anew)[1].sum()
    assert ((counts(anew)[1] - expected) ** 2 / expected).sum() < 20


# --- Refusals. ---


def test_another_vocabulary_is_refused(tmp_path):
    vocab = tmp_path / "vocab.txt"
    text = small.VOCAB.read_text(encoding="utf-8")
    records = tmp_path / "r"

    schema = small.task().schema()[0]
    with RecordWriter(records, Manifest(schema, vocab_sha256="0" * 64)) as writer:
        for record in read_records(small.RECORDS):
            writer.write(record)
    with pytest.raises(RecordError, match=r"was not made with the vocabulary .*vocab\.txt"):
        small.records(records).masked_anew(small.VOCAB, 0.15, 1)
    vocab.write_text(text + "more\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"has ids up to 484, but the config's vocab_size is 484"):
        small.records().masked_anew(vocab, 0.15, 1)
    vocab.write_text(text.replace("[MASK]", "[MOSK]"), encoding="utf-8")
    with pytest.raises(KeyError, match=r"must hold \[MASK\]"):
        small.records().masked_anew(vocab, 0.15, 1)
    with pytest.raises(RecordError, match="--masked_lm_prob must be above 0, at most 1; got 0"):
        small.records().masked_anew(small.VOCAB, 0.0, 1)


def test_fingerprint_says_it(source):
    assert source.fingerprint() != small.records().fingerprint()
    assert source.fingerprint().endswith("(196 in 1 files, masked anew (0.15))")
