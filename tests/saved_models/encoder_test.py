"""The exported encoder: the published interface, the numbers of the Keras model, fine-tuning."""

import collections
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from tensorflow.python.framework import config  # the public one cannot be undone

from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface, tf1, tfhub
from bert_tf.conversion.tf1 import CheckpointError
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling.heads import build_pretrainer
from saved_models import building
from saved_models.encoder import MLM, NSP, Encoder, Source, expected_answers
from saved_models.export import export, verify
from saved_models.preprocessing import Preprocessor
from tests.support import commands, fused, garden, small

CONFIG = garden.CONFIG
NAMES = ("input_word_ids", "input_mask", "input_type_ids")

# The published interfaces, written down from tensorflow.org/hub/common_saved_model_apis/text and
# what Model Garden's exporter writes; B, T, P, H, V and L stand for sizes, W and S for the ragged
# axes of words and their pieces.
PREPROCESSOR = {
    "": (
        {"sentences": ("string", "B")},
        {"input_word_ids": ("int32", "B T"), "input_mask": ("int32", "B T"),
         "input_type_ids": ("int32", "B T")},
    ),
    "tokenize": ({"sentences": ("string", "B")}, ("int32", "B W S")),
    "tokenize_with_offsets": (
        {"sentences": ("string", "B")},
        [("int32", "B W S"), ("int64", "B W S"), ("int64", "B W S")],
    ),
    "bert_pack_inputs": (
        [("int32", "B W S"), ("int32", "B W S")],
        {"input_word_ids": ("int32", "B T"), "input_mask": ("int32", "B T"),
         "input_type_ids": ("int32", "B T")},
    ),
    "tokenize.get_special_tokens_dict": (
        None,
        {"padding_id": ("int32", ""), "start_of_sequence_id": ("int32", ""),
         "end_of_segment_id": ("int32", ""), "mask_id": ("int32", ""), "vocab_size": ("int32", "")},
    ),
}  # fmt: skip
_ENCODED = {
    "pooled_output": ("float32", "B H"),
    "sequence_output": ("float32", "B T H"),
    "encoder_outputs": [("float32", "B T H"), ("float32", "B T H")],
}
_IDS = {"input_word_ids": ("int32", "B T"), "input_mask": ("int32", "B T"),
        "input_type_ids": ("int32", "B T")}  # fmt: skip
ENCODER = {
    "": (_IDS, {**_ENCODED, "default": ("float32", "B H")}),
    "mlm": (
        {**_IDS, "masked_lm_positions": ("int32", "B P")},
        {**_ENCODED, "mlm_logits": ("float32", "B P V")},
    ),
}
# Beyond what is published.
NEXT_SENTENCE = {"nsp": (_IDS, {**_ENCODED, "nsp_logits": ("float32", "B 2")})}
_LAYER = {
    "self_attention/query/kernel": "H A D", "self_attention/query/bias": "A D",
    "self_attention/key/kernel": "H A D", "self_attention/key/bias": "A D",
    "self_attention/value/kernel": "H A D", "self_attention/value/bias": "A D",
    "self_attention/attention_output/kernel": "A D H", "self_attention/attention_output/bias": "H",
    "self_attention_layer_norm/gamma": "H", "self_attention_layer_norm/beta": "H",
    "intermediate/kernel": "H I", "intermediate/bias": "I",
    "output/kernel": "I H", "output/bias": "H",
    "output_layer_norm/gamma": "H", "output_layer_norm/beta": "H",
}  # fmt: skip
VARIABLES = {
    "word_embeddings/embeddings": "V H",
    "position_embedding/embeddings": "M H",
    "type_embeddings/embeddings": "2 H",
    "embeddings/layer_norm/gamma": "H",
    "embeddings/layer_norm/beta": "H",
    **{f"transformer/layer_0/{name}": shape for name, shape in _LAYER.items()},
    **{f"transformer/layer_1/{name}": shape for name, shape in _LAYER.items()},
    "pooler_transform/kernel": "H H",
    "pooler_transform/bias": "H",
}
MLM_VARIABLES = {
    "cls/predictions/output_bias/bias": "V",
    "cls/predictions/transform/dense/kernel": "H H",
    "cls/predictions/transform/dense/bias": "H",
    "cls/predictions/transform/LayerNorm/gamma": "H",
    "cls/predictions/transform/LayerNorm/beta": "H",
}
SIZES = {
    "B": 3, "T": 9, "P": 3, "2": 2, "V": CONFIG.vocab_size, "H": CONFIG.hidden_size,
    "A": CONFIG.num_attention_heads, "D": CONFIG.hidden_size // CONFIG.num_attention_heads,
    "I": CONFIG.intermediate_size, "M": CONFIG.max_position_embeddings,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_deterministic():
    """Dropout of a SavedModel has no seed, and a run of another test may have asked for them."""
    was = config.is_op_determinism_enabled()
    config.disable_op_determinism()
    yield
    if was:
        config.enable_op_determinism()


def shape_of(text):
    return tuple(SIZES[letter] for letter in text.split())


def filled(spec):
    """Inputs of the interface's shapes and types."""
    if isinstance(spec, list):
        return [tf.ragged.constant([[[1]], [[2, 3]], [[4]]], tf.int32) for _ in spec]
    if "sentences" in spec:
        return tf.constant(["the lamp", "stairs", "a"])
    batch = small.batch(size=3, length=9, predictions=3, vocab=CONFIG.vocab_size)
    return {name: tf.constant(batch[name]) for name in spec}


def check(value, spec):
    """Name, type and shape of an output."""
    if isinstance(spec, dict):
        assert value.keys() == spec.keys()
        for name in spec:
            check(value[name], spec[name])
    elif isinstance(spec, list):
        assert len(value) == len(spec)
        for one, other in zip(value, spec, strict=True):
            check(one, other)
    else:
        dtype, shape = spec
        assert value.dtype.name == dtype
        if "W" in shape:
            assert isinstance(value, tf.RaggedTensor)
            assert value.shape.as_list() == [3, None, None]
        else:
            assert tuple(value.shape) == shape_of(shape)


def part_of(model, name):
    for attribute in filter(None, name.split(".")):
        model = getattr(model, attribute)
    return model


def scrambled():
    """A pretrainer with random values everywhere: fresh biases are zeros and norms are ones."""
    model = build_pretrainer(CONFIG, seed=1)
    draw = np.random.default_rng(5)
    for variable in named_variables(model).values():
        variable.assign(draw.normal(scale=0.5, size=variable.shape))
    return model


def checkpoint(folder, without=()):
    """A checkpoint of the scrambled model, some weights left out, and a vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    named = named_variables(scrambled()).items()
    tensors = {name: v.value for name, v in named if not name.startswith(tuple(without))}
    tf1.write_checkpoint(str(folder / "model.ckpt-1"), tensors)
    (folder / "vocab.txt").write_text("\n".join(garden.WORDS) + "\n", encoding="utf-8")
    return Source(CONFIG, str(folder / "model.ckpt-1"), folder / "vocab.txt", False)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export that was moved after it was written."""
    folder = tmp_path_factory.mktemp("models")
    # The card names the last two parts of the path alone.
    source = checkpoint(folder / "private_place" / "run")
    said = export(source.request(), folder / "first")
    assert said == f"{folder / 'first'}: 4 calls answer as they should"
    shutil.rmtree(folder / "private_place")
    shutil.move(folder / "first", folder / "moved")
    return folder / "moved"


@pytest.fixture(scope="module")
def model(exported):
    return hub.load(str(exported))


@pytest.fixture(scope="module")
def published():
    """Model Garden's, which has the same sizes and other weights."""
    return hub.load(str(garden.exports() / "bert"))


# --- The published interface. ---


@pytest.fixture(scope="module")
def preprocessor(tmp_path_factory):
    """With Model Garden's words, saved and loaded."""
    folder = tmp_path_factory.mktemp("preprocessor")
    vocab = folder / "vocab.txt"
    vocab.write_text("\n".join(garden.WORDS))
    tf.saved_model.save(Preprocessor(vocab, True, SIZES["T"]), str(folder / "out"))
    return hub.load(str(folder / "out"))


@pytest.mark.parametrize("name", PREPROCESSOR)
def test_preprocessor_has_the_published_interface(name, preprocessor):
    part = part_of(preprocessor, name)
    given, expected = PREPROCESSOR[name]
    check(part() if given is None else part(filled(given)), expected)


@pytest.mark.parametrize("name", [*ENCODER, *NEXT_SENTENCE])
def test_encoder_has_the_published_interface(name, model):
    given, expected = {**ENCODER, **NEXT_SENTENCE}[name]
    for training in (False, True):
        check(part_of(model, name)(filled(given), training=training), expected)
    check(part_of(model, name)(filled(given)), expected)


@pytest.mark.parametrize("name", ENCODER)
def test_the_table_is_what_model_garden_exports(name, published):
    given, expected = ENCODER[name]
    check(part_of(published, name)(filled(given), training=True), expected)


def described(variables):
    prefix = "bert/"  # of Model Garden's head
    return [(v.name.removeprefix(prefix), tuple(v.shape), v.dtype.name) for v in variables]


def test_variables_have_the_published_names_shapes_and_order(model, published):
    rows = [(f"{name}:0", shape_of(shape), "float32") for name, shape in VARIABLES.items()]
    heads = [(f"{name}:0", shape_of(shape), "float32") for name, shape in MLM_VARIABLES.items()]
    for one in (model, published):
        assert described(one.trainable_variables) == rows
        assert described(one.variables) == [*rows, ("Variable:0", (), "bool")]
        assert described(one.mlm.trainable_variables) == [*rows, *heads]
        assert list(one.regularization_losses) == []
        assert one.vocab_file.asset_path.numpy().endswith(b"vocab.txt")
        assert not one.do_lower_case.numpy()
    assert len(model.nsp.trainable_variables) == len(rows) + 2


def test_weights_of_a_published_model_fit_ours(published, exported):
    ours = hub.load(str(exported))
    pairs = zip(ours.mlm.trainable_variables, published.mlm.trainable_variables, strict=True)
    for variable, other in pairs:
        variable.assign(other)
    given = filled(ENCODER["mlm"][0])
    expected = published.mlm(given)
    for name, value in ours.mlm(given).items():
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), value, expected[name]
        )


def test_attributes_are_the_published_ones_and_one_more(model, published):
    def public(one):
        return {name for name in dir(one) if not name.startswith(("_", "layer"))}

    keras_only = {"keras_api", "call_and_return_all_conditional_losses"}
    assert public(model) == (public(published) - keras_only) | {"nsp"}


def test_signature_for_servers(model):
    signature = model.signatures["serving_default"]
    names = signature.structured_input_signature[1]
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in names.items()} == {
        name: (tf.int32, [None, None]) for name in NAMES
    }
    given = filled(_IDS)
    outputs, expected = signature(**given), model(given)
    assert outputs.keys() == {"default", "pooled_output", "sequence_output"}
    for name, value in outputs.items():
        np.testing.assert_array_equal(value, expected[name])


def test_lengths_reach_the_outputs_of_a_graph(model):
    """A condition of Model Garden's own test of its exporter."""

    @tf.function
    def shapes(**inputs):
        outputs = model(inputs)
        assert outputs["pooled_output"].shape.as_list() == [None, CONFIG.hidden_size]
        assert outputs["sequence_output"].shape.as_list() == [None, 7, CONFIG.hidden_size]
        return outputs["default"]

    shapes.get_concrete_function(**{name: tf.TensorSpec([None, 7], tf.int32) for name in NAMES})


def test_no_path_of_the_exporting_machine_is_told(exported):
    for path in exported.rglob("*"):
        if path.is_file():
            assert b"private_place" not in path.read_bytes(), path


# --- The numbers. ---


def test_loaded_model_computes_what_the_keras_model_does(model):
    batch = {name: tf.constant(value) for name, value in small.batch(8, 12, 3, 60).items()}
    ids = {name: batch[name] for name in NAMES}
    keras_model = scrambled()
    encoded, logits = keras_model.encoder(ids), keras_model(batch)
    found = {**model(ids), **model.mlm(batch), **model.nsp(ids)}
    for name in ("pooled_output", "sequence_output"):
        np.testing.assert_allclose(found[name], encoded[name], rtol=0, atol=2e-6)
    for layer, expected in zip(found["encoder_outputs"], encoded["encoder_outputs"], strict=True):
        np.testing.assert_allclose(layer, expected, rtol=0, atol=2e-6)
    for name in ("mlm_logits", "nsp_logits"):
        np.testing.assert_allclose(found[name], logits[name], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found["default"], found["pooled_output"])


def test_biases_and_gelu_are_fused_with_products(exported):
    """Two layers of six products each, and the pooler's.

    Of query, key, value and the two products that something is added to, TensorFlow leaves that sum
    alone in one of a layer.
    """
    ran = fused.operations(exported, "serving_default")
    with_products = [name.split("MatMul+", 1)[1] for name in ran if "MatMul+" in name]
    assert collections.Counter(with_products) == {
        "BiasAdd": 8,
        "BiasAdd+GeluApproximate": 2,
        "BiasAdd+Add": 2,
        "BiasAdd+Tanh": 1,
    }
    assert not {"BiasAdd", "Tanh", "Erf", "_MklTranspose"} & set(ran)


@pytest.mark.parametrize("name", ["", "mlm", "nsp"])
def test_dropout_is_on_in_training_and_new_in_each_call(model, name):
    given = filled({**ENCODER, **NEXT_SENTENCE}[name][0])

    def spread(training):
        calls = [part_of(model, name)(given, training=training) for _ in range(8)]
        return np.ptp([call["pooled_output"].numpy() for call in calls], axis=0).mean()

    assert spread(False) == 0.0
    assert spread(True) > 1e-2


# --- Fine-tuning. ---


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """An export of weights that were trained, and can learn."""
    folder = tmp_path_factory.mktemp("pretrained") / "hub"
    source = Source(BertConfig.from_json_file(small.CONFIG), small.CHECKPOINT, small.VOCAB, True)
    tf.saved_model.save(Encoder(source.load()[0], small.VOCAB, True), str(folder))
    return folder


def task(size=32, length=8):
    """Two classes, told by the second token."""
    batch = {name: small.batch(size, length, 1, 60)[name] for name in NAMES}
    labels = np.arange(size) % 2
    batch["input_word_ids"][:, 1] = 40 + labels
    batch["input_mask"][:, :2] = 1
    batch["input_type_ids"][:, 0] = np.arange(size) // 2 % 2
    return batch, labels


def all_moved(before, variables):
    pairs = zip(before, variables, strict=True)
    return all(np.any(old != variable.numpy()) for old, variable in pairs)


def test_fine_tuning_as_a_layer_of_tf_keras(pretrained, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tf_keras about itself
        import tf_keras

        layer = hub.KerasLayer(str(pretrained), trainable=True)
        given = {n: tf_keras.layers.Input((8,), dtype=tf.int32, name=n) for n in NAMES}
        encoded = layer(given)
        assert encoded["sequence_output"].shape.as_list() == [None, 8, 32]
        assert len(encoded["encoder_outputs"]) == CONFIG.num_hidden_layers
        scores = tf_keras.layers.Dense(2)(encoded["pooled_output"])
        tuned = tf_keras.Model(given, scores)
        loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        tuned.compile(tf_keras.optimizers.Adam(3e-3), loss)
        batch, labels = task()
        before = [variable.numpy() for variable in layer.trainable_variables]
        losses = tuned.fit(batch, labels, epochs=8, batch_size=16, verbose=0).history["loss"]
        assert losses[-1] < 0.8 * losses[0]
        assert len(before) == len(VARIABLES)
        assert all_moved(before, layer.trainable_variables)
        tuned.save(tmp_path / "tuned", save_format="tf")
        again = tf_keras.models.load_model(tmp_path / "tuned")
        expected = tuned.predict(batch, verbose=0)
        np.testing.assert_array_equal(again.predict(batch, verbose=0), expected)
        assert len(again.trainable_variables) == len(VARIABLES) + 2


def test_fine_tuning_inside_a_function(pretrained):
    loaded = hub.load(str(pretrained))
    batch, labels = task()
    head = tf.Variable(tf.random.stateless_normal([32, 2], [1, 2], stddev=0.5))
    variables = [*loaded.trainable_variables, head]
    before = [variable.numpy() for variable in variables]

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            logits = loaded(inputs, training=True)["pooled_output"] @ head
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.2 * tf.convert_to_tensor(gradient))
        return loss

    losses = [float(step(batch)) for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert all_moved(before, variables)


GRADIENTS = """
import sys
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
batch = {name: tf.constant(value) for name, value in np.load(sys.argv[2]).items()}
variables = model.mlm.trainable_variables
with tf.GradientTape() as tape:
    outputs = model.mlm(batch)
    score = tf.reduce_mean(outputs["mlm_logits"] ** 2) + tf.reduce_sum(outputs["pooled_output"])
gradients = tape.gradient(score, variables)
np.savez(sys.argv[3], *[tf.convert_to_tensor(gradient).numpy() for gradient in gradients])
"""


def test_gradients_in_a_process_without_this_project(exported, tmp_path):
    """Our gradients are written by hand: their functions have to be in the SavedModel."""
    batch = small.batch(4, 9, 3, CONFIG.vocab_size)
    np.savez(tmp_path / "batch.npz", **batch)
    names = [str(exported), str(tmp_path / "batch.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run(
        [sys.executable, "-P", "-c", GRADIENTS, *names],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    keras_model = scrambled()
    named = named_variables(keras_model)
    rows = (*tfhub.ENCODER_ROWS, *tfhub.MASKED_LM_ROWS)
    variables = [named[w.ours].value for w in tfhub.weights_of(rows, CONFIG.num_hidden_layers)]
    with tf.GradientTape() as tape:
        encoded, logits = keras_model.encoder(batch), keras_model(batch)
        score = tf.reduce_mean(logits["mlm_logits"] ** 2) + tf.reduce_sum(encoded["pooled_output"])
    found = list(np.load(tmp_path / "out.npz").values())
    expected = [tf.convert_to_tensor(each).numpy() for each in tape.gradient(score, variables)]
    for variable, one, other in zip(variables, found, expected, strict=True):
        difference = np.linalg.norm(one.reshape(other.shape) - other)
        # That of a key's bias is zero but for rounding: the softmax takes no notice of it.
        size = 1.0 if variable.name.endswith("key/bias:0") else np.linalg.norm(other)
        assert difference < 1e-4 * size, variable.name


def test_saved_again_inside_another_model(model, tmp_path):
    outer = tf.Module()
    outer.inner = model
    specs = {name: tf.TensorSpec([None, None], tf.int32) for name in NAMES}
    outer.call = tf.function(lambda inputs: model(inputs)["default"], input_signature=[specs])
    tf.saved_model.save(outer, str(tmp_path / "first"))
    shutil.move(tmp_path / "first", tmp_path / "outer")
    again = tf.saved_model.load(str(tmp_path / "outer"))
    given = filled(_IDS)
    np.testing.assert_array_equal(again.call(given), model(given)["default"])
    np.testing.assert_array_equal(
        again.inner.mlm(filled(ENCODER["mlm"][0]))["pooled_output"], model(given)["default"]
    )


# --- Exporting. ---


def test_an_export_is_a_start_again(exported):
    assert tfhub.read_config(exported) == CONFIG
    expected = named_variables(scrambled())
    tensors = tfhub.read_tensors(exported)
    assert tensors.keys() == expected.keys()
    for name, value in tensors.items():
        np.testing.assert_array_equal(value, expected[name].numpy(), err_msg=name)


def test_card(exported):
    card = json.loads((exported / "model_card.json").read_text())
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


def test_verification_notices_another_number(exported):
    cases = expected_answers(scrambled(), (MLM, NSP))
    cases[2]["expected"]["mlm_logits"][0][0][0] += 1e-3
    with pytest.raises(RuntimeError, match=r"does not work in a fresh process: .*mlm"):
        verify(exported, cases)


FRESH = """
import sys
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
ids = tf.constant([[2, 3]])
model(dict(input_word_ids=ids, input_mask=ids * 0 + 1, input_type_ids=ids * 0))
print([name for name in ("keras", "tf_keras", "bert_tf", "tensorflow_text") if name in sys.modules])
"""


def test_needs_tensorflow_alone(exported):
    done = subprocess.run(
        [sys.executable, "-P", "-c", FRESH, str(exported)],
        cwd=exported.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "bert_tf" not in done.stdout
    assert "tensorflow_text" not in done.stdout


def test_encoder_before_it_is_saved(tmp_path):
    source = checkpoint(tmp_path)
    encoder = Encoder(scrambled(), source.vocab_file, True)
    given = filled(_IDS)
    check(encoder(given), ENCODER[""][1])
    assert Path(encoder.vocab_file.asset_path.numpy().decode()).name == "vocab.txt"
