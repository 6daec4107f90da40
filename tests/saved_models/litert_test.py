"""int8 files for LiteRT: their size, their vectors beside the model's, and the runner alone."""

import dataclasses
import json
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface
from bert_tf.conversion.weight_map import named_variables
from bert_tf.inputs.features import pack
from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.task_heads import build_classifier
from bert_tf.tokenization import FullTokenizer
from saved_models import export_litert, litert
from saved_models.litert_runner import Card, LiteRunner
from tests.support import exports, small
from tests.support.commands import run

LENGTH = 16
CONFIG = BertConfig.from_json_file(small.CONFIG)
# Large enough that the weights are most of the file, as they are of any model in use.
LARGER = dataclasses.replace(CONFIG, vocab_size=8000, hidden_size=128, intermediate_size=512)
MRPC = small.GOLDENS / "mrpc" / "model.ckpt-24"
LABELS = ("0", "1")
FIRST = ["The lamp is lit.", "", "A long text about the keeper, his lamp, his stairs and the sea."]
SECOND = ["He lit the lamp.", "nothing", "short"]


def request(kind, checkpoint, **changes):
    return exports.request(kind, checkpoint, max_seq_length=LENGTH, **changes)


@pytest.fixture(scope="module")
def encoder():
    return build_encoder(LARGER, seed=1)


@pytest.fixture(scope="module")
def encoder_folder(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lite") / "encoder"
    card = Card(litert.ENCODER, True, LENGTH)
    return folder, litert.export_litert(litert.ENCODER, encoder, small.VOCAB, card, folder)


@pytest.fixture(scope="module")
def classifier():
    return export_litert.load_model(request(litert.CLASSIFIER, MRPC, labels=LABELS))[0]


@pytest.fixture(scope="module")
def classifier_folder(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lite") / "classifier"
    card = Card(litert.CLASSIFIER, True, LENGTH, LABELS)
    litert.export_litert(litert.CLASSIFIER, classifier, small.VOCAB, card, folder)
    return folder


def packed(first, second=None):
    """Inputs as the project's own packing makes them."""
    tokenizer = FullTokenizer(small.VOCAB)
    rows = [
        pack(
            tokenizer.encode(text),
            None if second is None else tokenizer.encode(second[number]),
            max_seq_length=LENGTH,
            cls_id=tokenizer.vocab["[CLS]"],
            sep_id=tokenizer.vocab["[SEP]"],
        )
        for number, text in enumerate(first)
    ]
    names = {"input_word_ids": "input_ids", "input_mask": "input_mask"}
    names["input_type_ids"] = "segment_ids"
    return {name: np.array([getattr(row, ours) for row in rows]) for name, ours in names.items()}


def test_size_and_cosine(encoder_folder):
    folder, fidelity = encoder_folder
    assert fidelity.size <= 0.3
    assert 0.99 <= fidelity.lowest <= fidelity.cosine <= 1.0001
    assert re.fullmatch(
        r"0\.2\d\dx the size of float32 weights; "
        r"cosine [01]\.\d{5} on average, [01]\.\d{5} at least",
        str(fidelity),
    )
    card = json.loads((folder / "model_card.json").read_text())
    assert card["type"] == "encoder"
    assert card["size_bytes"] == (folder / "model.tflite").stat().st_size
    assert sorted(path.name for path in folder.iterdir()) == [
        "model.tflite", "model_card.json", "vocab.txt",
    ]  # fmt: skip


def test_the_weights_are_int8(encoder_folder):
    tensors = Interpreter(str(encoder_folder[0] / "model.tflite")).get_tensor_details()
    large = [each["dtype"] for each in tensors if np.prod(each["shape"]) > 10_000]
    # Word embeddings, and four matrices of each of the two layers at least.
    assert len(large) > 8
    assert set(large) == {np.int8}


def test_vectors_are_the_models(encoder, encoder_folder):
    found = LiteRunner(encoder_folder[0])(FIRST)
    inputs = packed(FIRST)
    expected = encoder(inputs)
    assert found["sequence_output"].shape == (3, LENGTH, 128)
    for name in ("sequence_output", "pooled_output"):
        np.testing.assert_allclose(found[name], expected[name], atol=0.1)
    assert np.abs(found["sequence_output"] - expected["sequence_output"]).max() > 0  # it is int8


def test_classes_are_the_models(classifier, classifier_folder):
    runner = LiteRunner(classifier_folder, threads=1)
    logits = np.asarray(classifier(packed(FIRST, SECOND))["logits"])
    found = runner(FIRST, SECOND)
    np.testing.assert_allclose(found["logits"], logits, atol=0.02)
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)
    said = runner.classify(FIRST, SECOND)
    assert [label for label, _ in said] == [
        LABELS[place] for place in found["logits"].argmax(axis=1)
    ]
    assert [share for _, share in said] == found["probabilities"].max(axis=1).tolist()


def test_batches_are_filled_up(encoder, tmp_path):
    content = litert.convert(litert.ENCODER, encoder, LENGTH, batch_size=2)
    (tmp_path / "model.tflite").write_bytes(content)
    (tmp_path / "vocab.txt").write_bytes(small.VOCAB.read_bytes())
    card = Card(litert.ENCODER, True, LENGTH)
    (tmp_path / "model_card.json").write_text(json.dumps(card.to_dict()))
    found = LiteRunner(tmp_path)(FIRST)["pooled_output"]
    assert found.shape == (3, 128)
    np.testing.assert_allclose(found, encoder(packed(FIRST))["pooled_output"], atol=0.1)


ALONE = """
import sys
from saved_models.litert_runner import LiteRunner
print(LiteRunner(sys.argv[1]).classify(["The lamp is lit."], ["He lit the lamp."]))
print("tensorflow" in sys.modules)
"""


def test_the_runner_needs_no_tensorflow(classifier_folder):
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(classifier_folder)],
        cwd=small.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said, tensorflow = done.stdout.splitlines()
    assert tensorflow == "False", done.stderr
    assert re.fullmatch(r"\[\('[01]', 0\.\d+\)\]", said)


def test_vectors_that_int8_spoils_are_refused(encoder, tmp_path):
    bad, card = litert.Fidelity(0.9712, 0.5, 0.25), Card(litert.ENCODER, True, LENGTH)
    with (
        mock.patch.object(litert, "compare", return_value=bad),
        pytest.raises(ValueError, match=r"a cosine of 0.99 .* got 0.9712. Its weights do not bear"),
    ):
        litert.export_litert(litert.ENCODER, encoder, small.VOCAB, card, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_there_is_refused(encoder, tmp_path):
    with pytest.raises(ValueError, match=f"--export_dir must be new, but {tmp_path} is there"):
        litert.export_litert(
            litert.ENCODER, encoder, small.VOCAB, Card(litert.ENCODER, True, LENGTH), tmp_path
        )


def test_what_is_no_export_is_refused(tmp_path, encoder_folder):
    with pytest.raises(ValueError, match=f"{tmp_path} must be a folder that saved_models.export_l"):
        LiteRunner(tmp_path)
    for name in ("vocab.txt", "model_card.json"):
        (tmp_path / name).write_bytes((encoder_folder[0] / name).read_bytes())
    (tmp_path / "model.tflite").write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"model.tflite must be a model for LiteRT; "):
        LiteRunner(tmp_path)
    with (
        mock.patch.dict(sys.modules, {"ai_edge_litert.interpreter": None}),
        pytest.raises(ModuleNotFoundError, match="needs ai-edge-litert, which is not installed"),
    ):
        LiteRunner(tmp_path)


def test_calls_that_make_no_sense_are_refused(encoder_folder):
    runner = LiteRunner(encoder_folder[0])
    with pytest.raises(ValueError, match=r"There must be a text at least, .* got 0 and 0"):
        runner([])
    with pytest.raises(ValueError, match="got 2 and 1"):
        runner(["a", "b"], ["c"])
    with pytest.raises(ValueError, match=r"needs a model with labels; .* of the type encoder"):
        runner.classify(["a"])


def test_weights_and_labels_are_needed(tmp_path):
    for kind, checkpoint, labels, message in (
        (litert.CLASSIFIER, small.CHECKPOINT, LABELS, "needs the weights output_weights, output_b"),
        (litert.CLASSIFIER, MRPC, (), "are names, but none are known: give --labels"),
    ):
        with pytest.raises(ValueError, match=message):
            export_litert.load_model(request(kind, checkpoint, labels=labels))
    folder = tmp_path / "hf"
    encoder = build_encoder(CONFIG, seed=1)
    weights = {name: np.asarray(value) for name, value in named_variables(encoder).items()}
    huggingface.write_folder(
        folder, CONFIG, {n: v for n, v in weights.items() if "pooler" not in n}, small.VOCAB, True
    )
    with pytest.raises(ValueError, match="type=encoder needs the weights bert/pooler/dense/"):
        export_litert.load_model(request(litert.ENCODER, folder))


def test_command(tmp_path, capsys):
    """What lies beside a run's checkpoint need not be named."""
    run_folder = exports.run_folder(
        tmp_path / "run", build_classifier(CONFIG, 2), task="classifier", labels=["no", "yes"]
    )
    run(
        "saved_models.export_litert",
        export_type="classifier",
        init_checkpoint=run_folder,
        max_seq_length=LENGTH,
        export_dir=tmp_path / "lite",
    )
    assert re.match(rf"{tmp_path}/lite: \d\.\d+x the size", capsys.readouterr().out)
    assert LiteRunner(tmp_path / "lite").card == Card("classifier", True, LENGTH, ("no", "yes"))
