"""The checkpoints of a run: whole or not at all, found again, in the original's terms."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion import tf1
from bert_tf.training import checkpoints
from bert_tf.training.checkpoints import CheckpointStore
from bert_tf.training.state import State
from tests.support import small


def values(step: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(step)
    return {
        "bert/pooler/dense/kernel": draw.normal(size=[3, 5]).astype("float32"),
        "bert/pooler/dense/kernel/adam_m": draw.normal(size=[3, 5]).astype("float32"),
        "global_step": np.int64(step),
    }


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def damage(prefix: str) -> None:
    path = Path(f"{prefix}.data-00000-of-00001")
    data = bytearray(path.read_bytes())
    data[7] ^= 4
    path.write_bytes(data)


def test_saved_values_come_back_bit_for_bit(tmp_path):
    store = CheckpointStore(tmp_path)
    odd = {
        "a": np.array([np.nan, -0.0, np.inf, 1e-42], "float32"),
        "b": tf.constant("text"),
        "global_step": np.int64(2**40),
    }
    prefix = store.save(7, odd)
    assert prefix == str(tmp_path / "model.ckpt-7")
    step, found = store.latest({"a": None})
    assert step == 7
    assert found["a"].tobytes() == odd["a"].tobytes()
    assert found["b"].item() == b"text"
    assert found["global_step"] == 2**40
    assert found["global_step"].dtype == np.int64


def test_the_newest_of_keep_stay_and_are_listed(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    for step in (5, 10, 100, 200):
        store.save(step, values(step))
    assert store.steps() == [100, 200]
    assert len(names(tmp_path)) == 5  # two files each, and the file `checkpoint`
    assert tf.train.latest_checkpoint(str(tmp_path)) == store.prefix(200)
    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert [Path(path).name for path in state.all_model_checkpoint_paths] == [
        "model.ckpt-100",
        "model.ckpt-200",
    ]


def test_a_torn_newest_is_skipped_for_the_one_before(tmp_path, capsys):
    store = CheckpointStore(tmp_path)
    for step in (5, 10):
        store.save(step, values(step))
    damage(store.prefix(10))
    step, found = store.latest({})
    assert step == 5
    np.testing.assert_array_equal(found["global_step"], 5)
    assert "Skipping a damaged checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("ending", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_cut_newest_is_skipped(tmp_path, ending, share):
    store = CheckpointStore(tmp_path)
    for step in (5, 10):
        store.save(step, values(step))
    path = store.prefix(10) + ending
    os.truncate(path, int(os.path.getsize(path) * share))
    assert store.latest({})[0] == 5


def test_saving_after_a_damaged_newest_keeps_the_new_ones(tmp_path, capsys):
    store = CheckpointStore(tmp_path, keep=1)
    for step in (5, 10):
        store.save(step, values(step))
    store = CheckpointStore(tmp_path, keep=1)
    shutil.copy(f"{store.prefix(10)}.index", tmp_path / "model.ckpt-20.index")
    (tmp_path / "model.ckpt-20.data-00000-of-00001").write_bytes(b"damaged")
    assert store.latest({})[0] == 10
    capsys.readouterr()
    store.save(15, values(15))
    said = capsys.readouterr().err
    assert f"Removing checkpoints beyond step 15, which were damaged .*: {store.prefix(20)}." in (
        said.replace("when this run started", ".*")
    )
    store.save(25, values(25))
    assert capsys.readouterr().err == ""
    assert store.steps() == [25]
    store.save(15, values(15))
    assert store.steps() == [15]
    assert tf.train.latest_checkpoint(str(tmp_path)) == store.prefix(15)


def test_nothing_readable_is_an_error_and_nothing_at_all_is_none(tmp_path):
    store = CheckpointStore(tmp_path)
    assert store.latest({}) is None
    assert CheckpointStore(tmp_path / "none").latest({}) is None
    store.save(5, values(5))
    damage(store.prefix(5))
    with pytest.raises(
        tf1.CheckpointError, match=r"None of the 1 checkpoints in .* Move them away"
    ):
        store.latest({})


def test_a_checkpoint_without_slots_cannot_be_resumed(tmp_path):
    store = CheckpointStore(tmp_path)
    store.save(5, values(5))
    with pytest.raises(tf1.CheckpointError, match=r"it lacks a/adam_m, b\. Give it as --init_ch"):
        store.latest({"b": 0, "a/adam_m": 0, "global_step": 0})


def test_any_complete_set_of_shards_is_a_checkpoint(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    store.save(5, values(5))
    for number in range(2):
        (tmp_path / f"model.ckpt-7.data-0000{number}-of-00002").write_bytes(b"x")
    assert store.steps() == [5]
    (tmp_path / "model.ckpt-7.index").write_bytes(b"x")
    assert store.steps() == [5, 7]
    (tmp_path / "model.ckpt-7.data-00000-of-00002").unlink()
    assert store.steps() == [5]
    before = names(tmp_path)
    store.clean()  # a shard that is still being copied is not ours to tear apart
    assert names(tmp_path) == before
    (tmp_path / "model.ckpt-7.data-00000-of-00002").write_bytes(b"x")
    store.save(10, values(10))
    assert store.steps() == [7, 10]
    store.save(15, values(15))
    assert store.steps() == [10, 15]
    assert not list(tmp_path.glob("model.ckpt-7.*"))


def test_a_second_run_in_the_directory_is_refused(tmp_path):
    store = CheckpointStore(tmp_path)
    with store.locked():
        assert names(tmp_path) == set()  # no lock file
        with pytest.raises(RuntimeError, match=r"another run trains in --output_dir=.* Wait for"):
            small.train(tmp_path, num_train_steps=1, num_warmup_steps=0)
    small.train(tmp_path, num_train_steps=1, num_warmup_steps=0)
    with store.locked():
        small.evaluate(tmp_path, max_eval_steps=1)  # reads beside a training


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(checkpoints.fcntl, "flock", flock)
    with CheckpointStore(tmp_path).locked():
        pass


@pytest.mark.parametrize("moment", range(10))
def test_a_death_inside_saving_leaves_the_old_or_the_new(tmp_path, monkeypatch, moment):
    """Every call that touches the disk is, in turn, the last one that the process makes."""
    store = CheckpointStore(tmp_path, keep=1)
    store.save(5, values(5))
    calls = iter(range(100))

    class Killed(BaseException):
        pass

    def dying(function):
        def call(*arguments, **options):
            if next(calls) == moment:
                raise Killed
            return function(*arguments, **options)

        return call

    for owner, name in (
        (tf.raw_ops, "SaveV2"),
        (checkpoints.tf1.os, "replace"),
        (checkpoints.tf1, "sync"),
        (Path, "unlink"),
    ):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))
    with pytest.raises(Killed):
        store.save(10, values(10))
    monkeypatch.undo()
    after = CheckpointStore(tmp_path, keep=1)
    step, found = after.latest({})
    assert step in (5, 10)
    assert found["global_step"] == step
    after.clean()
    left = {name for name in names(tmp_path) if name != "checkpoint"}
    assert left == {
        f"model.ckpt-{step}{ending}"
        for step in after.steps()
        for ending in (".index", ".data-00000-of-00001")
    }
    assert tf.train.latest_checkpoint(str(tmp_path)) == after.prefix(after.steps()[-1])


def test_cleaning_removes_what_a_killed_run_left(tmp_path):
    store = CheckpointStore(tmp_path)
    store.save(5, values(5))
    (tmp_path / ".partial-10").mkdir()
    (tmp_path / ".partial-10" / "model.ckpt.index").write_bytes(b"x")
    (tmp_path / ".partial-state").write_bytes(b"x")
    (tmp_path / "model.ckpt-10.data-00000-of-00001").write_bytes(b"x")
    (tmp_path / "model.ckpt-3.index").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "model.ckpt-best.index").write_bytes(b"x")
    store.clean()
    assert names(tmp_path) == {
        "model.ckpt-5.index",
        "model.ckpt-5.data-00000-of-00001",
        "checkpoint",
        "notes.txt",
        "model.ckpt-best.index",
    }


def test_keep_is_checked(tmp_path):
    with pytest.raises(ValueError, match="--keep_checkpoint_max must be at least 1, but is 0"):
        CheckpointStore(tmp_path, 0)


# --- The original's checkpoints ---


def test_ours_have_the_originals_names_shapes_and_dtypes(tmp_path):
    small.train(tmp_path, num_train_steps=1, num_warmup_steps=0)
    ours, golden = small.tensors(tmp_path / "model.ckpt-1"), small.tensors(small.CHECKPOINT)
    extra = {name for name in ours if name.startswith("bert_tf/")}
    assert ours.keys() - extra == golden.keys()
    assert extra == {"bert_tf/run"}
    for name, value in golden.items():
        got = np.asarray(ours[name])
        assert (got.shape, got.dtype) == (np.shape(value), np.asarray(value).dtype), name


def test_the_originals_run_is_continued_and_comes_back_bit_for_bit(tmp_path):
    for ending in (".index", ".data-00000-of-00001"):
        shutil.copy(small.CHECKPOINT + ending, tmp_path / f"model.ckpt-200{ending}")
    chosen = small.options(tmp_path, num_train_steps=202, save_checkpoints_steps=1000)
    with small.started(chosen.runtime) as running:
        state = State(small.task(), running, chosen)
        state.prepare_training()
        line = state.restore()
        assert "model.ckpt-200 (written by another program)" in line
        assert int(state.step.numpy()) == 200
        state.store.save(
            201, {name: tf.convert_to_tensor(v) for name, v in state.tensors().items()}
        )
    golden, ours = small.tensors(small.CHECKPOINT), small.tensors(tmp_path / "model.ckpt-201")
    assert ours.keys() == golden.keys()  # slots and step included
    for name, value in golden.items():
        assert np.asarray(ours[name]).tobytes() == np.asarray(value).tobytes(), name
    rows = small.train(tmp_path, num_train_steps=203, save_checkpoints_steps=1000)
    assert rows[-1]["step"] == 203
    assert rows[0]["loss"] < 4.8  # from scratch it is above 6
