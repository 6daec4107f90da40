"""Two lengths of sequences in one training: one command, one schedule, exact resume."""

import pytest

from bert_tf.inputs.records import pretraining_schema, read_records
from data_prep.create_pretraining_data import Run, create_records
from data_prep.options import GenerationOptions
from tests.bert_tf.training.resume_test import StoppedError, stop_after
from tests.support import small
from tests.support.commands import run

LONG, PREDICTIONS = 100, 15


@pytest.fixture(scope="module")
def longer(tmp_path_factory):
    """The same text in longer sequences."""
    path = tmp_path_factory.mktemp("long") / "records"
    options = GenerationOptions(LONG, PREDICTIONS, dupe_factor=2)
    text = (str(small.GOLDENS / "corpus.txt"),)
    create_records(Run(text, (str(path),), str(small.VOCAB), True, options))
    decode = pretraining_schema(LONG, PREDICTIONS).decode
    assert max(decode(record)["input_mask"].sum() for record in read_records(path)) > 90
    return path


def pretrain(folder, longer, **values):
    run(
        "run_pretraining",
        **{
            "bert_config_file": small.CONFIG, "input_file": small.RECORDS, "output_dir": folder,
            "do_train": True, "max_seq_length": small.LENGTH,
            "max_predictions_per_seq": small.PREDICTIONS, "train_batch_size": 16,
            "num_train_steps": 10, "num_warmup_steps": 2, "learning_rate": 1e-3,
            "iterations_per_loop": 1, "save_checkpoints_steps": 4, "deterministic": True,
            "distribution_strategy": "one_device", "second_input_file": longer,
            "first_phase": 0.6, "second_max_seq_length": LONG,
            "second_max_predictions_per_seq": PREDICTIONS, "second_train_batch_size": 8,
            "dynamic_masking": True, "vocab_file": small.VOCAB,
            **values,
        },
    )  # fmt: skip


def test_phases_follow_each_other_and_survive_a_kill_in_each(tmp_path, longer, monkeypatch, capsys):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    pretrain(straight, longer)
    said = capsys.readouterr().out
    assert f"{longer.parent}" not in said
    assert "not bit-identical" not in said
    assert "resumed from" in said  # the second phase, from the end of the first
    assert (straight / "model.ckpt-6.index").exists()
    for step in (5, 9):
        with stop_after(monkeypatch, step), pytest.raises(StoppedError):
            pretrain(stopped, longer)
        assert not (stopped / "model.ckpt-10.index").exists()
    capsys.readouterr()
    pretrain(stopped, longer)
    said = capsys.readouterr().out
    assert "All 6 steps are done already." in said
    assert "not bit-identical" not in said
    small.assert_same_bits(straight / "model.ckpt-10", stopped / "model.ckpt-10")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"first_phase": 1.0}, r"--first_phase must leave at least one step .* is 1\.0 of 10 step"),
        ({"vocab_file": ""}, "--dynamic_masking needs --vocab_file: the vocabulary that the rec"),
        ({"second_max_seq_length": 4096}, r"max_seq_length is 4096"),
        ({"second_max_seq_length": 64}, r"'input_ids' must hold 64 values; the record has 100"),
    ],
)
def test_refusals_come_before_the_first_step(tmp_path, longer, values, message):
    with pytest.raises(ValueError, match=message):
        pretrain(tmp_path / "out", longer, **values)
    assert not (tmp_path / "out").exists()
