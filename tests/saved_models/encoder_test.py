"""The exported encoder: the numbers of the Keras model, what is refused, the command."""

import collections
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface, tfhub
from bert_tf.conversion.tf1 import CheckpointError
from bert_tf.conversion.weight_map import named_variables
from saved_models import building
from saved_models.encoder import MLM, NSP, Encoder, Source, expected_answers
from saved_models.export import export, verify
from tests.support import commands, fused, small
from tests.support.encoders import (
    CONFIG,
    ENCODER,
    IDS,
    NAMES,
    check,
    checkpoint,
    filled,
    scrambled,
)

pytestmark = pytest.mark.usefixtures("nothing_deterministic")


def test_loaded_model_computes_what_the_keras_model_does(loaded_encoder):
    batch = {name: tf.constant(value) for name, value in small.batch(8, 12, 3, 60).items()}
    ids = {name: batch[name] for name in NAMES}
    keras_model = scrambled()
    encoded, logits = keras_model.encoder(ids), keras_model(batch)
    found = {**loaded_encoder(ids), **loaded_encoder.mlm(batch), **loaded_encoder.nsp(ids)}
    for name in ("pooled_output", "sequence_output"):
        np.testing.assert_allclose(found[name], encoded[name], rtol=0, atol=2e-6)
    for layer, expected in zip(found["encoder_outputs"], encoded["encoder_outputs"], strict=True):
        np.testing.assert_allclose(layer, expected, rtol=0, atol=2e-6)
    for name in ("mlm_logits", "nsp_logits"):
        np.testing.assert_allclose(found[name], logits[name], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["default"], found["pooled_output"])


def test_biases_and_gelu_are_fused_with_products(exported_encoder):
    """Two layers of six products each, and the pooler's.

    Of query, key, value and the two products that something is added to, TensorFlow leaves that sum
    alone in one of a layer.
    """
    ran = fused.operations(exported_encoder, "serving_default")
    with_products = [name.split("MatMul+", 1)[1] for name in ran if "MatMul+" in name]
    assert collections.Counter(with_products) == {
        "BiasAdd": 8,
        "BiasAdd+GeluApproximate": 2,
        "BiasAdd+Add": 2,
        "BiasAdd+Tanh": 1,
    }
    assert not {"BiasAdd", "Tanh", "Erf", "_MklTranspose"} & set(ran)


def test_an_export_is_a_start_again(exported_encoder):
    assert tfhub.read_config(exported_encoder) == CONFIG
    expected = named_variables(scrambled())
    tensors = tfhub.read_tensors(exported_encoder)
    assert tensors.keys() == expected.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(value, expected[name].numpy(), err_msg=name)


def test_card(exported_encoder):
    card = json.loads((exported_encoder / "model_card.json").read_text())
    assert (card["type"], card["heads"]) == ("encoder", ["mlm", "nsp"])
    assert BertConfig.from_dict(card["config"]) == CONFIG
    assert (card["do_lower_case"], card["vocab_size"]) == (False, CONFIG.vocab_size)


def test_heads_that_the_checkpoint_lacks_are_not_there(tmp_path):
    source = checkpoint(tmp_path, without=["cls/seq_relationship"])
    export(source.request(), tmp_path / "out")
    loaded = tf.saved_model.load(str(tmp_path / "out"))
    assert hasattr(loaded, "mlm")
    assert not hasattr(loaded, "nsp")
    assert tfhub.read_tensors(tmp_path / "out").keys() == {
        name for name in named_variables(scrambled()) if "seq_relationship" not in name
    }


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (["cls/predictions/output_bias"], r"head of .mlm must be whole, but .* and lacks cls/pred"),
        (["bert/pooler"], r"Missing in the checkpoint: bert/pooler/dense/bias"),
    ],
)
def test_half_a_model_is_refused(tmp_path, without, message):
    with pytest.raises(CheckpointError, match=message):
        export(checkpoint(tmp_path, without).request(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_without_pooler_is_refused(tmp_path):
    source = checkpoint(tmp_path)
    named = named_variables(scrambled()).items()
    kept = {name: v.numpy() for name, v in named if "pooler" not in name}
    huggingface.write_folder(tmp_path / "hf", CONFIG, kept)
    source = Source(CONFIG, str(tmp_path / "hf"), source.vocab_file, False)
    with pytest.raises(CheckpointError, match=r"An encoder must be whole, but .* lacks bert/pool"):
        export(source.request(), tmp_path / "out")


@pytest.mark.parametrize("words", [61, 5])
def test_another_vocabulary_is_refused(tmp_path, words, monkeypatch):
    monkeypatch.setattr(building, "_ROWS_TO_FILL_UP", 16)
    source = checkpoint(tmp_path)
    source.vocab_file.write_text("\n".join(f"w{number}" for number in range(words)))
    with pytest.raises(ValueError, match=rf"must be the checkpoint's, but .* has {words} tokens"):
        export(source.request(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_there_is_refused(tmp_path):
    source = checkpoint(tmp_path)
    with pytest.raises(ValueError, match=r"--export_dir must be new, but .* is there. Remove it"):
        export(source.request(), tmp_path)


def test_command(tmp_path):
    source = checkpoint(tmp_path / "in")
    config_file = tmp_path / "in/bert_config.json"
    config_file.write_text(CONFIG.to_json_string())
    given = {"vocab_file": source.vocab_file, "export_dir": tmp_path / "out"}
    with pytest.raises(ValueError, match="--export_type") as refused:
        commands.run("saved_models.export", export_type="encoder", **given)
    assert str(refused.value) == (
        "--export_type=encoder exports a model: --init_checkpoint must name one, but is empty."
    )
    assert not (tmp_path / "out").exists()
    line = [sys.executable, "-m", "saved_models.export", "--export_type=encoder"]
    line += [f"--{name}={value}" for name, value in given.items()]
    line += [f"--init_checkpoint={source.checkpoint}", f"--bert_config_file={config_file}"]
    done = subprocess.run(
        [*line, "--do_lower_case=false"],
        cwd=small.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'out'}: 4 calls answer as they should\n"
    # What was exported brings its config and vocabulary.
    once_more = {"init_checkpoint": tmp_path / "out", "export_dir": tmp_path / "again"}
    commands.run("saved_models.export", export_type="encoder", **once_more)
    assert not tf.saved_model.load(str(tmp_path / "again")).do_lower_case.numpy()


def test_verification_notices_another_number(exported_encoder):
    cases = expected_answers(scrambled(), (MLM, NSP))
    cases[2]["expected"]["mlm_logits"][0][0][0] += 1e-3
    with pytest.raises(RuntimeError, match=r"does not work in a fresh process: .*mlm"):
        verify(exported_encoder, cases)


FRESH = """
import sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
ids = tf.constant([[2, 3]])
model(dict(input_word_ids=ids, input_mask=ids * 0 + 1, input_type_ids=ids * 0))
print([name for name in ("keras", "tf_keras", "bert_tf", "tensorflow_text") if name in sys.modules])
"""


def test_needs_tensorflow_alone(exported_encoder):
    done = subprocess.run(
        [sys.executable, "-P", "-c", FRESH, str(exported_encoder)],
        cwd=exported_encoder.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bert_tf" not in done.stdout
    assert "tensorflow_text" not in done.stdout


def test_encoder_before_it_is_saved(tmp_path):
    source = checkpoint(tmp_path)
    encoder = Encoder(scrambled(), source.vocab_file, True)
    given = filled(IDS)
    check(encoder(given), ENCODER[""][1])
    assert Path(encoder.vocab_file.asset_path.numpy().decode()).name == "vocab.txt"
