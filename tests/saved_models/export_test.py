"""The command: what it takes from a checkpoint's folder, and what it refuses."""

import ast
import json
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion.convert import convert
from bert_tf.modeling.task_heads import build_classifier, build_span_model
from saved_models import export as command
from saved_models.building import Exported
from saved_models.network import NetworkOptions
from saved_models.sentences import build_classification
from saved_models.verify import answer, differs, listed, tensors
from tests.support import exports, small

LABELS = ["no", "yes", "perhaps"]
FILES = {"bert_config_file": small.CONFIG, "vocab_file": small.VOCAB}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    model = build_classifier(exports.CONFIG, len(LABELS), seed=3)
    folder = tmp_path_factory.mktemp("runs") / "best"
    return exports.run_folder(folder, model, task="classifier", labels=LABELS, pairs=True)


@pytest.fixture
def requested(monkeypatch):
    """A function from flags to the request that they make."""
    made = []
    monkeypatch.setattr(command, "export", lambda request, _: made.append(request) or "")

    def ask(checkpoint, **changes):
        exports.export(checkpoint, "nowhere", changes.pop("export_type", "classifier"), **changes)
        return made[-1]

    return ask


def test_what_lies_beside_the_checkpoint_need_not_be_named(run, requested, tmp_path):
    found = requested(run)
    assert (found.vocab_file, found.do_lower_case) == (run / "vocab.txt", True)
    assert (found.max_seq_length, found.config) == (exports.LENGTH, exports.CONFIG)
    assert (found.labels, found.pairs, found.start) == (tuple(LABELS), True, False)
    assert found.options == NetworkOptions()
    prefix = requested(run / "model.ckpt-7")
    assert (prefix.vocab_file, prefix.labels) == (found.vocab_file, found.labels)

    (tmp_path / "labels.txt").write_text("a\n\nb, really\nc\n")
    told = requested(
        run, labels=tmp_path / "labels.txt", pairs=False, do_lower_case=False, max_seq_length=9,
        long_texts="window", weights_dtype="bfloat16", jit_compile=True, batch_buckets="1,8",
        length_buckets="16", **FILES,
    )  # fmt: skip
    assert told.labels == ("a", "b, really", "c")
    assert (told.pairs, told.do_lower_case, told.max_seq_length) == (False, False, 9)
    assert (found.stride, told.stride) == (0, 4)
    assert told.options == NetworkOptions("bfloat16", True, (1, 8), (16,))
    assert told.vocab_file == small.VOCAB
    assert requested(run, labels="x, y,z").labels == ("x", "y", "z")
    assert found.told["task"] == "classifier"


@pytest.mark.parametrize(
    ("export_type", "length", "stride"), [("fill_mask", 128, 0), ("embedding", 256, 128)]
)
def test_lengths_are_those_of_the_commands(requested, tmp_path, export_type, length, stride):
    config = tmp_path / "bert_config.json"
    config.write_text(
        small.CONFIG.read_text().replace(
            '"max_position_embeddings": 128',
            """
        "max_position_embeddings": 512""",
        )
    )
    flags = {**FILES, "bert_config_file": config, "export_type": export_type}
    found = requested(small.CHECKPOINT, **flags)
    assert (found.max_seq_length, found.stride) == (length, stride)


def test_the_files_of_a_run_serve_its_best_checkpoint(run, requested, tmp_path):
    """Where `best` holds nothing but a checkpoint, what it needs lies around it."""
    best = tmp_path / "best"
    best.mkdir()
    for path in run.iterdir():
        is_weights = path.name.startswith(("model", "checkpoint"))
        ((best if is_weights else tmp_path) / path.name).write_bytes(path.read_bytes())
    found = requested(best)
    assert found.vocab_file == tmp_path / "vocab.txt"
    assert (found.config, found.labels) == (exports.CONFIG, tuple(LABELS))


def test_a_hugging_face_folder_brings_all(run, requested, tmp_path):
    folder = tmp_path / "hugging"
    convert(
        str(run), str(folder), "huggingface", exports.CONFIG, small.VOCAB, labels=LABELS
    )  # fmt: skip
    found = requested(folder, max_seq_length=exports.LENGTH)
    assert (found.vocab_file, found.labels) == (folder / "vocab.txt", tuple(LABELS))
    texts = {"text_a": tf.constant(["the lamp", ""])}
    answers = [
        build_classification(request).module.answer(texts)
        for request in (found, exports.request("classifier", run, labels=tuple(LABELS)))
    ]
    np.testing.assert_array_equal(answers[0]["label"], answers[1]["label"])
    np.testing.assert_allclose(answers[0]["probabilities"], answers[1]["probabilities"], atol=1e-6)


def test_flags_of_squad_stand_before_the_run(requested, tmp_path):
    told = {"version_2": True, "doc_stride": 8, "null_score_diff_threshold": 1.5, "n_best_size": 4}
    run = exports.run_folder(
        tmp_path / "run", build_span_model(exports.CONFIG), task="squad", **told
    )
    assert requested(run, export_type="squad").told.items() >= told.items()
    given = {
        "null_score_diff_threshold": -2.5, "doc_stride": 3, "max_query_length": 5,
        "n_best_size": 2, "max_answer_length": 9,
    }  # fmt: skip
    found = requested(run, export_type="squad", version_2_with_negative=False, **given)
    assert found.told.items() >= {**given, "version_2": False, "task": "squad"}.items()
    assert found.stride == 0  # `told` has it


def test_long_texts_are_read_as_the_run_read_them(requested, tmp_path):
    model = build_classifier(exports.CONFIG, 2)
    task = {"task": "classifier", "labels": ["no", "yes"]}
    windows = exports.run_folder(tmp_path / "windows", model, doc_stride=6, **task)
    cut = exports.run_folder(tmp_path / "cut", model, doc_stride=0, **task)
    assert requested(windows).stride == 6
    assert requested(windows, doc_stride=5).stride == 5
    assert requested(windows, long_texts="truncate").stride == 0
    assert requested(windows, export_type="embedding").stride == exports.LENGTH // 2
    assert [requested(cut).stride, requested(cut, doc_stride=5).stride] == [0, 5]
    with pytest.raises(
        ValueError, match=r"--doc_stride must be .* below --max_seq_length = 6, .* 6"
    ):
        requested(windows, max_seq_length=6)


def folder_of_nothing(run, folder):
    (folder / "empty").mkdir()
    return {"init_checkpoint": folder / "empty", **FILES}


def quoted_number(run, folder):
    text = small.CONFIG.read_text().replace('"hidden_size": 32', '"hidden_size": "32"')
    (folder / "bert_config.json").write_text(text)
    (folder / "checkpoint").write_bytes((run / "checkpoint").read_bytes())
    return {"init_checkpoint": folder, "vocab_file": small.VOCAB}


def other_vocabulary(run, folder):
    lines = small.VOCAB.read_text().splitlines()
    (folder / "vocab.txt").write_text("\n".join(lines[:300]))
    return {"vocab_file": folder / "vocab.txt"}


MISTAKES = {
    "a head that is not there": (
        lambda *_: {"init_checkpoint": small.CHECKPOINT, "labels": "a,b", **FILES},
        "--export_type=classifier needs the weights output_weights, output_bias, but .* lacks them",
    ),
    "no masked language model": (
        lambda *_: {"export_type": "fill_mask"},
        "needs the weights cls/predictions/output_bias, .* another --export_type",
    ),
    "other labels": (
        lambda *_: {"labels": "a,b"},
        r"The head of .* gives 3 numbers, but there are 2 labels \(a, b, from --labels\)",
    ),
    "a classifier as a regression": (
        lambda *_: {"export_type": "regression", "labels": ""},
        "gives 3 numbers, but --export_type=regression takes a head of 1",
    ),
    "no labels": (
        lambda *_: {"init_checkpoint": small.CHECKPOINT, **FILES},
        "The answers of --export_type=classifier are names, but none are known: give --labels",
    ),
    "a label twice": (
        lambda *_: {"labels": "a,a,b"},
        "must name every class once, but are a, a, b",
    ),
    "another vocabulary": (
        other_vocabulary,
        "must be the checkpoint's, but .* has 300 tokens and the model 484. Give the --vocab_file",
    ),
    "no model": (folder_of_nothing, "is given by its prefix or its directory, but the directory"),
    "no file": (
        lambda _, folder: {"init_checkpoint": folder / "model.ckpt", **FILES},
        "No readable checkpoint at ",
    ),
    "no checkpoint": (
        lambda *_: {"init_checkpoint": "", **FILES},
        "--export_type=classifier exports a model: --init_checkpoint must name one, but is empty",
    ),
    "too long": (lambda *_: {"max_seq_length": 999}, "has only max_position_embeddings = 128"),
    "no choice of long texts": (
        lambda *_: {"export_type": "fill_mask", "long_texts": "window"},
        r"--long_texts is for --export_type=classifier, .*, but is given for fill_mask\. Leave",
    ),
    "a number in quotes": (
        quoted_number,
        r"hidden_size must be .*'32'",
    ),
    "long buckets": (
        lambda *_: {"length_buckets": "64,256"},
        "no longer than the model's max_position_embeddings = 128, but the last is 256",
    ),
    "no buckets": (lambda *_: {"batch_buckets": "1,x"}, "must be whole numbers, .* but is 1,x"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_said_and_leave_nothing(run, tmp_path, mistake):
    make, message = MISTAKES[mistake]
    changes = {"init_checkpoint": run, "export_type": "classifier", **make(run, tmp_path)}
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=message):
        exports.export(changes.pop("init_checkpoint"), tmp_path / "out", **changes)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("export_type", "flag", "value"),
    [
        ("preprocessor", "weights_dtype", "float16"),
        ("preprocessor", "length_buckets", "8"),
        ("encoder", "jit_compile", True),
        ("encoder", "labels", "a,b"),
        ("fill_mask", "doc_stride", 8),
        ("ner", "doc_stride", 8),
        ("classifier", "null_score_diff_threshold", 0.0),
        ("squad", "long_texts", "window"),
        ("squad", "top_k", 5),
        ("embedding", "pairs", False),
        ("regression", "start", True),
    ],
)
def test_a_flag_without_a_meaning_is_refused(run, requested, export_type, flag, value):
    with pytest.raises(ValueError, match=rf"^--{flag} is for .* given for {export_type}\. Leave"):
        requested(run, export_type=export_type, **{flag: value})


def test_an_encoder_takes_all_lengths(run, requested):
    assert requested(run, export_type="encoder").max_seq_length == 128
    with pytest.raises(
        ValueError, match=r"takes all lengths up to .* = 128, but --max_seq_length=9"
    ):
        requested(run, export_type="encoder", max_seq_length=9)


def test_an_export_that_fails_in_a_fresh_process_leaves_nothing(tmp_path, monkeypatch):
    case = {"call": "part", "inputs": ["x"], "expected": []}
    monkeypatch.setitem(command.BUILDERS, "preprocessor", lambda _: Exported(tf.Module(), [case]))
    with pytest.raises(
        RuntimeError, match=r"fresh process: .*\.part\(\['x'\]\) fails: .* attribute"
    ):
        exports.export("", tmp_path / "out", "preprocessor", vocab_file=small.VOCAB)
    assert list(tmp_path.iterdir()) == []


def test_the_fresh_process_imports_nothing_of_the_project():
    tree = ast.parse(command.VERIFY.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names if isinstance(node, ast.Import)}
    names |= {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    own = {"tensorflow", "tensorflow_text", "numpy"}
    assert own < names <= own | set(sys.stdlib_module_names)


def test_differences_are_told_by_their_place():
    same = {"a": [[1.0, 2], ["x"]], "b": [1e6]}
    assert differs({"a": [[1.000001, 2], ["x"]], "b": [1e6 + 5]}, same, 1e-5) == ""
    for found, said in (
        ({"a": [[1.1, 2], ["x"]], "b": [1e6]}, ".a[0][0] is 1.1, but should be 1.0"),
        ({"a": [[1.0, 3], ["x"]], "b": [1e6]}, ".a[0][1] is 3, but should be 2"),
        ({"a": [[1.0, 2], ["y"]], "b": [1e6]}, ".a[1][0] is 'y', but should be 'x'"),
        ({"a": [[1.0, 2], []], "b": [1e6]}, ".a[1]: has the size 0, but should have 1"),
        ({"a": []}, ": has ['a'], but should have ['a', 'b']"),
        ({"a": [[1.0, 2], ["x"]], "b": [float("nan")]}, ".b[0] is nan, but should be 1000000.0"),
        ([], " is [], but should be {'a': [[1.0, 2], ['x']], 'b': [1000000.0]}"),
    ):
        assert differs(found, same, 1e-5) == said


def test_only_the_first_entries_are_compared_where_a_case_says_so():
    outputs = {"a": tf.constant([[[1, 2, 3]], [[4, 5, 6]]]), "b": tf.constant([7, 8, 9])}
    model = types.SimpleNamespace(signatures={"s": lambda: outputs})
    found = answer(model, {"signature": "s", "inputs": {}, "first": {"a": 2}})
    assert found == {"a": [[[1, 2]], [[4, 5]]], "b": [7, 8, 9]}


def test_every_signature_of_a_task_is_tried(run):
    made = build_classification(
        exports.request("classifier", run, labels=tuple(LABELS), pairs=True)
    )
    tried = {case["signature"]: case for case in made.cases}
    assert tried.keys() == made.signatures.keys()
    assert tried["serve_examples"]["expected"] == tried["serving_default"]["expected"]


def test_cases_become_tensors_and_tensors_lists():
    assert tensors({"b64": ["YWJj", "/w=="]}).numpy().tolist() == [b"abc", b"\xff"]
    nested = {"texts": ["a", "é"], "ids": [[1, 2]], "numbers": [0.5]}
    made = tensors(nested)
    assert [made[name].dtype for name in nested] == [tf.string, tf.int32, tf.float32]
    assert listed(made) == nested
    assert listed([tf.ragged.constant([[1], []]), tf.constant("x")]) == [[[1], []], "x"]
    assert listed(tf.constant([0.5], tf.bfloat16)) == [0.5]
    json.dumps(listed(made))
