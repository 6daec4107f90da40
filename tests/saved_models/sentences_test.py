"""Exported classifiers, regressions and sentence vectors answer as the commands predict."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.task_heads import build_classifier
from saved_models.sentences import build_classification, build_regression
from tests.support import commands, exports

LABELS = ["no", "yes", "perhaps"]
TEXTS = ["the lamp", "", "Café, 東京! [MASK]", "the keeper of the lighthouse " * 12, "it's"]
SECOND = ["The stairs.", "the lamp and the sea " * 9, "", "the wind " * 20, "unaffable é"]
WITHIN = {"rtol": 0, "atol": 1e-5}


def table(path):
    path.write_text(
        "".join(
            json.dumps({"text": a, "more": b}) + "\n" for a, b in zip(TEXTS, SECOND, strict=True)
        )
    )
    return path


def predicted(folder, run, **flags):
    """The lines that run_classifier predicts."""
    commands.run(
        "run_classifier",
        predict_file=table(folder / "texts.jsonl"),
        text_a="text",
        do_predict=True,
        init_checkpoint=run,
        bert_config_file=run / "bert_config.json",
        vocab_file=run / "vocab.txt",
        max_seq_length=exports.LENGTH,
        output_dir=folder / "predicted",
        **flags,
    )
    lines = (folder / "predicted" / "predictions.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "run"
    model = build_classifier(exports.CONFIG, len(LABELS), seed=3)
    made = exports.run_folder(folder, model, task="classifier", labels=LABELS, pairs=True)
    (made / "eval_results.txt").write_text(
        "eval_accuracy = 0.75\nglobal_step = 7\npearson = nan\nmost = inf\nnote = fine\n"
    )
    return made


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Verified in a fresh process, then moved."""
    folder = tmp_path_factory.mktemp("exports")
    exports.export(run, folder / "first", "classifier", license="Apache-2.0")
    shutil.move(folder / "first", folder / "moved")
    return folder / "moved"


@pytest.fixture(scope="module")
def model(exported):
    return tf.saved_model.load(str(exported))


def test_a_classifier_answers_as_the_command_predicts(model, run, tmp_path):
    rows = predicted(tmp_path, run, text_b="more")
    found = exports.call(model, text_a=TEXTS, text_b=SECOND)
    assert [label.decode() for label in found["label"]] == [row["label"] for row in rows]
    wanted = [[row["probabilities"][label] for label in LABELS] for row in rows]
    assert np.ptp(wanted, axis=0).max() > 0.02  # texts do differ
    np.testing.assert_allclose(found["probabilities"], wanted, **WITHIN)
    assert found["labels"].astype(str).tolist() == [LABELS] * len(TEXTS)
    assert found["probability"].tolist() == found["probabilities"].max(axis=1).tolist()


def test_pairs_may_be_read_in_windows(model, run, tmp_path):
    rows = predicted(tmp_path, run, text_b="more", long_texts="window")
    request = exports.request(
        "classifier", run, labels=tuple(LABELS), pairs=True, stride=exports.LENGTH // 2
    )
    texts = {"text_a": tf.constant(TEXTS), "text_b": tf.constant(SECOND)}
    found = build_classification(request).module.answer(texts)
    wanted = [[row["probabilities"][label] for label in LABELS] for row in rows]
    np.testing.assert_allclose(found["probabilities"], wanted, **WITHIN)
    cut = exports.call(model, text_a=TEXTS, text_b=SECOND)["probabilities"]
    assert np.abs(found["probabilities"] - cut).max() > 1e-4


def test_signatures_have_the_names_and_types_of_the_contract(model):
    answers = {
        "label": "string",
        "labels": "string",
        "probability": "float32",
        "probabilities": "float32",
    }
    texts = {"text_a": "string", "text_b": "string"}
    ids = dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), "int32")
    assert set(model.signatures) == {"serving_default", "serve_examples", "serve_ids"}
    assert exports.specs(model, "serving_default") == (texts, answers)
    assert exports.specs(model, "serve_examples") == ({"examples": "string"}, answers)
    assert exports.specs(model, "serve_ids") == (ids, {"logits": "float32"})


def test_examples_hold_the_same_texts(model):
    direct = exports.call(model, text_a=TEXTS, text_b=SECOND)
    examples = exports.serialized(text_a=TEXTS, text_b=SECOND)
    again = exports.call(model, "serve_examples", examples=examples)
    for name, value in direct.items():
        assert again[name].tolist() == value.tolist()


def test_batches_of_nothing_and_of_empty_texts(model):
    nothing = exports.call(model, text_a=np.zeros([0], str), text_b=np.zeros([0], str))
    assert {name: value.shape for name, value in nothing.items()} == {
        "label": (0,), "probability": (0,), "labels": (0, 3), "probabilities": (0, 3),
    }  # fmt: skip
    empty = exports.call(model, text_a=[""], text_b=[""])
    among = exports.call(model, text_a=["", "the lamp"], text_b=["", ""])
    np.testing.assert_allclose(empty["probabilities"][0], among["probabilities"][0], **WITHIN)


def test_nothing_is_compiled_unasked(exported):
    assert exports.compiled_operations(exported) == set()


def test_card(exported, run):
    card = json.loads((exported / "model_card.json").read_text())
    assert card["type"] == "classifier"
    assert card["labels"] == LABELS
    assert card["license"] == "Apache-2.0"
    assert card["metrics"] == {"eval_accuracy": 0.75}
    assert card["source"] == {"name": f"{run.parent.name}/run", "kind": "TensorFlow checkpoint"}
    reader = tf.train.load_checkpoint(str(run / "model.ckpt-7"))
    sizes = [np.prod(shape) for shape in reader.get_variable_to_shape_map().values()]
    assert card["parameters"] == sum(sizes)
    assert card["weights_dtype"] == "float32"
    data = exported / "variables" / "variables.data-00000-of-00001"
    assert card["weights_sha256"] == exports.sha256(data)
    assert card["vocab_sha256"] == exports.sha256(run / "vocab.txt")
    assert data.stat().st_size < card["size_bytes"] < data.stat().st_size + 8e6
    assert card["signatures"]["serving_default"]["outputs"]["probabilities"] == {
        "dtype": "float32",
        "shape": [None, 3],
    }
    page = (exported / "README.md").read_text()
    for said in (
        "# BERT, classifier",
        "/run (TensorFlow checkpoint) |",
        "| eval_accuracy | 0.75 |",
        "no, yes, perhaps",
    ):
        assert said in page
    assert "| `serve_examples` | `examples` string [?] | `label` string [?]<br>" in page


def test_the_code_on_the_card_runs(exported):
    code = (exported / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(code.replace("THIS_FOLDER", str(exported)), names)
    assert names["answers"]["label"].numpy()[0].decode() in LABELS


def test_saved_again_inside_another_model(model, tmp_path):
    outer = tf.Module()
    outer.inner = model
    outer.judge = tf.function(
        lambda text: model.signatures["serving_default"](text_a=text, text_b=text)["label"],
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    tf.saved_model.save(outer, str(tmp_path / "outer"))
    again = tf.saved_model.load(str(tmp_path / "outer"))
    expected = exports.call(model, text_a=TEXTS, text_b=TEXTS)["label"]
    assert again.judge(tf.constant(TEXTS)).numpy().tolist() == expected.tolist()


def test_a_regression_answers_as_the_command_predicts(tmp_path):
    made = build_classifier(exports.CONFIG, 1, seed=4)
    run = exports.run_folder(tmp_path / "run", made, task="regression", labels=[])
    rows = predicted(tmp_path, run, long_texts="window", doc_stride=10)
    module = build_regression(exports.request("regression", run, stride=10)).module
    found = module.answer({"text_a": tf.constant(TEXTS)})
    assert found.keys() == {"value"}
    wanted = [row["value"] for row in rows]
    np.testing.assert_allclose(found["value"], wanted, **WITHIN)
    assert np.ptp(wanted) > 0.1


def test_vectors_are_those_of_the_command(tmp_path):
    """With all options of storing and running: half the size, and close to the whole weights."""
    encoder = build_encoder(exports.CONFIG, seed=5)
    run = exports.run_folder(tmp_path / "run", encoder, task="any")
    options = {"weights_dtype": "float16", "batch_buckets": "1,4", "length_buckets": "8,24"}
    exports.export(run, tmp_path / "half", "embedding", jit_compile=True, **options)
    model = tf.saved_model.load(str(tmp_path / "half"))
    texts = [" ".join(text.split()) for text in TEXTS]
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n")
    commands.run(
        "embed",
        input_file=tmp_path / "texts.txt",
        output_file=tmp_path / "vectors.npy",
        init_checkpoint=run,
        bert_config_file=run / "bert_config.json",
        vocab_file=run / "vocab.txt",
        max_seq_length=exports.LENGTH,
    )
    found = exports.call(model, text_a=texts)
    assert exports.specs(model, "serve_ids")[1] == {"embedding": "float32"}
    assert exports.compiled_operations(tmp_path / "half") >= {"MatMul", "Softmax"}
    wanted = np.load(tmp_path / "vectors.npy")
    np.testing.assert_allclose(found["embedding"], wanted, rtol=0, atol=1e-3)  # of float16
    assert np.abs(found["embedding"] - wanted).max() > 1e-6
    sizes = [
        (folder / name).stat().st_size
        for folder, name in (
            (tmp_path / "half" / "variables", "variables.data-00000-of-00001"),
            (run, "model.ckpt-7.data-00000-of-00001"),
        )
    ]
    pooler = 4 * (32 * 32 + 32)  # is not stored
    assert sizes[0] < 0.52 * (sizes[1] - pooler) + 4096  # names and shapes of objects
