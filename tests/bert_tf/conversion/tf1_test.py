"""Writing checkpoints: whole, or the name is free, also where another one has it."""

import os

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion import tf1


def value(prefix) -> float:
    return float(tf1.read_tensor(tf1.open_checkpoint(str(prefix)), str(prefix), "a"))


def test_an_exception_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(**_):
        raise tf.errors.ResourceExhaustedError(None, None, "no space left")

    monkeypatch.setattr(tf.raw_ops, "SaveV2", full)
    with pytest.raises(tf.errors.ResourceExhaustedError):
        tf1.write_checkpoint(str(tmp_path / "new"), {"a": np.float32(1)})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("moment", range(2))
def test_an_overwrite_is_never_torn(tmp_path, monkeypatch, moment):
    prefix = tmp_path / "model"
    tf1.write_checkpoint(str(prefix), {"a": np.float32(1)})
    calls, replace = iter(range(2)), os.replace

    def dying(*names):
        if next(calls) == moment:
            raise OSError("the disk is gone")
        replace(*names)

    monkeypatch.setattr(tf1.os, "replace", dying)
    with pytest.raises(OSError, match="the disk is gone"):
        tf1.write_checkpoint(str(prefix), {"a": np.float32(2)})
    monkeypatch.undo()
    # Old index and new data together would read as nonsense.
    with pytest.raises(tf1.CheckpointError, match="No readable checkpoint"):
        value(prefix)
    tf1.write_checkpoint(str(prefix), {"a": np.float32(3)})
    assert value(prefix) == 3.0
