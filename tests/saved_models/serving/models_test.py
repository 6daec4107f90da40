"""Folders become models: versions, labels, signatures, answers, and what is said to others."""

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from saved_models.serving import models
from saved_models.serving.limits import Limits, RequestError
from saved_models.serving.model_config import ModelConfig, read_model_config
from saved_models.serving.protocol import Request
from saved_models.serving.tensors import Spec
from tests.support import servable, small

EXAMPLE = small.ROOT / "saved_models" / "serving" / "models.config"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return servable.save("classifier", tmp_path_factory.mktemp("models") / "classifier")


@pytest.fixture(scope="module")
def version(folder):
    return models.load_version(folder, 1)


@pytest.fixture
def versions(folder, tmp_path):
    for name in ("1", "2", "10", "12.tmp", ".partial-13"):
        shutil.copytree(folder, tmp_path / "many" / name)
    (tmp_path / "many" / "14").mkdir()  # still being copied
    return tmp_path / "many"


def test_signatures_are_those_of_the_folder(version):
    default = version.signatures["serving_default"]
    assert version.signatures.keys() == {"serving_default", "serve_examples", "serve_ids"}
    assert default.inputs == {"text_a": Spec("object", (None,))}
    assert default.outputs["probabilities"] == Spec("float32", (None, 2))
    assert version.signatures["serve_ids"].inputs == {"input_word_ids": Spec("int32", (None, None))}
    assert version.card == {"type": "classifier", "labels": ["bad", "good"]}


def test_answers(version):
    texts = np.array([b"a good one", b"other"], object)
    found = version.run("serving_default", {"text_a": texts})
    assert found["label"].tolist() == [b"good", b"bad"]
    example = tf.train.Example()
    example.features.feature["text_a"].bytes_list.value.append(b"good")
    examples = np.array([example.SerializeToString()], object)
    assert version.run("serve_examples", {"examples": examples})["label"].tolist() == [b"good"]


@pytest.mark.parametrize(
    ("signature", "arrays", "message"),
    [
        ("serve_ids", {"input_word_ids": np.array([[11]], np.int32)}, r"= 11 is not in \[0, 10\)"),
        ("serve_examples", {"examples": np.array([b"no example"], object)}, "parse"),
    ],
)
def test_what_a_graph_refuses_is_the_senders_error(version, signature, arrays, message):
    with pytest.raises(RequestError, match=message) as caught:
        version.run(signature, arrays)
    assert caught.value.status == 400
    assert "{{node" not in caught.value.message


def test_versions(versions, folder):
    def served(**options):
        return list(models.versions_of(ModelConfig("m", versions, **options)))

    assert served() == [10]  # numbers, not texts; folders of other names are none
    assert served(latest=2) == [2, 10]
    assert served(latest=None) == [1, 2, 10]
    assert served(versions=(2, 1)) == [1, 2]
    assert models.versions_of(ModelConfig("m", folder)) == {1: folder}


def test_model_by_number_and_label(versions):
    config = ModelConfig("m", versions, latest=2, labels={"stable": 2})
    model = models.load_models([config])["m"]
    assert model.version().number == 10
    assert model.version("2").number == model.version(label="stable").number == 2
    for place, message in [
        ({"number": "1"}, 'no version "1" that is served; it has 2, 10'),
        ({"number": "02"}, "no version"),
        ({"label": "canary"}, 'no label "canary"; it has stable'),
    ]:
        with pytest.raises(RequestError) as caught:
            model.version(**place)
        assert caught.value.status == 404
        assert message in caught.value.message


def test_what_is_no_model_is_refused(versions, folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "saved_model.pb").write_bytes(b"damaged")
    bad_card = shutil.copytree(folder, tmp_path / "card")
    (bad_card / "model_card.json").write_text("[1]")
    for number, text in enumerate(['{"metrics": {"pearson": NaN}}', '{"a": 1e999}', '{"a": ']):
        (shutil.copytree(folder, tmp_path / f"card{number}") / "model_card.json").write_text(text)
    shutil.copytree(folder, tmp_path / "twice" / "1")
    shutil.copytree(folder, tmp_path / "twice" / "01")
    silent = tmp_path / "silent"
    tf.saved_model.save(tf.Module(), str(silent))
    for config, message in [
        (ModelConfig("m", empty), "no saved_model.pb is in it"),
        (ModelConfig("m", tmp_path / "none"), "no saved_model.pb is in it"),
        (ModelConfig("m", damaged), f"{damaged} must hold a SavedModel that loads"),
        (ModelConfig("m", bad_card), "model_card.json must hold a JSON object, its numbers finite"),
        (ModelConfig("m", tmp_path / "card0"), "card0/model_card.json: Out of range float"),
        (ModelConfig("m", tmp_path / "card1"), "card1/model_card.json: Out of range float"),
        (ModelConfig("m", tmp_path / "card2"), "Export the model anew, or mend the file."),
        (ModelConfig("m", tmp_path / "twice"), "01 and 1 are the same number. Rename or remove"),
        (ModelConfig("m", silent), "must have signatures to be served"),
        (ModelConfig("a/b", folder), "letters, digits, '.', '_' and '-'; got 'a/b'"),
        (ModelConfig("m", versions, versions=(3,)), "has the versions 1, 2, 10, not 3"),
        (ModelConfig("m", versions, labels={"x": 1}), "which are 10; got 1"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            models.load_models([config])
    with pytest.raises(ValueError, match="a name of its own"):
        models.load_models([ModelConfig("m", folder)] * 2)
    with pytest.raises(ValueError, match="--model NAME=FOLDER"):
        models.load_models([])


def test_a_model_that_cannot_compute_is_refused_in_one_sentence(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text_a")])
    def reads(text_a):
        return {"text": tf.io.read_file(tf.strings.join([str(tmp_path / "none"), text_a[0]]))}

    folder = tmp_path / "absent"
    tf.saved_model.save(tf.Module(), str(folder), signatures=reads)
    with pytest.raises(ValueError, match="must hold a SavedModel that computes here;") as caught:
        models.load_version(folder, 1)
    assert "No such file or directory" in str(caught.value)
    assert str(caught.value).startswith(f"{folder} ")
    assert "\n" not in str(caught.value)


def test_examples_hold_no_more_choices_than_lists_of_json(version):
    example = tf.train.Example()
    texts = example.features.feature["choices"].bytes_list.value
    texts.extend([b"a"] * 3)
    arrays = {"examples": np.array([example.SerializeToString()], object)}
    request = Request(version.signatures["serve_examples"], arrays, 1, True)
    models.check_examples(request, Limits(choices=3))
    with pytest.raises(RequestError, match=r'may hold 2 strings; "choices" has 3') as caught:
        models.check_examples(request, Limits(choices=2))
    assert caught.value.status == 413
    broken = np.array([b"no example"], object)
    models.check_examples(dataclasses.replace(request, arrays={"examples": broken}), Limits())


def test_models_of_the_flag():
    assert models.parse_models(["a=b=c"]) == [ModelConfig("a", Path("b=c"))]
    for value in ("folder", "name="):
        with pytest.raises(ValueError, match=re.escape(f"NAME=FOLDER; got '{value}'")):
            models.parse_models([value])


def test_the_example_file_is_read():
    assert read_model_config(EXAMPLE) == [
        ModelConfig("reviews", Path("/models/reviews"), 1, (1, 2), {"stable": 1, "canary": 2}),
        ModelConfig("questions", Path("/models/questions")),
    ]


def test_the_example_file_is_what_tensorflow_serving_reads():
    config = pytest.importorskip(
        "tensorflow_serving.config.model_server_config_pb2",
        reason="tensorflow-serving-api, which has the messages of the file, is not installed",
    )
    parsed = text_format.Parse(EXAMPLE.read_text(), config.ModelServerConfig())
    (first, _) = parsed.model_config_list.config
    assert list(first.model_version_policy.specific.versions) == [1, 2]
    assert dict(first.version_labels) == {"stable": 1, "canary": 2}


def test_policies_of_a_file(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(
        'model_config_list { config { name: "a" base_path: "x" model_version_policy { all {} } }'
        ' config { name: "b" base_path: "y" model_version_policy { latest { num_versions: 3 } } } }'
    )
    assert [config.latest for config in read_model_config(path)] == [None, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must name at least one model; "),
        ("model_config_list { config { nam: 'a' } }", 'has no field named "nam"'),
        ("model_config_list { config { name: 'a' } }", "must have name, base_path"),
        (
            "model_config_list { config { name: 'a' base_path: 'b' model_platform: 'pytorch' } }",
            "the model_platform 'tensorflow'",
        ),
        (
            "model_config_list { config { name: 'a' base_path: 'b' "
            "model_version_policy { latest { num_versions: 1 } all {} } } }",
            "oneof",
        ),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    path = tmp_path / "models.config"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_model_config(path)
    assert str(path) in str(caught.value)
