"""Checkpoints of the release <-> .keras files: bit for bit, whole, nothing half written."""

import os

import keras
import numpy as np
import pytest

from bert_tf.config import BertConfig
from bert_tf.conversion import keras_files, tf1
from bert_tf.conversion.weight_map import named_variables
from tests.support import small

CONFIG = BertConfig.from_json_file(small.CONFIG)


def weights(prefix) -> dict[str, np.ndarray]:
    tensors = small.tensors(prefix)
    return {n: v for n, v in tensors.items() if not tf1.is_slot(n) and n != "global_step"}


def assert_equal_bits(left, right) -> None:
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert np.asarray(value).tobytes() == np.asarray(right[name]).tobytes(), name


def test_there_and_back_is_bit_identical(tmp_path):
    table = keras_files.checkpoint_to_keras(CONFIG, small.CHECKPOINT, tmp_path / "a" / "m.keras")
    assert len(table) == 46
    assert table["cls/seq_relationship/output_weights"] == "next_sentence/kernel"
    back = keras_files.keras_to_checkpoint(tmp_path / "a" / "m.keras", str(tmp_path / "b" / "ckpt"))
    assert back == table
    assert_equal_bits(weights(small.CHECKPOINT), small.tensors(tmp_path / "b" / "ckpt"))
    # Into the same place again, and nothing else is left there.
    keras_files.keras_to_checkpoint(tmp_path / "a" / "m.keras", str(tmp_path / "b" / "ckpt"))
    assert sorted(os.listdir(tmp_path / "b")) == ["ckpt.data-00000-of-00001", "ckpt.index"]
    assert os.listdir(tmp_path / "a") == ["m.keras"]


def test_a_checkpoint_without_heads_becomes_an_encoder(tmp_path):
    bare = {n: v for n, v in weights(small.CHECKPOINT).items() if n.startswith("bert/")}
    tf1.write_checkpoint(str(tmp_path / "bare"), bare)
    keras_files.checkpoint_to_keras(CONFIG, str(tmp_path / "bare"), tmp_path / "m.keras")
    model = keras.saving.load_model(tmp_path / "m.keras")
    assert type(model).__name__ == "BertEncoder"
    assert_equal_bits(bare, {n: v.numpy() for n, v in named_variables(model).items()})


def test_half_a_head_is_an_error_and_leaves_nothing(tmp_path):
    lacking = weights(small.CHECKPOINT)
    del lacking["cls/predictions/output_bias"]
    tf1.write_checkpoint(str(tmp_path / "half"), lacking)
    with pytest.raises(tf1.CheckpointError, match=r"whole, but .*half lacks cls/predictions/outp"):
        keras_files.checkpoint_to_keras(CONFIG, str(tmp_path / "half"), tmp_path / "m.keras")
    assert not list(tmp_path.glob("*.keras"))


@pytest.mark.parametrize("content", [b"", b"text", None], ids=["empty", "text", "missing"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "m.keras").write_bytes(content)
    with pytest.raises(tf1.CheckpointError, match=r"m\.keras must be a Keras model file of this"):
        keras_files.keras_to_checkpoint(tmp_path / "m.keras", str(tmp_path / "out"))
    assert not list(tmp_path.glob("out*"))


def test_an_error_while_loading_changes_nothing(tmp_path):
    from bert_tf.modeling.heads import build_pretrainer

    model = build_pretrainer(CONFIG, 5)
    before = {name: variable.numpy() for name, variable in named_variables(model).items()}
    lacking = weights(small.CHECKPOINT)
    del lacking["bert/pooler/dense/bias"]
    tf1.write_checkpoint(str(tmp_path / "lacks"), lacking)
    with pytest.raises(
        tf1.CheckpointError, match=r"Missing in the checkpoint: bert/pooler/dense/b"
    ):
        tf1.load_weights(model, str(tmp_path / "lacks"))
    assert_equal_bits(before, {n: v.numpy() for n, v in named_variables(model).items()})


def test_the_report_says_what_was_loaded():
    from bert_tf.modeling.encoder import build_encoder
    from bert_tf.modeling.heads import build_pretrainer

    report = tf1.load_weights(build_encoder(CONFIG), small.CHECKPOINT)
    assert (len(report.loaded), report.initialized) == (39, ())
    assert "39 weights loaded, 100 tensors not needed" in str(report)
    report = tf1.load_weights(build_pretrainer(CONFIG), str(small.GOLDENS / "cola/model.ckpt-24"))
    assert "7 newly initialized (cls/predictions/" in str(report)
    assert set(report.ignored) >= {"output_weights", "output_bias"}
