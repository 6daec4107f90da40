"""Exported encoders are trained: dropout, gradients, as layers and inside of functions."""

import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub

from bert_tf.config import BertConfig
from bert_tf.conversion import tfhub
from bert_tf.conversion.weight_map import named_variables
from saved_models.encoder import Encoder, Source
from tests.support import small
from tests.support.encoders import (
    CONFIG,
    ENCODER,
    IDS,
    NAMES,
    NEXT_SENTENCE,
    VARIABLES,
    filled,
    part_of,
    scrambled,
)

pytestmark = pytest.mark.usefixtures("nothing_deterministic")


@pytest.mark.parametrize("name", ["", "mlm", "nsp"])
def test_dropout_is_on_in_training_and_new_in_each_call(loaded_encoder, name):
    given = filled({**ENCODER, **NEXT_SENTENCE}[name][0])

    def spread(training):
        calls = [part_of(loaded_encoder, name)(given, training=training) for _ in range(8)]
        return np.ptp([call["pooled_output"].numpy() for call in calls], axis=0).mean()

    assert spread(False) == 0.0
    assert spread(True) > 1e-2


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


def test_gradients_in_a_process_without_this_project(exported_encoder, tmp_path):
    """Our gradients are written by hand: their functions have to be in the SavedModel."""
    batch = small.batch(4, 9, 3, CONFIG.vocab_size)
    np.savez(tmp_path / "batch.npz", **batch)
    names = [str(exported_encoder), str(tmp_path / "batch.npz"), str(tmp_path / "out.npz")]
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


def test_saved_again_inside_another_model(loaded_encoder, tmp_path):
    outer = tf.Module()
    outer.inner = loaded_encoder
    specs = {name: tf.TensorSpec([None, None], tf.int32) for name in NAMES}
    outer.call = tf.function(
        lambda inputs: loaded_encoder(inputs)["default"], input_signature=[specs]
    )
    tf.saved_model.save(outer, str(tmp_path / "first"))
    shutil.move(tmp_path / "first", tmp_path / "outer")
    again = tf.saved_model.load(str(tmp_path / "outer"))
    given = filled(IDS)
    np.testing.assert_array_equal(again.call(given), loaded_encoder(given)["default"])
    np.testing.assert_array_equal(
        again.inner.mlm(filled(ENCODER["mlm"][0]))["pooled_output"],
        loaded_encoder(given)["default"],
    )
