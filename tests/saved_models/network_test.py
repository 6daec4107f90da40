"""How an exported model is stored and run: padding, types and XLA change no answer."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.heads import build_pretrainer
from bert_tf.modeling.task_heads import build_multiple_choice, build_token_classifier
from saved_models.network import Network, NetworkOptions, round_weights
from tests.support import exports, small

BUCKETS = NetworkOptions(batch_buckets=(2, 5), length_buckets=(8, 16))


def inputs_of(shape, predictions=0):
    batch = small.batch(int(np.prod(shape[:-1])), shape[-1], max(predictions, 1))
    positions = batch.pop("masked_lm_positions")
    inputs = {name: value.reshape(shape) for name, value in batch.items()}
    return {**inputs, "masked_lm_positions": positions} if predictions else inputs


MODELS = {
    "tokens": (build_token_classifier(exports.CONFIG, 8, seed=1), (3, 8), 0),
    "pretrainer": (build_pretrainer(exports.CONFIG, seed=1), (4, 7), 3),
    "choices": (build_multiple_choice(exports.CONFIG, seed=1), (3, 4, 9), 0),
}


def assert_close(found, expected, atol=1e-5):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == tf.float32
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_cut_back_to_what_was_asked(name, jit_compile):
    model, shape, predictions = MODELS[name]
    options = NetworkOptions("float32", jit_compile, (2, 5), (8, 16))
    network, inputs = Network(model, options), inputs_of(shape, predictions)
    unknown = {key: tf.TensorSpec([None] * value.ndim, tf.int32) for key, value in inputs.items()}
    traced = tf.function(network, input_signature=[unknown], autograph=False)
    assert_close(traced(inputs), model(inputs))


@pytest.mark.parametrize(
    ("asked", "seen"),
    [((1, 3), (2, 8)), ((2, 8), (2, 8)), ((3, 9), (5, 16)), ((6, 16), (10, 16)),
     ((11, 20), (15, 20))],
)  # fmt: skip
def test_the_model_sees_buckets_only(asked, seen):
    network = Network(build_encoder(exports.CONFIG), BUCKETS, outputs=["sequence_output"])
    run, shapes = network._run, []
    network._run = lambda inputs: shapes.append(inputs["input_mask"].shape) or run(inputs)
    found = network(inputs_of(asked))["sequence_output"]
    assert [tuple(shape) for shape in shapes] == [seen]
    assert found.shape == (*asked, 32)


def test_a_compiled_model_takes_a_batch_of_nothing():
    options = NetworkOptions(jit_compile=True)
    found = Network(MODELS["tokens"][0], options)(inputs_of((0, 8)))
    assert found["logits"].shape == (0, 8, 8)


@pytest.mark.parametrize(("dtype", "error"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_stored_types(dtype, error):
    """Close to the whole weights; equal to the model with rounded weights."""
    model = build_encoder(exports.CONFIG, seed=2)
    inputs, names = inputs_of((3, 8)), ["sequence_output"]
    network = Network(model, NetworkOptions(dtype), ["bert/pooler/"], names)
    assert {weight.dtype.name for weight in network.weights} == {dtype}
    whole = model(inputs)["sequence_output"]
    assert_close(network(inputs), {"sequence_output": whole}, atol=error)
    assert np.abs(network(inputs)["sequence_output"] - whole).max() > 1e-6
    round_weights(model, dtype)
    assert_close(network(inputs), {"sequence_output": model(inputs)["sequence_output"]})


def test_unread_weights_are_not_stored():
    model = build_pretrainer(exports.CONFIG, seed=2)
    whole = Network(model)
    part = Network(model, unread=["bert/pooler/", "cls/seq_relationship/"], outputs=["mlm_logits"])
    assert whole.parameters - part.parameters == (32 * 32 + 32) + (2 * 32 + 2)
    inputs = inputs_of((2, 6), 2)
    assert_close(part(inputs), {"mlm_logits": model(inputs)["mlm_logits"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights_dtype": "int8"}, "--weights_dtype must be one of float32, float16, bfloat16"),
        ({"batch_buckets": (8, 8)}, "--batch_buckets must be rising numbers .* but is 8,8"),
        ({"length_buckets": (0, 8)}, "--length_buckets must be rising numbers .* but is 0,8"),
    ],
)
def test_options_that_make_no_sense(changes, message):
    with pytest.raises(ValueError, match=message):
        NetworkOptions(**changes)
