"""A vocabulary and a checkpoint that grow together."""

import os

import numpy as np
import pytest

from bert_tf.config import BertConfig
from bert_tf.conversion import tf1
from bert_tf.conversion.grown_rows import OUTPUT_BIAS, WORD_EMBEDDINGS, extend_checkpoint, grow
from bert_tf.tokenization import FullTokenizer
from tests.support import small
from tests.support.commands import run


def test_new_rows_are_means():
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    grown = grow(rows, 6, {1: [0, 2], 4: [3], 5: [0, 1, 2, 3]})
    expected = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11], [9, 10, 11], [4.5, 5.5, 6.5]]
    np.testing.assert_array_equal(grown, np.array(expected, np.float32))
    assert grown.dtype == np.float32
    np.testing.assert_array_equal(rows[1], [3, 4, 5])


def extend(folder, **values):
    run(
        "extend_vocab", init_checkpoint=small.CHECKPOINT, vocab_file=small.VOCAB,
        bert_config_file=small.CONFIG, output_dir=folder, **values,
    )  # fmt: skip


def test_command(tmp_path, capsys):
    listed = tmp_path / "words.txt"
    listed.write_text("sonar\nlidar\n")
    folder = tmp_path / "new"
    extend(folder, words="radome,##sonde", words_file=listed, fill_unused=False)
    said = capsys.readouterr().out
    assert said.startswith("0 words in the place of [unused] entries, 4 appended, 0 known already")
    assert sorted(os.listdir(folder)) == [
        "bert_config.json", "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.index",
        "vocab.txt",
    ]  # fmt: skip
    assert BertConfig.from_json_file(folder / "bert_config.json").vocab_size == 488
    old, new = FullTokenizer(small.VOCAB), FullTokenizer(folder / "vocab.txt")
    assert new.tokenize("Radome") == ["radome"]
    before, after = small.tensors(small.CHECKPOINT), small.tensors(folder / "bert_model.ckpt")
    assert before.keys() == after.keys()
    grown = [name for name in before if after[name].shape != before[name].shape]
    names = (WORD_EMBEDDINGS, OUTPUT_BIAS)
    expected = [name + slot for name in names for slot in ("", *tf1.SLOT_SUFFIXES)]
    assert sorted(grown) == sorted(expected)
    pieces = old.encode("lidar")
    assert len(pieces) > 1
    for name in before:
        if name in grown:
            np.testing.assert_array_equal(after[name][:484], before[name])
            mean = before[name][pieces].mean(axis=0)
            np.testing.assert_allclose(after[name][new.vocab["lidar"]], mean, atol=1e-7)
        else:
            np.testing.assert_array_equal(after[name], before[name])


def test_the_new_model_guesses_with_the_new_vocabulary(tmp_path, capsys):
    extend(tmp_path / "new", words="radome")
    run(
        "fill_mask", init_checkpoint=tmp_path / "new" / "bert_model.ckpt",
        vocab_file=tmp_path / "new" / "vocab.txt",
        bert_config_file=tmp_path / "new" / "bert_config.json", sentence="The radome is [MASK].",
    )  # fmt: skip
    assert capsys.readouterr().out


def test_refusals(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match=r"there is there already\. Name a new folder"):
        extend(tmp_path / "there", words="radome")
    with pytest.raises(ValueError, match="none was given"):
        extend(tmp_path / "new")
    with pytest.raises(tf1.CheckpointError, match=r"has 484 rows, but the vocabulary has 400 tok"):
        extend_checkpoint(small.CHECKPOINT, str(tmp_path / "x"), 400, 401, {400: [0]})
    tf1.write_checkpoint(str(tmp_path / "other"), {"w": np.zeros(3)})
    with pytest.raises(tf1.CheckpointError, match=r"has no bert/embeddings/word_embeddings"):
        extend_checkpoint(str(tmp_path / "other"), str(tmp_path / "x"), 484, 485, {484: [0]})
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob("x*"))


def test_a_huggingface_folder_is_pointed_to_the_converter(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"convert_checkpoint makes one of a Hugging Face folder"):
        run(
            "extend_vocab", init_checkpoint=tmp_path, output_dir=tmp_path / "new", words="radome"
        )  # fmt: skip
