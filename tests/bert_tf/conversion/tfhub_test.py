"""Encoders of TF Hub: weights, sizes and vocabulary, as a start and as a Keras 3 layer."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import bert_tf
from bert_tf.conversion import huggingface, tfhub
from bert_tf.conversion.initialize import load_weights
from bert_tf.conversion.keras_files import read_keras
from bert_tf.conversion.tf1 import CheckpointError
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.heads import build_pretrainer
from tests.support import commands, garden, small

CONFIG = garden.CONFIG
NAMES = ("input_word_ids", "input_mask", "input_type_ids")
LAYERS, HEADS = CONFIG.num_hidden_layers, CONFIG.num_attention_heads


def inputs(**changes):
    given = {"size": 3, "length": 9, "vocab": CONFIG.vocab_size, **changes}
    return small.batch(**given)


@pytest.fixture(params=list(garden.KINDS))
def published(request):
    """A SavedModel of Model Garden."""
    return garden.exports() / request.param


def shaped(model, rows):
    """A model's weights by their names on TF Hub."""
    named = named_variables(model)
    return {
        weight.theirs: np.reshape(
            named[weight.ours].numpy(), weight.their_shape(named[weight.ours].shape, HEADS)
        )
        for weight in tfhub.weights_of(rows, LAYERS)
    }


def written(folder, values, do_lower_case=True):
    """A SavedModel that has variables and an asset, but no function."""
    (folder.parent / "vocab.txt").write_text("\n".join(garden.WORDS) + "\n")
    module = tf.Module()
    module.weights = [tf.Variable(value, name=name) for name, value in values.items()]
    module.do_lower_case = tf.Variable(do_lower_case, trainable=False)
    module.vocab_file = tf.saved_model.Asset(str(folder.parent / "vocab.txt"))
    tf.saved_model.save(module, str(folder))
    return folder


@pytest.fixture(scope="module")
def values():
    return shaped(build_encoder(CONFIG, seed=3), tfhub.ENCODER_ROWS)


def test_sizes_and_vocabulary_of_model_garden(published):
    assert tfhub.is_folder(published)
    assert not huggingface.is_folder(published)
    assert tfhub.read_config(published) == CONFIG
    vocab_file, do_lower_case = tfhub.find_vocabulary(published)
    assert vocab_file.read_text().split() == garden.WORDS
    assert do_lower_case is False


def test_encoder_of_model_garden_computes_the_same(published):
    theirs = tf.saved_model.load(str(published))
    batch = {name: tf.constant(v) for name, v in inputs().items() if name in NAMES}
    expected, found = theirs(batch), bert_tf.load_encoder(published)(batch)
    for name in ("pooled_output", "sequence_output", "encoder_outputs"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=name)


def test_masked_lm_of_model_garden_computes_the_same():
    folder = garden.exports() / "bert"
    model = build_pretrainer(CONFIG)
    report = load_weights(model, str(folder))
    assert report.initialized == (
        "cls/seq_relationship/output_weights",
        "cls/seq_relationship/output_bias",
    )
    assert report.ignored == ()
    batch = {name: tf.constant(value) for name, value in inputs().items()}
    expected = tf.saved_model.load(str(folder)).mlm(batch)["mlm_logits"]
    np.testing.assert_allclose(model(batch)["mlm_logits"], expected, atol=2e-5)


def test_every_weight_has_one_place_on_each_side():
    rows = (*tfhub.ENCODER_ROWS, *tfhub.MASKED_LM_ROWS, *tfhub.NEXT_SENTENCE_ROWS)
    weights = list(tfhub.weights_of(rows, LAYERS))
    model = build_pretrainer(CONFIG)
    assert {weight.ours for weight in weights} == named_variables(model).keys()
    assert len({weight.theirs for weight in weights}) == len(weights)
    for weight in weights:
        shape = tuple(named_variables(model)[weight.ours].shape)
        assert weight.our_shape(weight.their_shape(shape, HEADS)) == shape


@pytest.mark.parametrize("prefix", ["", "bert_encoder_v2_1/", "bert/"])
def test_weights_come_bit_for_bit_whatever_the_prefix(tmp_path, values, prefix):
    named = {f"{prefix}{name}": value for name, value in values.items()}
    folder = written(tmp_path / "hub", named)
    tensors = tfhub.read_tensors(folder)
    expected = named_variables(build_encoder(CONFIG, seed=3))
    assert tensors.keys() == expected.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(value, expected[name].numpy(), err_msg=name)


def test_weights_of_half_precision_become_float32(tmp_path, values):
    half = {name: value.astype(np.float16) for name, value in values.items()}
    tensors = tfhub.read_tensors(written(tmp_path / "hub", half))
    assert {value.dtype for value in tensors.values()} == {np.dtype("float32")}


def test_what_is_missing_and_left_over_is_listed(tmp_path, values):
    wrong = {name: value for name, value in values.items() if "pooler" not in name}
    wrong["bert/classifier/kernel"] = np.zeros([16, 2], np.float32)
    folder = written(tmp_path / "hub", wrong)
    with pytest.raises(CheckpointError) as caught:
        load_weights(build_encoder(CONFIG), str(folder))
    assert (
        "nothing else. Missing in it: bert/pooler/dense/kernel, bert/pooler/dense/bias. "
        "Left over in it: bert/classifier/kernel. Of another model, give the checkpoint"
    ) in str(caught.value)


def test_nothing_is_loaded_where_a_shape_differs(tmp_path, values):
    folder = written(tmp_path / "hub", values)
    config = {**CONFIG.to_dict(), "vocab_size": 61}
    model = build_encoder(type(CONFIG)(**config), seed=1)
    before = [variable.numpy() for variable in model.trainable_variables]
    with pytest.raises(CheckpointError, match=r"word_embeddings is \[60, 16\] in the checkpoint"):
        load_weights(model, str(folder))
    for old, variable in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, variable.numpy())


def test_a_config_in_the_card_comes_first(tmp_path, values):
    folder = written(tmp_path / "hub", values)
    assert tfhub.read_config(folder) == CONFIG
    config = {**CONFIG.to_dict(), "hidden_act": "gelu_exact"}
    (folder / "model_card.json").write_text(json.dumps({"config": config}))
    assert tfhub.read_config(folder).hidden_act == "gelu_exact"
    (folder / "model_card.json").write_text(json.dumps({"config": {"hidden_size": 3}}))
    with pytest.raises(CheckpointError, match=r"model_card.json must hold the config of a model: "):
        tfhub.read_config(folder)


def test_heads_that_no_shape_tells_are_asked_for(tmp_path, values):
    flat = {
        name: value.reshape(16, 16) if name.endswith("query/kernel") else value
        for name, value in values.items()
    }
    folder = written(tmp_path / "hub", flat)
    with pytest.raises(CheckpointError, match=r"is \(16, 16\), not split by heads. Give --bert_c"):
        tfhub.read_config(folder)
    assert "loaded" in str(load_weights(build_encoder(CONFIG), str(folder)))


def test_a_vocabulary_that_is_not_there_or_not_alone(tmp_path, values):
    folder = written(tmp_path / "hub", values)
    (folder / "assets" / "vocab.txt").rename(folder / "assets" / "words")
    assert tfhub.find_vocabulary(folder)[0].name == "words"
    (folder / "assets" / "other").write_text("a")
    with pytest.raises(
        CheckpointError, match=r"must hold one vocabulary, but holds other, words. "
    ):
        tfhub.find_vocabulary(folder)
    shutil.rmtree(folder / "assets")
    with pytest.raises(CheckpointError, match=r"one vocabulary, but holds none. Give --vocab_file"):
        tfhub.find_vocabulary(folder)


def test_damaged_variables_and_those_without_names(tmp_path, values):
    folder = written(tmp_path / "hub", values)
    data = folder / "variables" / "variables.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[500] ^= 0xFF
    data.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"is damaged: .* cannot be read"):
        tfhub.read_tensors(folder)
    for path in (folder / "variables").iterdir():
        path.unlink()
    tf.raw_ops.SaveV2(
        prefix=str(folder / "variables/variables"),
        tensor_names=["x"], shape_and_slices=[""], tensors=[tf.zeros([1])],
    )  # fmt: skip
    with pytest.raises(
        CheckpointError, match=r"must be a SavedModel of TensorFlow 2, .* but there"
    ):
        tfhub.read_tensors(folder)


def test_fine_tuning_starts_from_a_folder_alone(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "word1 word2,a\nword3 word4,b\n" * 8)
    commands.run(
        "run_classifier",
        init_checkpoint=garden.exports() / "bert_v2",
        train_file=tmp_path / "train.csv",
        text_a="text",
        label="label",
        do_train=True,
        max_seq_length=8,
        train_batch_size=8,
        num_train_epochs=1,
        output_dir=tmp_path / "out",
    )
    config = json.loads((tmp_path / "out/bert_config.json").read_text())
    assert config == CONFIG.to_dict()
    assert (tmp_path / "out/vocab.txt").read_text().split() == garden.WORDS
    assert json.loads((tmp_path / "out/task.json").read_text())["do_lower_case"] is False


def test_conversion_to_the_other_forms(tmp_path, values, capsys):
    folder = written(tmp_path / "hub", values)
    commands.run("convert_checkpoint", input=folder, output=tmp_path / "model.ckpt-1")
    commands.run("convert_checkpoint", input=folder, output=tmp_path / "model.keras")
    commands.run(
        "convert_checkpoint", input=folder, output=tmp_path / "hf", output_format="huggingface"
    )
    assert f"{len(values)} weights: {folder} -> " in capsys.readouterr().out
    expected = tfhub.read_tensors(folder)
    kerases = read_keras(tmp_path / "model.keras")
    for found in (
        small.tensors(tmp_path / "model.ckpt-1"),
        huggingface.read_tensors(tmp_path / "hf"),
        {name: variable.numpy() for name, variable in kerases.items()},
    ):
        assert found.keys() == expected.keys()
        for name, value in found.items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
    with pytest.raises(ValueError, match=r"is a SavedModel, which is written by saved_models.expo"):
        commands.run("convert_checkpoint", input=folder, output=folder)


# --- The Keras 3 layer. ---


def test_a_lazy_attribute_and_no_other():
    with pytest.raises(AttributeError, match="module 'bert_tf' has no attribute 'load_decoder'"):
        bert_tf.load_decoder  # noqa: B018


def test_a_checkpoint_needs_a_config_and_a_whole_encoder(tmp_path):
    with pytest.raises(CheckpointError, match=r"must be a SavedModel or a Hugging Face folder, "):
        bert_tf.load_encoder(small.CHECKPOINT)
    config = type(CONFIG).from_json_file(small.CONFIG)
    assert bert_tf.load_encoder(small.CHECKPOINT, config).built
    weights = {name: v.numpy() for name, v in named_variables(build_encoder(CONFIG)).items()}
    kept = {name: value for name, value in weights.items() if "pooler" not in name}
    huggingface.write_folder(tmp_path / "hf", CONFIG, kept)
    with pytest.raises(CheckpointError, match=r"must be whole, but .* lacks bert/pooler/dense/ker"):
        bert_tf.load_encoder(tmp_path / "hf")


def functional_model(folder):
    encoder = bert_tf.load_encoder(folder)
    given = {name: keras.Input((None,), dtype="int32", name=name) for name in NAMES}
    encoded = encoder(given)
    assert encoded["sequence_output"].shape == (None, None, CONFIG.hidden_size)
    score = keras.layers.Dense(2, name="score")(encoded["pooled_output"])
    return keras.Model(given, score), encoder


RESTORE = """
import sys
import bert_tf, keras, numpy as np
classes = {"BertEncoder": bert_tf.BertEncoder}
model = keras.models.load_model(sys.argv[1], custom_objects=classes)
batch = dict(np.load(sys.argv[2]))
expected = batch.pop("expected")
print(float(np.abs(model(batch).numpy() - expected).max()))
print(len(model.trainable_variables))
"""


def test_layer_trains_in_a_functional_model_and_lives_in_its_file(tmp_path):
    folder = shutil.copytree(garden.exports() / "bert_v2", tmp_path / "hub")
    model, encoder = functional_model(folder)
    shutil.rmtree(folder)
    batch = {name: value for name, value in inputs(size=32).items() if name in NAMES}
    batch["input_type_ids"][:, 0] = np.arange(32) % 2
    labels = np.arange(32) % 2
    before = [variable.numpy() for variable in encoder.trainable_variables]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss)
    losses = model.fit(batch, labels, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    moved = [
        np.any(old != variable.numpy())
        for old, variable in zip(before, encoder.trainable_variables, strict=True)
    ]
    assert len(moved) == 5 + 16 * LAYERS + 2
    assert all(moved)
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "batch.npz", **batch, expected=model(batch).numpy())
    arguments = [str(tmp_path / "model.keras"), str(tmp_path / "batch.npz")]
    done = subprocess.run(
        [sys.executable, "-c", RESTORE, *arguments],
        cwd=small.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0.0", str(len(model.trainable_variables))]
