"""Records in bulk: the same examples and checksums as one by one."""

import numpy as np
import pytest

from bert_tf.inputs.frame_layout import WORD
from bert_tf.inputs.frames import FrameEncoder
from bert_tf.inputs.records import (
    Feature,
    Manifest,
    RecordError,
    RecordSchema,
    RecordWriter,
    pretraining_schema,
    read_manifest,
    read_records,
)

LARGEST = 2**31 - 1


def columns_of(schema, rows):
    """The rows as `encode_rows` wants them."""
    columns, at = {}, 0
    for feature in schema.features:
        values = rows[:, at : at + feature.length]
        columns[feature.name] = values.view(np.float32) if feature.kind == "float" else values
        at += feature.length
    return columns


def random_rows(schema, rng, count):
    rows = np.concatenate(
        [rng.integers(0, rng.choice([2, 128, 30522, 2**21 + 5, LARGEST]), (count, feature.length))
         for feature in schema.features], axis=1,
    ).astype(np.int32)  # fmt: skip
    rows[0], rows[1] = 0, LARGEST
    rows[2] = rng.choice(
        [127, 128, 2**14 - 1, 2**14, 2**21 - 1, 2**21, 2**28 - 1, 2**28], rows.shape[1]
    )
    return np.ascontiguousarray(rows)


SCHEMAS = {
    "smallest": pretraining_schema(5, 1),
    "base": pretraining_schema(128, 20),
    "long": pretraining_schema(512, 77),
    "one": RecordSchema((Feature("a", "int64", 1),)),
    "floats": RecordSchema((Feature("x" * 200, "float", 40), Feature("y", "float", 1))),
    "wide": RecordSchema((Feature("wide", "int64", 70000),)),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_equal_to_one_by_one(tmp_path, name):
    schema = SCHEMAS[name]
    rows = random_rows(schema, np.random.default_rng(0), 40)
    with RecordWriter(tmp_path / "bulk", Manifest(schema)) as writer:
        for part in (rows[:7], rows[7:7], rows[7:]):
            writer.write_frames(FrameEncoder(schema).encode(part).data, len(part))
    assert read_manifest(tmp_path / "bulk").records == 40
    single = schema.encode_rows(columns_of(schema, rows))
    bulk = list(read_records(tmp_path / "bulk"))  # checks every checksum
    for expected, got in zip(single, bulk, strict=True):
        assert len(got) == len(expected)
        expected, got = schema.decode(expected), schema.decode(got)
        for feature in schema.features:
            assert got[feature.name].tobytes() == expected[feature.name].tobytes()


def test_tensorflow_reads_it(tmp_path):
    import tensorflow as tf

    schema = SCHEMAS["smallest"]
    rows = random_rows(schema, np.random.default_rng(1), 5)
    path = tmp_path / "r"
    path.write_bytes(FrameEncoder(schema).encode(rows).tobytes())
    records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    assert len(records) == 5
    for row, record in zip(rows, records, strict=True):
        feature = tf.train.Example.FromString(record).features.feature
        assert list(feature["input_ids"].int64_list.value) == row[:5].tolist()
        assert list(feature["next_sentence_labels"].int64_list.value) == row[-1:].tolist()


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**28 - 1, LARGEST])
def test_nothing_is_written_behind_the_room_for_frames(name, number):
    """Words are stored unchecked, and what is behind the last one is not ours."""
    encoder = FrameEncoder(SCHEMAS[name])
    rows = np.full((3, encoder.width), number, np.int32)
    size = len(encoder.encode(rows))
    assert size <= len(rows) * encoder._most_bytes
    buffer = np.full(size + WORD + 64, 0xEE, np.uint8)
    starts, ends = np.empty((2, len(rows)), np.int64)
    assert encoder._write(rows.view(np.uint32).reshape(-1), buffer, starts, ends) == size
    assert (buffer[size + WORD :] == 0xEE).all()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((2, 3), np.int32), r"Rows must have 1 numbers, .* got shape \[2, 3\]"),
        (np.zeros(1, np.int32), r"got shape \[1\]"),
        (np.array([[2**40]]), "Rows must be int32, but are int64"),
        (np.array([[1], [0], [-1]], np.int32), "Row 2 holds a negative number"),
    ],
)
def test_refusals(rows, message):
    with pytest.raises(RecordError, match=message):
        FrameEncoder(SCHEMAS["one"]).encode(rows)
