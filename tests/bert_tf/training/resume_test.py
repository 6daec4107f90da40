"""A run that was stopped and started again ends where the straight run ends, bit for bit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from bert_tf.training.watch import Watch
from tests.support import small

# 196 records in batches of 16: the first epoch ends inside batch 12.
STEPS, EVERY = 15, 5
RUN = {"num_train_steps": STEPS, "save_checkpoints_steps": EVERY, "num_warmup_steps": 3}


class StoppedError(Exception):
    """Raised in place of a kill."""


@contextmanager
def stop_after(monkeypatch, step: int):
    """Runs inside die after the loop that reaches `step`."""
    before = Watch.after_loop

    def after_loop(self, metrics):
        before(self, metrics)
        if int(self._state.step.numpy()) >= step:
            raise StoppedError

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "after_loop", after_loop)
        yield


@pytest.mark.parametrize("shuffle", [True, False], ids=["shuffled", "file_order"])
def test_resumed_run_is_bit_identical(tmp_path, monkeypatch, capsys, shuffle):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    rows = small.train(straight, shuffle=shuffle, **RUN)
    # Dies at step 12, resumes from 10, runs across the end of the epoch.
    with stop_after(monkeypatch, 12), pytest.raises(StoppedError):
        small.train(stopped, shuffle=shuffle, **RUN)
    assert not (stopped / "model.ckpt-15.index").exists()
    capsys.readouterr()
    again = small.train(stopped, shuffle=shuffle, **RUN)
    assert f"resumed from {stopped}/model.ckpt-10." in capsys.readouterr().out
    small.assert_same_bits(straight / f"model.ckpt-{STEPS}", stopped / f"model.ckpt-{STEPS}")
    # The metrics go on too: rows after step 10 of the dead run are replaced.
    assert [row["step"] for row in again] == list(range(1, STEPS + 1))
    for left, right in zip(rows, again, strict=True):
        assert left["loss"] == right["loss"]


def test_resuming_over_two_replicas_with_accumulation(tmp_path, monkeypatch):
    changes = {"logical_cpus": 2, "gradient_accumulation_steps": 2}
    run = {"num_train_steps": 4, "save_checkpoints_steps": 2, "num_warmup_steps": 1}
    small.train(tmp_path / "straight", **run, **changes)
    with stop_after(monkeypatch, 3), pytest.raises(StoppedError):
        small.train(tmp_path / "stopped", **run, **changes)
    small.train(tmp_path / "stopped", **run, **changes)
    small.assert_same_bits(tmp_path / "straight/model.ckpt-4", tmp_path / "stopped/model.ckpt-4")


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_resuming_is_exact_in_low_precision(tmp_path, monkeypatch, precision):
    run = {"num_train_steps": 4, "save_checkpoints_steps": 2, "precision": precision}
    small.train(tmp_path / "straight", **run)
    with stop_after(monkeypatch, 3), pytest.raises(StoppedError):
        small.train(tmp_path / "stopped", **run)
    small.train(tmp_path / "stopped", **run)
    small.assert_same_bits(tmp_path / "straight/model.ckpt-4", tmp_path / "stopped/model.ckpt-4")


def test_precision_may_change_to_float16_and_back(tmp_path, capsys):
    for steps, precision in enumerate(("float32", "float16", "float32"), start=1):
        small.train(tmp_path, num_train_steps=steps, num_warmup_steps=0, precision=precision)
        saved = small.tensors(tmp_path / f"model.ckpt-{steps}")
        scale = {name: float(value) for name, value in saved.items() if "loss_scale" in name}
        fresh = {"bert_tf/loss_scale": 2.0**15, "bert_tf/loss_scale_steps": 1.0}
        assert scale == (fresh if precision == "float16" else {})
    said = capsys.readouterr().out
    assert "precision float32 -> float16" in said
    assert "precision float16 -> float32" in said


def test_changed_records_and_models_are_said_aloud(tmp_path, capsys):
    run = {"num_train_steps": 1, "num_warmup_steps": 0}
    small.train(tmp_path / "out", **run)
    small.train(tmp_path / "out", **run)
    assert "bit-identical" not in capsys.readouterr().out
    copy = tmp_path / "others.tfrecord"
    shutil.copy(small.RECORDS, copy)
    small.train(tmp_path / "out", small.NO_DROPOUT, **run, input_file=str(copy))
    said = capsys.readouterr().out
    count = r"[0-9a-f]{8} \(196 in 1 files\)"
    digest = "[0-9a-f]{8}"
    assert re.search(
        rf"since changed: model {digest} -> {digest}, records {count} -> {count}", said
    )


def test_dropout_and_order_depend_on_the_seed(tmp_path):
    run = {"num_train_steps": 2, "num_warmup_steps": 0, "init_checkpoint": small.CHECKPOINT}
    first = small.train(tmp_path / "a", **run)
    second = small.train(tmp_path / "b", seed=2, **run)
    assert first[0]["loss"] != second[0]["loss"]


def test_a_changed_setting_is_said_aloud(tmp_path, capsys):
    small.train(tmp_path, num_train_steps=1, num_warmup_steps=0)
    small.train(tmp_path, num_train_steps=2, num_warmup_steps=0, seed=9)
    output = capsys.readouterr().out
    assert "not bit-identical, since changed: seed 1 -> 9, num_train_steps 1 -> 2" in output
    small.train(tmp_path, num_train_steps=2, num_warmup_steps=0, seed=9)
    assert "All 2 steps are done already" in capsys.readouterr().out


def test_sigterm_saves_and_exits_with_143(tmp_path):
    command = [
        *(sys.executable, "-m", "bert_tf.run_pretraining", "--do_train"),
        f"--input_file={small.RECORDS}",
        f"--bert_config_file={small.CONFIG}",
        f"--output_dir={tmp_path}",
        *("--max_seq_length=64", "--max_predictions_per_seq=10", "--train_batch_size=16"),
        *("--num_train_steps=100000", "--save_checkpoints_steps=100000"),
    ]
    process = subprocess.Popen(
        command, cwd=small.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        metrics, until = tmp_path / "metrics.jsonl", time.monotonic() + 200
        while not (metrics.exists() and metrics.read_text("utf-8")):
            assert time.monotonic() < until
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=100)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + signal.SIGTERM
    (index,) = tmp_path.glob("model.ckpt-*.index")
    step = index.stem.split("-")[1]
    assert f"SIGTERM: saved step {step}; the same command resumes." in errors
    assert "Traceback" not in errors
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
