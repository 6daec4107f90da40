"""Training and evaluation as a whole: losses that are not finite, loss scaling, precision."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion import tf1
from bert_tf.training import loop
from bert_tf.training.checkpoints import CheckpointStore
from bert_tf.training.loop import TrainingError
from bert_tf.training.reports import read_metrics
from bert_tf.training.state import State
from tests.support import small


def test_a_loss_that_is_not_finite_stops_and_saves_nothing(tmp_path):
    with pytest.raises(
        TrainingError, match=r"step \d is not finite; .* lower --learning_rate, more --num_warm"
    ):
        small.train(
            tmp_path, learning_rate=1e30, num_train_steps=8, num_warmup_steps=0,
            save_checkpoints_steps=1,
        )  # fmt: skip
    rows = len(read_metrics(tmp_path / "metrics.jsonl"))
    assert CheckpointStore(tmp_path).steps() == list(range(max(1, rows - 4), rows + 1))
    for index in tmp_path.glob("model.ckpt-*.index"):
        for name, value in small.tensors(str(index).removesuffix(".index")).items():
            if name != "bert_tf/run":
                assert np.isfinite(value).all(), (index, name)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_low_precision_follows_float32(tmp_path, precision):
    run = {"num_train_steps": 6, "init_checkpoint": small.CHECKPOINT, "shuffle": False}
    full = small.train(tmp_path / "float32", small.NO_DROPOUT, **run)
    low = small.train(tmp_path / precision, small.NO_DROPOUT, precision=precision, **run)
    difference = [abs(a["loss"] - b["loss"]) for a, b in zip(full, low, strict=True)]
    assert 0.0 < max(difference) < 0.05
    saved = small.tensors(tmp_path / precision / "model.ckpt-6")
    weights = [name for name in saved if not name.startswith(("bert_tf/", "global_step"))]
    assert {saved[name].dtype for name in weights} == {np.dtype("float32")}
    scaled = {name for name in saved if "loss_scale" in name}
    assert bool(scaled) == (precision == "float16")


def test_evaluation_takes_the_newest_checkpoint_and_touches_no_unfinished_save(tmp_path):
    small.train(tmp_path, num_train_steps=2, num_warmup_steps=0)
    unfinished = tmp_path / ".partial-3"  # of a training that runs beside
    unfinished.mkdir()
    results = small.evaluate(tmp_path, max_eval_steps=2)
    assert results["global_step"] == 2
    assert unfinished.exists()


def test_weights_only_are_taken_from_init_checkpoint(tmp_path, capsys):
    rows = small.train(
        tmp_path, small.NO_DROPOUT, num_train_steps=1, num_warmup_steps=0,
        init_checkpoint=small.CHECKPOINT,
    )  # fmt: skip
    assert rows[0]["step"] == 1
    said = capsys.readouterr().out
    assert "46 weights loaded, 93 tensors not needed" in said
    slots = small.tensors(tmp_path / "model.ckpt-1")
    golden = small.tensors(small.CHECKPOINT)
    name = "bert/pooler/dense/kernel/adam_v"
    assert np.abs(slots[name]).max() < np.abs(golden[name]).max()


def test_init_checkpoint_is_not_read_when_there_is_a_run_to_resume(tmp_path):
    small.train(tmp_path, num_train_steps=1, num_warmup_steps=0)
    small.train(tmp_path, num_train_steps=2, num_warmup_steps=0, init_checkpoint="/no/such")
    with pytest.raises(tf1.CheckpointError):
        small.train(tmp_path / "new", init_checkpoint="/no/such")


def test_only_the_batch_in_use_must_divide(tmp_path):
    run = {"num_train_steps": 1, "num_warmup_steps": 0, "logical_cpus": 2}
    small.train(tmp_path, eval_batch_size=7, **run)
    small.evaluate(tmp_path, train_batch_size=15, max_eval_steps=1, **run)
    with pytest.raises(ValueError, match="--train_batch_size is 15, which does not divide"):
        small.train(tmp_path / "new", train_batch_size=15, **run)
    with pytest.raises(ValueError, match="--eval_batch_size is 7, which does not divide"):
        small.evaluate(tmp_path, eval_batch_size=7, **run)
    assert not (tmp_path / "new").exists()


def test_a_single_row_of_metrics_gives_no_curves(tmp_path, capsys):
    small.train(tmp_path, num_train_steps=1, num_warmup_steps=0)
    assert capsys.readouterr().out.endswith(f"Trained. Checkpoint: {tmp_path}/model.ckpt-1.\n")


def test_silent_workers_say_nothing(tmp_path, capsys):
    small.train(tmp_path, num_train_steps=1, num_warmup_steps=0)
    capsys.readouterr()
    chosen = small.options(tmp_path, num_train_steps=1, num_warmup_steps=0)
    with small.started(chosen.runtime) as running:
        loop.train(
            small.task(), dataclasses.replace(running, is_chief=False), chosen, small.records()
        )
    assert capsys.readouterr() == ("", "")


def test_workers_that_found_different_steps_are_refused(tmp_path):
    chosen = small.options(tmp_path, logical_cpus=2)
    with small.started(chosen.runtime) as running:
        state = State(small.task(), running, chosen)
        loop._check_agreement(state)
        state.step.assign(10**9 + 7)
        loop._check_agreement(state)
        state.step.values[1].assign(10**9 + 8)  # as after restoring on another machine
        with pytest.raises(
            ValueError, match=r"one directory that all workers share, .* 1000000007"
        ):
            loop._check_agreement(state)


def test_memory_that_runs_out_gives_advice(tmp_path, monkeypatch):
    def exhausted(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating\nmore")

    monkeypatch.setattr(loop.Trainer, "train", exhausted)
    with pytest.raises(
        TrainingError, match=r"but does not \(OOM when allocating\)\. Lower --train_batch_size"
    ):
        small.train(tmp_path)
