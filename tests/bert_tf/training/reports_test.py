"""What a run tells people: files, picture, progress line."""

import json
import os
import struct
import zlib

import numpy as np
import pytest

from bert_tf import files
from bert_tf.training import reports

METRICS = {
    "loss": 6.5,
    "masked_lm_loss": 5.8,
    "masked_lm_accuracy": 0.125,
    "next_sentence_accuracy": 0.5,
    "next_sentence_loss": 0.7,
    "learning_rate": 1e-4,
    "sequences_per_second": 123.45,
}


def test_eval_results_are_sorted_lines(tmp_path):
    path = reports.write_eval_results(tmp_path, {"loss": "6.5", "global_step": 20, "a": 1})
    assert path == tmp_path / "eval_results.txt"
    assert path.read_text() == "a = 1\nglobal_step = 20\nloss = 6.5\n"
    assert os.listdir(tmp_path) == ["eval_results.txt"]


def test_metrics_survive_a_restart(tmp_path):
    log = reports.MetricsLog(tmp_path, 0)
    for step in (1, 2, 3):
        log.append(step, METRICS)
    with log.path.open("a") as file:
        file.write('{"step": 4, "lo')  # the run was killed here
    reports.MetricsLog(tmp_path, 2).append(3, {"loss": 1.0})
    rows = reports.read_metrics(log.path)
    assert [(row["step"], row["loss"]) for row in rows] == [(1, 6.5), (2, 6.5), (3, 1.0)]
    assert all(json.loads(line)["time"] > 0 for line in log.path.read_text().splitlines())


def test_progress_shows_losses_rate_and_time_left(capsys):
    progress = reports.Progress("train", 100, done=40)
    progress.update(10, METRICS)
    progress._bar.refresh()
    progress.close()
    line = capsys.readouterr().err.split("\r")[-1]
    assert "train  50%|" in line
    assert "50/100 [" in line
    assert "loss=6.5, mlm_acc=0.125, nsp_acc=0.5, lr=0.0001, seq/s=123.5]" in line
    assert "<" in line  # the time left


def test_silent_progress_is_silent(capsys):
    progress = reports.Progress("train", 10, visible=False)
    progress.update(5, METRICS)
    progress.close()
    assert capsys.readouterr().err == ""


def pixels(path) -> np.ndarray:
    """Bytes of a PNG's rows, filters included: enough to tell a picture from an empty one."""
    data, at, packed = path.read_bytes(), 8, b""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    return np.frombuffer(zlib.decompress(packed), np.uint8)


def test_curves_are_drawn(tmp_path):
    assert reports.draw_curves(tmp_path) is None
    log = reports.MetricsLog(tmp_path, 0)
    log.append(1, METRICS)
    assert reports.draw_curves(tmp_path) is None  # one point is no curve
    for step in range(2, 30):
        log.append(step, {**METRICS, "loss": 6.5 - step / 10})
    picture = reports.draw_curves(tmp_path)
    assert picture == tmp_path / "curves.png"
    falling = pixels(picture)
    assert len(np.unique(falling)) > 20
    files.write_text(log.path, "".join(json.dumps({"step": s, **METRICS}) + "\n" for s in (1, 2)))
    flat = pixels(reports.draw_curves(tmp_path))
    assert falling.shape != flat.shape or (falling != flat).any()
    assert sorted(os.listdir(tmp_path)) == ["curves.png", "metrics.jsonl"]


def test_output_directory_is_made_or_refused(tmp_path, monkeypatch):
    reports.make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="file must be a directory, but is a file"):
        reports.make_directory(tmp_path / "file")
    with pytest.raises(ValueError, match="cannot be made: Not a directory"):
        reports.make_directory(tmp_path / "file" / "below")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="must be writable, but this user may not write there"):
        reports.make_directory(tmp_path)
