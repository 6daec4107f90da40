"""Record schema, wire format, files, manifests: what is written is read, what is torn is named."""

import contextlib
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf.inputs import example_proto
from bert_tf.inputs.records import (
    Feature,
    Manifest,
    RecordError,
    RecordSchema,
    RecordWriter,
    count_records,
    find_record_files,
    manifest_path,
    match_files,
    pretraining_schema,
    read_manifest,
    read_records,
    verify_count,
    write_together,
)

SCHEMA = RecordSchema((Feature("ids", "int64", 4), Feature("weights", "float", 2)))
INT64 = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 300),
    st.sampled_from([127, 128, 16383, 16384, 2**21, 2**28, 2**32 - 1, 2**32, 2**35, -1]),
)
GOLDENS = Path(__file__).parents[2] / "goldens"


def record(number: int) -> bytes:
    return SCHEMA.encode({"ids": [number, 1, 2, 3], "weights": [0.5, 1.0]})


def write(path: Path, count: int, manifest: Manifest | None = None) -> list[bytes]:
    records = [record(number * 100) for number in range(count)]
    with RecordWriter(path, manifest) as writer:
        for each in records:
            writer.write(each)
    return records


@given(
    st.lists(INT64, min_size=4, max_size=4), st.lists(st.floats(width=32), min_size=2, max_size=2)
)
def test_encode_then_decode_gives_the_values(ids, weights):
    values = SCHEMA.decode(SCHEMA.encode({"ids": ids, "weights": weights}))
    assert values["ids"].dtype == np.int64
    assert values["ids"].tolist() == ids
    np.testing.assert_array_equal(values["weights"], np.array(weights, np.float32))


def test_tensorflow_reads_what_we_encode_and_we_decode_what_it_writes():
    import tensorflow as tf

    rng = np.random.default_rng(0)
    rows = {
        "ids": np.concatenate([rng.integers(-(2**63), 2**63 - 1, (9, 4)), [[0, 127, 128, -1]]]),
        "weights": rng.standard_normal((10, 2)).astype(np.float32),
    }
    for index, encoded in enumerate(SCHEMA.encode_rows(rows)):
        example = tf.train.Example.FromString(encoded)
        features = example.features.feature
        assert set(features) == {"ids", "weights"}
        assert list(features["ids"].int64_list.value) == rows["ids"][index].tolist()
        assert list(features["weights"].float_list.value) == rows["weights"][index].tolist()
        back = SCHEMA.decode(example.SerializeToString())
        assert back["ids"].tolist() == rows["ids"][index].tolist()


def test_tensorflow_reads_our_file(tmp_path):
    import tensorflow as tf

    records = write(tmp_path / "r", 5)
    assert list(tf.data.TFRecordDataset(str(tmp_path / "r")).as_numpy_iterator()) == records


def test_rows_and_single_records_encode_alike():
    ids = np.array([[1, 2, 3, 4], [5, 500, 50000, 5000000]])
    weights = np.array([[0.0, 1.0], [2.0, 3.0]], np.float32)
    rows = SCHEMA.encode_rows({"ids": ids, "weights": weights})
    for index, row in enumerate(rows):
        single = SCHEMA.decode(SCHEMA.encode({"ids": ids[index], "weights": weights[index]}))
        assert {k: v.tolist() for k, v in single.items()} == {
            k: v.tolist() for k, v in SCHEMA.decode(row).items()
        }


def test_long_records_get_a_long_length():
    schema = RecordSchema((Feature("ids", "int64", 40000),))
    values = np.arange(40000)
    np.testing.assert_array_equal(schema.decode(schema.encode({"ids": values}))["ids"], values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ids": [1, 2, 3, 4]}, "Feature 'weights' is missing; a record needs its 2 float values."),
        (
            {"ids": [1], "weights": [1.0, 1.0]},
            r"'ids' must hold 4 values a record; got shape \[1\]",
        ),
        ({"ids": [1.5] * 4, "weights": [1.0, 1.0]}, "'ids' must hold integers .* got float64"),
        ({"ids": [1] * 4, "weights": [1.0] * 2, "x": [1]}, r"no feature \['x'\]; it has \['ids'"),
    ],
)
def test_encode_refuses(values, message):
    with pytest.raises(RecordError, match=message):
        SCHEMA.encode(values)


def test_encode_refuses_columns_of_different_rows():
    with pytest.raises(RecordError, match=r"one number of rows; got \[1, 2\]"):
        SCHEMA.encode_rows({"ids": np.zeros((1, 4), int), "weights": np.zeros((2, 2))})


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ([Feature("ids", "int64", 5)], "'ids' must hold 5 values; the record has 4"),
        ([Feature("ids", "float", 4)], "'ids' must be of kind float; the record has int64"),
        ([Feature("other", "int64", 4)], r"no feature 'other'; it has \['ids', 'weights'\]"),
    ],
)
def test_decode_refuses_another_schema(features, message):
    with pytest.raises(RecordError, match=message):
        RecordSchema(tuple(features)).decode(record(1))


@pytest.mark.parametrize("cut", [1, 5, 17, 30])
def test_decode_refuses_torn_bytes(cut):
    with pytest.raises(RecordError, match=r"not a tf\.train\.Example"):
        SCHEMA.decode(record(1)[:-cut])


@given(st.data())
def test_decode_refuses_whatever_is_no_example(data):
    """Any bytes, and any damage to a real record: values or a RecordError, nothing else."""
    whole = record(7)
    at = data.draw(st.integers(0, len(whole)))
    raw = (
        whole[:at] + data.draw(st.binary(max_size=12)) + whole[at + data.draw(st.integers(0, 9)) :]
    )
    with contextlib.suppress(RecordError):
        assert SCHEMA.decode(raw).keys() == {"ids", "weights"}


def test_decode_refuses_numbers_too_large_for_a_float():
    numbers = example_proto.tagged(2, b"\x08" + example_proto.varint(2**32) + b"\x08\x00")
    entry = example_proto.tagged(1, b"weights") + example_proto.tagged(2, numbers)
    raw = example_proto.tagged(1, example_proto.tagged(1, entry))
    with pytest.raises(RecordError, match="a float takes more than 32 bits"):
        RecordSchema((Feature("weights", "float", 2),)).decode(raw)


def test_decode_reads_bytes_lists_and_unpacked_numbers():
    unpacked = example_proto.tagged(3, b"\x08\x07\x08\xac\x02")  # two values, a tag each
    entry = example_proto.tagged(1, b"n") + example_proto.tagged(2, unpacked)
    text = example_proto.tagged(1, example_proto.tagged(1, b"hi"))
    other = example_proto.tagged(1, b"t") + example_proto.tagged(2, text)
    raw = example_proto.tagged(1, example_proto.tagged(1, entry) + example_proto.tagged(1, other))
    found = example_proto.parse_example(raw)
    assert found["n"][1].tolist() == [7, 300]
    assert found["t"] == ("bytes", [b"hi"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a", "int32", 1), 'kind \'int32\'; use "int64" or "float"'),
        (("a", "int64", 0), "length 0"),
    ],
)
def test_feature_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Feature(*arguments)


def test_schema_refuses_a_name_twice():
    with pytest.raises(ValueError, match=r"\['a'\] stand twice"):
        RecordSchema((Feature("a", "int64", 1), Feature("a", "float", 1)))


def test_pretraining_schema_reads_the_original_records():
    schema = pretraining_schema(64, 10)
    records = list(read_records(GOLDENS / "records" / "default.tfrecord"))
    assert len(records) == 196 == count_records(GOLDENS / "records" / "default.tfrecord")
    values = schema.decode(records[0])
    assert [*values] == [feature.name for feature in schema.features]
    assert values["input_ids"][0] == 2  # [CLS]
    assert values["masked_lm_weights"].dtype == np.float32


def test_files_round_trip(tmp_path):
    records = write(tmp_path / "r", 7)
    assert list(read_records(tmp_path / "r")) == records
    assert count_records(tmp_path / "r") == verify_count(tmp_path / "r") == 7
    assert os.listdir(tmp_path) == ["r"]


def frames(path: Path) -> list[int]:
    """Where each frame starts."""
    data, starts, at = path.read_bytes(), [], 0
    while at < len(data):
        starts.append(at)
        at += 16 + struct.unpack_from("<Q", data, at)[0]
    return starts


@pytest.mark.parametrize("reader", [lambda path: list(read_records(path)), count_records])
@pytest.mark.parametrize(
    ("damage", "rule"),
    [
        (lambda data, at: data[: at + 5], "a header has 12 bytes, the file ends after 5"),
        (lambda data, at: data[: at + 20], "bytes, the file has room for 4"),
        (
            lambda data, at: data[:at] + b"\xff" + data[at + 1 :],
            "the checksum of its length does not match",
        ),
    ],
)
def test_damage_is_named(tmp_path, damage, rule, reader):
    path = tmp_path / "r"
    write(path, 4)
    at = frames(path)[2]
    path.write_bytes(damage(path.read_bytes(), at))
    with pytest.raises(RecordError) as caught:
        reader(path)
    assert f"{path}: record 2 at byte {at}: " in str(caught.value)
    assert rule in str(caught.value)


def test_a_flipped_bit_of_a_payload_is_named(tmp_path):
    path = tmp_path / "r"
    write(path, 4)
    data = bytearray(path.read_bytes())
    data[frames(path)[1] + 20] ^= 4
    path.write_bytes(data)
    with pytest.raises(RecordError, match=r"record 1 at byte .* checksum of its bytes"):
        list(read_records(path))


def test_an_impossible_length_does_not_allocate(tmp_path):
    from bert_tf.inputs.record_files import _masked_crc

    length = struct.pack("<Q", 2**60)
    (tmp_path / "r").write_bytes(length + _masked_crc(length) + b"abc")
    with pytest.raises(RecordError, match="should have 1152921504606846976 bytes"):
        list(read_records(tmp_path / "r"))


def test_manifest_tells_a_cut_at_a_record_boundary(tmp_path):
    path = tmp_path / "r"
    manifest = Manifest(SCHEMA, 100, "ab", True, 7, {"x": 1})
    write(path, 100, manifest)
    read = read_manifest(path)
    assert read is not None
    assert (read.records, read.size, read.schema, read.vocab_size, read.flags) == (
        100, path.stat().st_size, SCHEMA, 100, {"x": 1},
    )  # fmt: skip
    path.write_bytes(path.read_bytes()[: frames(path)[90]])
    with pytest.raises(RecordError, match=r"holds 90 of 100 records that its manifest \(\.r\.man"):
        verify_count(path)


def test_verify_refuses_empty_replaced_and_unreadable(tmp_path):
    path = tmp_path / "r"
    path.touch()
    with pytest.raises(RecordError, match="holds no records"):
        verify_count(path)
    write(path, 3, Manifest(SCHEMA))
    with path.open("r+b") as file:
        data = file.read()
    write(tmp_path / "other", 2)
    longer = SCHEMA.encode({"ids": [2**40] * 4, "weights": [0, 0]})
    with RecordWriter(tmp_path / "longer") as writer:
        for _ in range(3):
            writer.write(longer)
    path.write_bytes((tmp_path / "longer").read_bytes())
    with pytest.raises(RecordError, match=f"its manifest says {len(data)}: the file was replaced"):
        verify_count(path)
    manifest_path(path).write_text('{"version": 1, "records": 3')
    with pytest.raises(RecordError, match=r"\.r\.manifest\.json: not a manifest"):
        verify_count(path)


def test_no_manifest_is_none_and_globs_do_not_meet_it(tmp_path):
    write(tmp_path / "a.tfrecord", 1)
    assert read_manifest(tmp_path / "a.tfrecord") is None
    write(tmp_path / "b.tfrecord", 1, Manifest(SCHEMA))
    assert manifest_path(tmp_path / "b.tfrecord").exists()
    found = find_record_files(f"{tmp_path}/*")
    assert [Path(name).name for name in found] == ["a.tfrecord", "b.tfrecord"]


def test_a_new_file_without_manifest_loses_the_old_one(tmp_path):
    write(tmp_path / "r", 3, Manifest(SCHEMA))
    write(tmp_path / "r", 2)
    assert verify_count(tmp_path / "r") == 2


def test_nothing_appears_after_an_exception(tmp_path):
    write(tmp_path / "b", 1)
    before = (tmp_path / "b").read_bytes()

    def failing() -> None:
        with write_together([tmp_path / "a", tmp_path / "b"]) as writers:
            writers[0].write(record(0))
            raise KeyError

    with pytest.raises(KeyError):
        failing()
    assert os.listdir(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == before


def test_a_second_writer_is_refused_and_a_stale_partial_replaced(tmp_path):
    (tmp_path / ".r.partial").write_bytes(b"left by a killed run, and longer than a record" * 9)
    with RecordWriter(tmp_path / "r") as writer:
        with pytest.raises(RecordError, match="another writer has this output open"):
            RecordWriter(tmp_path / "r")
        writer.write(record(0))
    assert list(read_records(tmp_path / "r")) == [record(0)]


def test_a_directory_is_refused_at_once(tmp_path):
    with pytest.raises(RecordError, match="is a directory, but records go to one file"):
        RecordWriter(tmp_path)


def test_find_keeps_pattern_order_and_names_what_matches_nothing(tmp_path):
    for name in ("b1", "b0", "a0"):
        (tmp_path / name).touch()
    (tmp_path / "b_folder").mkdir()
    patterns = f"{tmp_path}/b*,{tmp_path}/a?,{tmp_path}/b1"
    names = [Path(name).name for name in find_record_files(patterns)]
    assert names == ["b0", "b1", "a0"]
    assert [Path(name).name for name in match_files(patterns)] == ["b0", "b1", "a0", "b1"]
    with pytest.raises(RecordError, match=r"No file matches '/nowhere/\*'"):
        find_record_files([f"{tmp_path}/a0", "/nowhere/*"])


def test_no_tensorflow_is_imported():
    code = "import sys, bert_tf.inputs.records; sys.exit('tensorflow' in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_frames_are_synced_while_they_are_written(tmp_path, monkeypatch):
    synced, sync, path = [], os.fsync, tmp_path / "r"

    def watched(descriptor):
        synced.append(os.fstat(descriptor).st_size)
        sync(descriptor)

    monkeypatch.setattr("bert_tf.files.os.fsync", watched)
    frames = bytes(range(256)) * (12 << 10)
    with RecordWriter(path) as writer:
        for _ in range(4):
            writer.write_frames(memoryview(frames), 1)
        writer.finish()
        assert len(synced) >= 2
        assert synced[-1] == 4 * len(frames)
    assert path.read_bytes() == 4 * frames


def test_no_file_appears_after_an_early_sync_has_failed(tmp_path, monkeypatch):
    calls = []

    def once_full(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:  # the system tells of an error once
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("bert_tf.files.os.fsync", once_full)
    with pytest.raises(OSError, match="No space left"), RecordWriter(tmp_path / "r") as writer:
        writer.write_frames(memoryview(bytes(9 << 20)), 1)
    assert not list(tmp_path.iterdir())
