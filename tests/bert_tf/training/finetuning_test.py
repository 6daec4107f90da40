"""Fine-tuning from training to predictions, with a toy job."""

import json
import math
import threading

import numpy as np
import pytest

from bert_tf.config import BertConfig
from bert_tf.conversion.tf1 import CheckpointError
from bert_tf.training import finetuning
from bert_tf.training.evaluation import Predictor
from bert_tf.training.reports import read_metrics
from tests.support import small, toy

ALL = {"do_train": True, "do_eval": True, "do_predict": True}


def test_learns_evaluates_and_predicts(tmp_path, capsys):
    job = toy.ToyJob()
    vocab = tmp_path / "v.txt"
    vocab.write_text("a\nb\n")
    out = tmp_path / "out"
    toy.run(
        out,
        job,
        **ALL,
        num_train_epochs=20.0,
        learning_rate=3e-3,
        config=toy.CONFIG,
        vocab_file=vocab,
    )
    assert float((out / "scores.txt").read_text()) > 0.9
    results = (out / "eval_results.txt").read_text()
    assert results.startswith(("accuracy = 0.9", "accuracy = 1.0"))
    assert results.endswith("global_step = 160\n")
    assert json.loads((out / "task.json").read_text())["labels"] == ["even", "odd"]
    assert BertConfig.from_json_file(out / "bert_config.json") == toy.CONFIG
    assert (out / "vocab.txt").read_text() == "a\nb\n"
    assert "accuracy = " in capsys.readouterr().out
    evaluated, (first, second) = job.scored[0], job.predicted
    logits = np.concatenate([first["logits"], second["logits"]])
    np.testing.assert_allclose(logits, evaluated["logits"], atol=1e-6)
    # Token outputs come back cut to their examples, in order.
    table = job.evaluation_examples()
    for row, tokens in enumerate([*first["tokens"], *second["tokens"]]):
        expected = table.columns["input_ids"][row][: table.lengths[row]]
        np.testing.assert_array_equal(tokens, expected)


def test_the_next_chunk_is_made_while_one_is_computed(tmp_path, monkeypatch):
    made, waited = threading.Event(), []

    class Job(toy.ToyJob):
        def prediction_examples(self):
            first, second = super().prediction_examples()
            yield first
            made.set()
            yield second

    compute = Predictor.run

    def run(self, *arguments):
        waited.append(made.wait(timeout=60))  # Made after this chunk, the next one never comes.
        return compute(self, *arguments)

    monkeypatch.setattr(Predictor, "run", run)
    job = Job()
    toy.run(tmp_path, job, do_train=True, do_predict=True)
    assert waited == [True, True]
    assert [len(outputs["logits"]) for outputs in job.predicted] == [30, 15]


def test_mistakes_in_evaluation_data_are_found_before_training(tmp_path):
    class Job(toy.ToyJob):
        def evaluation_examples(self):
            raise ValueError("a broken file")

    with pytest.raises(ValueError, match="a broken file"):
        toy.run(tmp_path, Job(), do_train=True, do_eval=True)
    assert not list(tmp_path.glob("model.ckpt*"))


def test_padding_and_replicas_change_nothing(tmp_path):
    runs = {}
    for name, changes in {
        "cut": {},
        "whole": {"pad_to_batch": False},
        "two": {"logical_cpus": 2},
        "parts": {"gradient_accumulation_steps": 4},
    }.items():
        job = toy.ToyJob()
        nodrop = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(toy, "CONFIG", BertConfig(**{**toy.CONFIG.to_dict(), **nodrop}))
            patch.setattr("bert_tf.modeling.task_heads.OUTPUT_DROPOUT", 0.0)
            toy.run(tmp_path / name, job, do_train=True, do_eval=True, **changes)
        runs[name] = job.scored[0]["logits"]
    for name, logits in runs.items():
        # Sums are rounded in another order, and each step of Adam carries that on: two devices
        # were once 1.6e-4 off at 2.3.
        np.testing.assert_allclose(logits, runs["cut"], rtol=3e-4, atol=1e-4, err_msg=name)
    assert np.ptp(runs["cut"]) > 0.1


def test_best_checkpoint_is_kept_and_used(tmp_path):
    job = toy.ToyJob(score_of=lambda count: {2: 0.9}.get(count, 0.1))
    toy.run(tmp_path, job, do_train=True, eval_every=8, num_train_epochs=4.0)
    rows = read_metrics(tmp_path / "evaluations.jsonl")
    assert [(row["step"], row["accuracy"]) for row in rows] == [
        (8, 0.1), (16, 0.9), (24, 0.1), (32, 0.1)
    ]  # fmt: skip
    assert (tmp_path / "best" / "model.ckpt-16.index").exists()
    again = toy.ToyJob()
    toy.run(tmp_path, again, do_eval=True)
    np.testing.assert_allclose(again.scored[0]["logits"], job.scored[1]["logits"], atol=1e-6)
    assert "global_step = 16" in (tmp_path / "eval_results.txt").read_text()


def test_training_ends_early(tmp_path):
    job = toy.ToyJob(score_of=lambda count: 1.0 / count)
    toy.run(tmp_path, job, do_train=True, eval_every=4, early_stop=2, num_train_epochs=8.0)
    assert [row["step"] for row in read_metrics(tmp_path / "evaluations.jsonl")] == [4, 8, 12]
    assert (tmp_path / "model.ckpt-12.index").exists()


def test_evaluations_do_not_change_the_training_and_resume_is_exact(tmp_path):
    toy.run(tmp_path / "plain", toy.ToyJob(), do_train=True)
    toy.run(tmp_path / "watched", toy.ToyJob(), do_train=True, eval_every=5)
    small.assert_same_bits(
        tmp_path / "plain" / "model.ckpt-24", tmp_path / "watched" / "model.ckpt-24"
    )

    def die(count):
        if count == 3:
            raise KeyboardInterrupt
        return float(count)

    options = {"do_train": True, "eval_every": 5, "save_checkpoints_steps": 7}
    with pytest.raises(KeyboardInterrupt):
        toy.run(tmp_path / "killed", toy.ToyJob(score_of=die), **options)
    toy.run(tmp_path / "killed", toy.ToyJob(), **options)
    rows = read_metrics(tmp_path / "killed" / "evaluations.jsonl")
    assert [row["step"] for row in rows] == [5, 10, 15, 20, 24]
    left, right = (small.tensors(tmp_path / name / "model.ckpt-24") for name in ("plain", "killed"))
    # All but the description of the run.
    assert all(
        np.array_equal(left[name], right[name]) for name in left if not name.startswith("bert_tf/")
    )


def test_several_seeds_are_summarized(tmp_path, capsys):
    job = toy.ToyJob()
    toy.run(tmp_path, job, do_train=True, do_eval=True, seeds=3, seed=5)
    content = json.loads((tmp_path / "seeds.json").read_text())
    assert list(content["seeds"]) == ["5", "6", "7"]
    values = [scores["accuracy"] for scores in content["seeds"].values()]
    assert content["accuracy"]["mean"] == pytest.approx(np.mean(values))
    assert content["accuracy"]["deviation"] == pytest.approx(np.std(values, ddof=1))
    assert f"{np.mean(values):9.4f}" in capsys.readouterr().out
    logits = [outputs["logits"] for outputs in job.scored]
    assert not np.allclose(logits[0], logits[1])


def test_interval_is_students():
    # 95 % of Student's t with 2 degrees of freedom lies within 4.3027.
    mean, deviation, half = finetuning.summarize([1.0, 2.0, 3.0])
    assert (mean, deviation) == (2.0, 1.0)
    assert half == pytest.approx(4.302652 / math.sqrt(3), rel=1e-5)


def test_frozen_layers_and_layer_decay(tmp_path):
    common = {"do_train": True, "num_train_epochs": 1.0}
    toy.run(tmp_path / "start", toy.ToyJob(), **{**common, "learning_rate": 1e-30})
    toy.run(tmp_path / "frozen", toy.ToyJob(), **common, freeze_layers=1)
    toy.run(tmp_path / "decayed", toy.ToyJob(), **common, layer_decay=0.01)
    start, frozen, decayed = (
        small.tensors(tmp_path / name / "model.ckpt-8") for name in ("start", "frozen", "decayed")
    )
    moved = {
        name
        for name in frozen
        if "adam" not in name
        and name != "global_step"
        and not name.startswith("bert_tf/")
        and not np.allclose(frozen[name], start[name], atol=1e-8)
    }
    assert moved
    assert not [name for name in moved if "embeddings" in name or "layer_0" in name]
    assert not [name for name in frozen if "layer_0" in name and "adam" in name]

    def distance(name):
        return np.abs(decayed[name] - start[name]).mean()

    kernel = "bert/encoder/layer_{}/output/dense/kernel"
    assert distance("output_weights") > 20 * distance(kernel.format(1))
    assert distance(kernel.format(1)) > 20 * distance(kernel.format(0)) > 0


def test_a_model_without_its_head_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(toy, "CONFIG", BertConfig.from_json_file(small.CONFIG))
    with pytest.raises(CheckpointError, match=r"lacks .*output_weights, output_bias\. Train with"):
        toy.run(tmp_path, toy.ToyJob(), do_eval=True, init_checkpoint=small.CHECKPOINT)


def test_nothing_to_evaluate_is_said(tmp_path):
    with pytest.raises(ValueError, match="There is nothing to evaluate"):
        toy.run(tmp_path, toy.ToyJob(), do_predict=True)


def test_a_metric_that_is_no_score_is_said(tmp_path):
    job = toy.ToyJob(metric="f1")
    with pytest.raises(ValueError, match=r"chosen by 'f1', not in \['accuracy'\]"):
        toy.run(tmp_path, job, do_train=True, eval_every=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_train": False}, "At least one of --do_train, --do_eval and --do_predict"),
        ({"num_train_epochs": 0.0}, "--num_train_epochs must be above 0, but is 0.0"),
        ({"num_train_epochs": 0.01}, "0.01 epochs of 256 hold none"),
        ({"warmup_proportion": 1.0}, r"--warmup_proportion must be in \[0, 1\), but is 1.0"),
        ({"seeds": 0}, "--seeds must be at least 1, but is 0"),
        ({"early_stop": 2}, "--early_stop=2 counts evaluations, but --eval_every is 0"),
        ({"layer_decay": 0.0}, r"--layer_decay must be in \(0, 1\], but is 0.0"),
        ({"freeze_layers": -1}, "--freeze_layers must not be negative, but is -1"),
    ],
)  # fmt: skip
def test_bad_options_are_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        toy.run(tmp_path, toy.ToyJob(), **{"do_train": True, **changes})
