"""Tables of examples: which meet in a batch, how long it is, and the cache on disk."""

import numpy as np
import pytest

from bert_tf.inputs import examples
from bert_tf.inputs.examples import ExampleTable, TrainingOrder
from bert_tf.inputs.records import Feature, RecordError, RecordSchema

LENGTH = 12
SEQUENCES = ("input_ids", "input_mask")
SCHEMA = RecordSchema(
    (
        Feature("input_ids", "int64", LENGTH),
        Feature("input_mask", "int64", LENGTH),
        Feature("label", "int64", 1),
        Feature("weight", "float", 1),
    )
)


def table(count: int = 50, seed: int = 0) -> ExampleTable:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, LENGTH + 1, [count, 1])
    mask = (np.arange(LENGTH) < lengths).astype(int)
    return ExampleTable.build(
        {
            "input_ids": random.integers(1, 30000, [count, LENGTH]) * mask,
            "input_mask": mask,
            "label": np.arange(count),
            "weight": np.arange(count) / 2,
        },
        SEQUENCES,
    )


def same(left: ExampleTable, right: ExampleTable) -> bool:
    return (
        left.columns.keys() == right.columns.keys()
        and all(np.array_equal(left.columns[name], right.columns[name]) for name in left.columns)
        and np.array_equal(left.lengths, right.lengths)
        and left.sequences == right.sequences
    )


def test_lengths_are_those_of_the_masks_and_types_are_small():
    made = table()
    np.testing.assert_array_equal(made.lengths, made.columns["input_mask"].sum(axis=1))
    kinds = {name: values.dtype.name for name, values in made.columns.items()}
    assert kinds == {
        "input_ids": "uint16",
        "input_mask": "uint8",
        "label": "uint8",
        "weight": "float32",
    }


def test_a_mask_with_holes_counts_to_its_last_token():
    made = ExampleTable.build({"input_mask": [[[1, 0, 0], [0, 1, 0]]]}, ["input_mask"])
    assert made.lengths.tolist() == [2]


def test_negative_values_are_kept():
    made = ExampleTable.build({"input_mask": [[1]], "label": [-100]}, ["input_mask"])
    assert made.batch(np.array([0]), 1)["label"].tolist() == [-100]


@pytest.mark.parametrize(
    "columns", [{"input_mask": [[1]], "label": [1, 2]}, {"label": [1]}], ids=["uneven", "no mask"]
)
def test_columns_that_do_not_fit_are_refused(columns):
    with pytest.raises(RecordError, match="one number of examples, and input_mask be among them"):
        ExampleTable.build(columns, [])


def test_a_batch_is_cut_to_its_length():
    made = table()
    rows = np.array([3, 7])
    batch = made.batch(rows, 5)
    np.testing.assert_array_equal(batch["input_ids"], made.columns["input_ids"][rows, :5])
    assert batch["label"].tolist() == [3, 7]
    assert {values.dtype.name for values in batch.values()} == {"int32", "float32"}


@pytest.mark.parametrize(
    ("lengths", "multiple", "expected"), [([3, 5], 4, 8), ([8], 4, 8), ([9], 4, 10), ([1], 1, 1)]
)
def test_length_of_a_batch(lengths, multiple, expected):
    assert examples.batch_length(np.array(lengths), multiple, 10) == expected


@pytest.mark.parametrize("count", [50, 7, 1000])
def test_every_epoch_holds_every_example_once(count):
    order = TrainingOrder(table(count), 8, shuffle=True, seed=3)
    group = examples.BATCHES_SORTED_TOGETHER * 8
    seen = np.concatenate([order.batch(step) for step in range(group // 8 * 2)])
    assert len(seen) == 2 * group
    # Whole epochs lie in a group up to the two that its ends cut.
    counts = np.bincount(seen, minlength=count)
    assert counts.max() - counts.min() <= 1
    first = np.concatenate([order.batch(step) for step in range(group // 8)])
    assert not np.array_equal(first, seen[group:])


def test_order_is_a_function_of_seed_and_step():
    made = table(300)
    forwards = [TrainingOrder(made, 8, shuffle=True, seed=3).batch(step) for step in range(100)]
    order = TrainingOrder(made, 8, shuffle=True, seed=3)
    for step in (99, 5, 64, 63, 0):
        np.testing.assert_array_equal(order.batch(step), forwards[step])
    other = TrainingOrder(made, 8, shuffle=True, seed=4)
    assert not np.array_equal(other.batch(0), forwards[0])


def test_batches_hold_similar_lengths_in_random_order():
    made = table(2000)
    order = TrainingOrder(made, 8, shuffle=True, seed=1)
    lengths = np.stack([made.lengths[order.batch(step)] for step in range(64)])
    spread = np.ptp(lengths, axis=1).mean()
    assert spread < 1.5 < np.ptp(made.lengths[:8])
    means = lengths.mean(axis=1)
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.5


def test_without_shuffling_examples_come_as_they_are():
    order = TrainingOrder(table(5), 2, shuffle=False, seed=0)
    assert [order.batch(step).tolist() for step in range(4)] == [[0, 1], [2, 3], [4, 0], [1, 2]]


def test_evaluation_takes_the_longest_first():
    made = table()
    order = examples.evaluation_order(made)
    assert sorted(order) == list(range(50))
    assert (np.diff(made.lengths[order]) <= 0).all()


def test_cache_is_read_back_and_made_anew_for_another_key(tmp_path):
    path, calls = tmp_path / "out" / "train.tf_record", []

    def make(count):
        calls.append(count)
        return table(count)

    def cached(key, count):
        return examples.cached(path, SCHEMA, SEQUENCES, {"key": key}, lambda: make(count))

    assert same(cached("a", 2500), table(2500))
    assert same(cached("a", 3), table(2500))
    assert same(cached("b", 3), table(3))
    assert calls == [2500, 3]


def test_cache_keeps_examples_of_several_sequences(tmp_path):
    schema = RecordSchema((Feature("input_mask", "int64", 3 * 4), Feature("label", "int64", 1)))
    made = ExampleTable.build(
        {"input_mask": np.ones([5, 3, 4], int), "label": np.arange(5)}, ["input_mask"]
    )
    for _ in range(2):
        again = examples.cached(tmp_path / "x", schema, ["input_mask"], {}, lambda: made)
        assert same(again, made)


def test_a_damaged_cache_is_an_error(tmp_path):
    path = tmp_path / "train.tf_record"
    examples.cached(path, SCHEMA, SEQUENCES, {}, table)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(RecordError):
        examples.cached(path, SCHEMA, SEQUENCES, {}, table)


def test_tables_are_joined_and_told_apart():
    left, right = table(3), table(4, seed=1)
    joined = ExampleTable.concatenate([left, right])
    assert same(joined.take(np.arange(3)), left)
    assert same(joined.take(np.arange(3, 7)), right)
    assert joined.fingerprint() != left.fingerprint()
    assert table(3).fingerprint() == left.fingerprint()
    with pytest.raises(ValueError, match="At least one table"):
        ExampleTable.concatenate([])
