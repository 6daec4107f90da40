"""Pipelines whose position is a function of the step; epochs; limits; shares of workers."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.inputs import datasets
from bert_tf.inputs.records import Feature, Manifest, RecordError, RecordSchema, RecordWriter
from tests.support import small  # noqa: F401  (two devices before TensorFlow starts)

SCHEMA = RecordSchema((Feature("id", "int64", 1), Feature("weight", "float", 2)))
LIMIT = 100


def write(path, numbers) -> None:
    with RecordWriter(path) as writer:
        for number in numbers:
            writer.write(SCHEMA.encode({"id": [number], "weight": [number, 0.5]}))


@pytest.fixture
def source(tmp_path):
    """23 records in three files."""
    for name, numbers in (("a", range(10)), ("b", range(10, 13)), ("c", range(13, 23))):
        write(tmp_path / name, numbers)
    names = ",".join(str(tmp_path / name) for name in "abc")
    return datasets.open_records(names, SCHEMA, {"id": LIMIT})


def ids(batch) -> list[int]:
    return [int(SCHEMA.decode(record)["id"][0]) for record in batch.numpy()]


def batches(source, count, size=4, first=0, shuffle=True, seed=1) -> list[list[int]]:
    made = datasets.training_batches(source, size, shuffle=shuffle, seed=seed, first_batch=first)
    return [ids(batch) for batch in itertools.islice(made, count)]


def test_counts(source):
    assert (source.size, source.counts) == (23, (10, 3, 10))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("first", [1, 5, 6, 11, 23])
def test_position_is_a_function_of_the_step(source, shuffle, first):
    straight = batches(source, first + 3, shuffle=shuffle)
    assert batches(source, 3, first=first, shuffle=shuffle) == straight[first:]


def test_file_order_takes_whole_batches_and_begins_again(source):
    taken = batches(source, 7, shuffle=False)
    assert taken[:5] == [list(range(4 * i, 4 * i + 4)) for i in range(5)]
    assert taken[5] == taken[0]  # the last three records fill no batch


def test_shuffled_epochs_hold_every_record_once_and_differ(source):
    stream = list(itertools.chain(*batches(source, 23)))  # 4 epochs of 23
    epochs = [stream[23 * i : 23 * i + 23] for i in range(4)]
    assert all(sorted(epoch) == list(range(23)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4
    assert epochs[0] != list(range(23))


def test_order_depends_on_the_seed_alone(source):
    assert batches(source, 6) == batches(source, 6)
    assert batches(source, 6) != batches(source, 6, seed=2)


def test_a_batch_larger_than_the_data_is_refused(source):
    with pytest.raises(
        RecordError, match=r"takes 24 records \(--train_batch_size\) .* only 23\. .* or shuffle"
    ):
        batches(source, 1, size=24, shuffle=False)


def test_shuffled_batches_may_be_larger_than_the_data(source):
    stream = list(itertools.chain(*batches(source, 2, size=46)))
    assert all(sorted(stream[i : i + 23]) == list(range(23)) for i in range(0, 92, 23))
    assert batches(source, 1, size=46, first=1) == [stream[46:]]


def test_fingerprint_tells_names_counts_and_order(tmp_path, source):
    def of(*names):
        paths = ",".join(str(tmp_path / name) for name in names)
        return datasets.open_records(paths, SCHEMA, {"id": LIMIT}).fingerprint()

    assert of("a", "b", "c") == source.fingerprint()
    assert source.fingerprint().endswith(" (23 in 3 files)")
    assert len({of("a", "b", "c"), of("b", "a", "c"), of("a", "c")}) == 3
    before = of("b")
    write(tmp_path / "b", range(4))
    assert of("b") != before


def test_manifests_that_know_no_vocabulary_are_no_contradiction(tmp_path):
    for name, digest in (("a", "x"), ("b", None), ("c", "y")):
        with RecordWriter(tmp_path / name, Manifest(SCHEMA, vocab_sha256=digest)) as writer:
            writer.write(SCHEMA.encode({"id": [1], "weight": [1, 0.5]}))
    paths = [str(tmp_path / name) for name in "abc"]
    assert datasets.open_records(",".join(paths[:2]), SCHEMA, {"id": LIMIT}).size == 2
    with pytest.raises(RecordError, match=r"with one vocabulary, but these were not: .*/a, .*/c\."):
        datasets.open_records(",".join(paths), SCHEMA, {"id": LIMIT})


def shares(source, made, workers: int, replicas: int) -> list[list[dict]]:
    """Parsed parts by worker."""
    return [
        list(
            itertools.islice(
                datasets.share_of_worker(
                    made, source, tf.distribute.InputContext(workers, worker, replicas)
                ),
                3 * replicas // workers,
            )
        )
        for worker in range(workers)
    ]


@pytest.mark.parametrize(("workers", "replicas"), [(1, 1), (1, 2), (2, 2), (2, 4)])
def test_workers_share_the_global_batches(source, workers, replicas):
    whole = batches(source, 3)
    made = datasets.training_batches(source, 4, shuffle=True, seed=1, first_batch=0)
    parts = shares(source, made, workers, replicas)
    local = replicas // workers
    for number, batch in enumerate(whole):
        got = [
            int(value)
            for worker in parts
            for part in worker[number * local : (number + 1) * local]
            for value in part["id"][:, 0]
        ]
        assert got == batch
    first = parts[0][0]
    assert {name: value.dtype for name, value in first.items()} == {
        "id": tf.int32,
        "weight": tf.float32,
        "example_weight": tf.float32,
    }


@pytest.mark.parametrize(("size", "most", "count"), [(4, None, 6), (23, None, 1), (4, 2, 2)])
def test_evaluation_counts_each_example_once(source, size, most, count):
    made = datasets.evaluation_batches(source, size, most)
    number = source.evaluation_batches(size, most)
    assert number == count
    made = datasets.share_of_worker(made, source, tf.distribute.InputContext(1, 0, 1))
    assert made.options().autotune.enabled is False
    parts = list(made)
    assert len(parts) == count
    seen = [
        int(value)
        for part in parts
        for value, weight in zip(part["id"][:, 0], part["example_weight"], strict=True)
        if weight == 1.0
    ]
    assert seen == list(range(min(23, count * size)))
    weights = np.concatenate([part["example_weight"] for part in parts])
    assert set(weights) <= {0.0, 1.0}
    assert len(weights) == count * size


# --- Faults ---


@pytest.mark.parametrize("bad", [LIMIT, -1])
def test_an_id_outside_its_limits_is_named(tmp_path, bad):
    write(tmp_path / "a", [1, 2])
    write(tmp_path / "b", [3, bad, 4])
    good_first = datasets.open_records(str(tmp_path / "*"), SCHEMA, {"id": LIMIT})
    made = datasets.evaluation_batches(good_first, 5, None)
    (batch,) = made
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"id must be in \[0, 100\)"):
        datasets.parse_batch(batch, good_first)
    fault = good_first.find_fault()
    assert str(fault).startswith(
        f"{tmp_path / 'b'}, record 1: id must be in [0, 100), but holds {bad}. Use the config"
    )
    write(tmp_path / "c", [bad])
    with pytest.raises(RecordError, match=r"c, record 0: id must be in"):
        datasets.open_records(str(tmp_path / "*"), SCHEMA, {"id": LIMIT})


def test_no_fault_is_found_in_good_records(source):
    assert source.find_fault() is None
