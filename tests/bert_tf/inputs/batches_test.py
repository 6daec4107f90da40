"""Tables as pipelines: shares of workers and replicas, lengths, fillers."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.inputs.batches import TableSource
from bert_tf.inputs.examples import TrainingOrder
from bert_tf.inputs.records import RecordError
from bert_tf.inputs.source import EXAMPLE_WEIGHT
from tests.bert_tf.inputs.examples_test import LENGTH, table

ONE = tf.distribute.InputContext(1, 0, 1)


def training(source, context=ONE, first_batch=0, count=6):
    made = source.training(8, shuffle=True, seed=1, first_batch=first_batch, context=context)
    return [{name: values.numpy() for name, values in batch.items()} for batch in made.take(count)]


def test_batches_are_those_of_the_order_cut_to_their_longest():
    made = table(100)
    order = TrainingOrder(made, 8, shuffle=True, seed=1)
    for step, batch in enumerate(training(TableSource(made), first_batch=2), start=2):
        rows = order.batch(step)
        assert batch["label"].tolist() == rows.tolist()
        longest = int(made.lengths[rows].max())
        assert batch["input_ids"].shape == (8, min(-(-longest // 4) * 4, LENGTH))
        assert batch[EXAMPLE_WEIGHT].tolist() == [1.0] * 8


def test_workers_and_replicas_share_the_global_batch_at_one_length():
    source = TableSource(table(100))
    whole = training(source)
    parts = [training(source, tf.distribute.InputContext(2, worker, 4), 0, 12) for worker in (0, 1)]
    for step, batch in enumerate(whole):
        # Worker 0 has replicas 0 and 1 of the step, worker 1 the other two.
        shares = [*parts[0][2 * step : 2 * step + 2], *parts[1][2 * step : 2 * step + 2]]
        for name, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([s[name] for s in shares]), values)


def test_evaluation_shows_each_example_once():
    source = TableSource(table(21))
    seen = []
    for batch in source.evaluation(8, None, ONE):
        assert batch["label"].shape == (8,)
        real = batch[EXAMPLE_WEIGHT].numpy() > 0
        seen += batch["label"].numpy()[real].tolist()
    assert sorted(seen) == list(range(21))
    assert source.evaluation_batches(8, None) == 3
    assert len(list(source.evaluation(8, 2, ONE))) == source.evaluation_batches(8, 2) == 2


def test_nothing_tunes_the_pipelines():
    source = TableSource(table(21))
    made = source.training(8, shuffle=True, seed=1, first_batch=0, context=ONE)
    for dataset in (made, source.evaluation(8, None, ONE)):
        assert dataset.options().autotune.enabled is False


def test_one_length_has_static_shapes():
    source = TableSource(table(20), multiple=0)
    spec = source.evaluation(4, None, ONE).element_spec
    assert spec["input_ids"].shape == (4, LENGTH)
    assert all(len(row) == LENGTH for batch in training(source) for row in batch["input_ids"])
    assert (
        TableSource(table(20)).evaluation(4, None, ONE).element_spec["input_ids"].shape[1] is None
    )


def test_ids_outside_their_limits_and_empty_tables_are_refused():
    with pytest.raises(RecordError, match=r"label must be in \[0, 10\), but an example holds 10"):
        TableSource(table(20), limits={"label": 10})
    with pytest.raises(RecordError, match="at least one example"):
        TableSource(table(20).take(np.array([], int)))
