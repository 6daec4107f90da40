"""Exported multiple choice answers as run_swag predicts."""

import json

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.modeling.task_heads import build_multiple_choice
from saved_models.choices import build_choices
from tests.support import commands, exports

CONTEXTS = ["the lamp", "", "the keeper of the lighthouse " * 12, "Café 東京"]
STARTS = ["It", "", "the wind", "So, he"]
CHOICES = [["is cold", "sings", ""], ["a", "b", "c"], ["the sea " * 20, "x", "y"], ["é", "e", "it"]]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("choices") / "run"
    model = build_multiple_choice(exports.CONFIG, seed=3)
    return exports.run_folder(folder, model, task="multiple_choice", choices=3, start=True)


@pytest.fixture(scope="module")
def model(run, tmp_path_factory):
    folder = exports.export(run, tmp_path_factory.mktemp("exports") / "out", "multiple_choice")
    return tf.saved_model.load(str(folder))


def test_it_chooses_as_the_command(model, run, tmp_path):
    rows = zip(CONTEXTS, STARTS, CHOICES, strict=True)
    lines = [json.dumps({"text": a, "ask": b, "options": c}) for a, b, c in rows]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines))
    commands.run(
        "run_swag",
        predict_file=tmp_path / "questions.jsonl",
        context="text",
        question="ask",
        choices="options",
        do_predict=True,
        init_checkpoint=run,
        bert_config_file=run / "bert_config.json",
        vocab_file=run / "vocab.txt",
        max_seq_length=exports.LENGTH,
        output_dir=tmp_path / "predicted",
    )
    lines = (tmp_path / "predicted" / "predictions.jsonl").read_text().splitlines()
    said = [json.loads(line) for line in lines]
    found = exports.call(model, context=CONTEXTS, choices=CHOICES, start=STARTS)
    wanted = [row["probabilities"] for row in said]
    np.testing.assert_allclose(found["probabilities"], wanted, rtol=0, atol=1e-5)
    assert found["choice"].tolist() == [row["choice"] for row in said]
    assert len(set(found["choice"].tolist())) > 1


def test_signatures(model):
    answers = {"choice": "int32", "probabilities": "float32"}
    texts = dict.fromkeys(("context", "choices", "start"), "string")
    assert exports.specs(model, "serving_default") == (texts, answers)
    assert exports.specs(model, "serve_examples") == ({"examples": "string"}, answers)
    ids = model.signatures["serve_ids"].structured_input_signature[1]
    assert {spec.shape.rank for spec in ids.values()} == {3}


def test_examples_hold_lists_of_choices(model):
    texts = {"context": CONTEXTS, "choices": CHOICES, "start": STARTS}
    direct = exports.call(model, **texts)
    again = exports.call(model, "serve_examples", examples=exports.serialized(**texts))
    assert again["probabilities"].tolist() == direct["probabilities"].tolist()
    uneven = exports.serialized(context=["a", "b"], choices=[["x", "y"], ["z"]], start=["", ""])
    with pytest.raises(tf.errors.InvalidArgumentError, match="must have as many choices as the"):
        exports.call(model, "serve_examples", examples=uneven)


def test_no_questions(model):
    nothing = {"context": np.zeros([0], str), "start": np.zeros([0], str)}
    found = exports.call(model, **nothing, choices=np.zeros([0, 4], str))
    assert found["choice"].shape == (0,)
    assert found["probabilities"].shape == (0, 4)


def test_without_a_start(run):
    """The same answers as of choices that begin with it, for any number of choices."""
    module = build_choices(exports.request("multiple_choice", run)).module
    assert list(module.text_inputs) == ["context", "choices"]
    choices = [[f"It {choice}" for choice in row[:2]] for row in CHOICES]
    plain = module.answer({"context": tf.constant(CONTEXTS), "choices": tf.constant(choices)})
    module = build_choices(exports.request("multiple_choice", run, start=True)).module
    texts = {"choices": [row[:2] for row in CHOICES], "start": ["It"] * 4, "context": CONTEXTS}
    started = module.answer({name: tf.constant(value) for name, value in texts.items()})
    np.testing.assert_array_equal(plain["probabilities"], started["probabilities"])
