"""The pretraining task: losses, totals, metrics, limits."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.tasks import TASKS, PretrainingTask
from bert_tf.tasks.pretraining import WEIGHT_EPSILON
from tests.conformance.cases import TINY
from tests.support import small

SIZE, LENGTH, PREDICTIONS = 4, 12, 3


@pytest.fixture(scope="module")
def task():
    return PretrainingTask(TINY, LENGTH, PREDICTIONS, seed=1)


@pytest.fixture(scope="module")
def model(task):
    return task.build_model()


@pytest.fixture
def batch():
    drawn = small.batch(SIZE, LENGTH, PREDICTIONS, TINY.vocab_size)
    draw = np.random.default_rng(5)
    arrays = {
        "input_ids": drawn["input_word_ids"],
        "input_mask": drawn["input_mask"],
        "segment_ids": drawn["input_type_ids"],
        "masked_lm_positions": drawn["masked_lm_positions"],
        "masked_lm_ids": draw.integers(0, TINY.vocab_size, [SIZE, PREDICTIONS]).astype("int32"),
        "masked_lm_weights": (draw.random([SIZE, PREDICTIONS]) < 0.7).astype("float32"),
        "next_sentence_labels": draw.integers(0, 2, [SIZE, 1]).astype("int32"),
        "example_weight": np.ones([SIZE], "float32"),
    }
    return {name: tf.constant(value) for name, value in arrays.items()}


def losses(task, model, batch, totals=None):
    loss, sums = task.loss(model, batch, totals or task.totals(batch), None)
    return float(loss), {name: float(value) for name, value in sums.items()}


def test_loss_is_the_originals_formula(task, model, batch):
    outputs = model(
        {
            "input_word_ids": batch["input_ids"],
            "input_mask": batch["input_mask"],
            "input_type_ids": batch["segment_ids"],
            "masked_lm_positions": batch["masked_lm_positions"],
        }
    )
    logits = np.asarray(outputs["mlm_logits"], "float64")
    each = np.log(np.exp(logits).sum(-1)) - np.take_along_axis(
        logits, batch["masked_lm_ids"].numpy()[..., None], -1
    ).squeeze(-1)
    weights = batch["masked_lm_weights"].numpy()
    follows = np.asarray(outputs["nsp_logits"], "float64")
    labels = batch["next_sentence_labels"].numpy()
    other = np.log(np.exp(follows).sum(-1)) - np.take_along_axis(follows, labels, -1)[:, 0]
    expected = (each * weights).sum() / (weights.sum() + WEIGHT_EPSILON) + other.mean()
    loss, sums = losses(task, model, batch)
    assert loss == pytest.approx(expected, abs=1e-5)
    assert sums.keys() == set(task.sum_names)
    hits = (logits.argmax(-1) == batch["masked_lm_ids"].numpy()) * weights
    assert sums["masked_lm_correct"] == hits.sum()
    assert sums["masked_lm_weight"] == weights.sum()
    assert (sums["examples"], sums["next_sentence_correct"]) == (
        SIZE,
        (follows.argmax(-1) == labels[:, 0]).sum(),
    )


def test_parts_of_a_batch_add_up_to_the_whole(task, model, batch):
    totals = task.totals(batch)
    whole, sums = losses(task, model, batch, totals)
    parts = [
        losses(task, model, {n: v[i : i + 1] for n, v in batch.items()}, totals)
        for i in range(SIZE)
    ]
    assert sum(loss for loss, _ in parts) == pytest.approx(whole, rel=1e-5)
    for name, value in sums.items():
        assert sum(more[name] for _, more in parts) == pytest.approx(value, rel=1e-5)


def test_examples_without_weight_count_nothing(task, model, batch):
    only = {name: value[:2] for name, value in batch.items()}
    filled = {**batch, "example_weight": tf.constant([1.0, 1.0, 0.0, 0.0])}
    assert losses(task, model, filled)[0] == pytest.approx(losses(task, model, only)[0], rel=1e-5)
    assert losses(task, model, filled)[1] == pytest.approx(losses(task, model, only)[1], rel=1e-5)


def test_a_batch_without_predictions_has_a_finite_loss(task, model, batch):
    loss, sums = losses(task, model, {**batch, "masked_lm_weights": tf.zeros([SIZE, PREDICTIONS])})
    assert np.isfinite(loss)
    assert sums["masked_lm_loss"] == 0.0
    metrics = task.metrics(sums)
    assert (metrics["masked_lm_loss"], metrics["masked_lm_accuracy"]) == (0.0, 0.0)
    assert all(np.isfinite(list(task.metrics(dict.fromkeys(task.sum_names, 0.0)).values())))


def test_records_longer_than_the_positions_are_refused():
    with pytest.raises(ValueError, match=r"--max_seq_length is 17, but .* = 16\. Make sequences"):
        PretrainingTask(TINY, 17, 3)


def test_schema_and_limits(task):
    schema, limits = task.schema()
    assert {feature.name: feature.length for feature in schema.features} == {
        "input_ids": LENGTH,
        "input_mask": LENGTH,
        "segment_ids": LENGTH,
        "masked_lm_positions": PREDICTIONS,
        "masked_lm_ids": PREDICTIONS,
        "masked_lm_weights": PREDICTIONS,
        "next_sentence_labels": 1,
    }
    assert limits == {
        "input_ids": 30,
        "segment_ids": 2,
        "masked_lm_positions": 12,
        "masked_lm_ids": 30,
        "next_sentence_labels": 2,
    }


def test_the_table_of_tasks():
    assert dict(TASKS) == {"pretraining": PretrainingTask}
