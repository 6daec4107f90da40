"""The interface of exported preprocessors and encoders is the published one."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub

from saved_models.preprocessing import Preprocessor
from tests.support import garden
from tests.support.encoders import (
    CONFIG,
    ENCODER,
    IDS,
    MLM_VARIABLES,
    NAMES,
    NEXT_SENTENCE,
    PREPROCESSOR,
    SIZES,
    VARIABLES,
    check,
    filled,
    part_of,
    shape_of,
)

pytestmark = pytest.mark.usefixtures("nothing_deterministic")


@pytest.fixture(scope="module")
def published():
    """Model Garden's, which has the same sizes and other weights."""
    return hub.load(str(garden.exports() / "bert"))


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
def test_encoder_has_the_published_interface(name, loaded_encoder):
    given, expected = {**ENCODER, **NEXT_SENTENCE}[name]
    for training in (False, True):
        check(part_of(loaded_encoder, name)(filled(given), training=training), expected)
    check(part_of(loaded_encoder, name)(filled(given)), expected)


@pytest.mark.parametrize("name", ENCODER)
def test_the_table_is_what_model_garden_exports(name, published):
    given, expected = ENCODER[name]
    check(part_of(published, name)(filled(given), training=True), expected)


def described(variables):
    prefix = "bert/"  # of Model Garden's head
    return [(v.name.removeprefix(prefix), tuple(v.shape), v.dtype.name) for v in variables]


def test_variables_have_the_published_names_shapes_and_order(loaded_encoder, published):
    rows = [(f"{name}:0", shape_of(shape), "float32") for name, shape in VARIABLES.items()]
    heads = [(f"{name}:0", shape_of(shape), "float32") for name, shape in MLM_VARIABLES.items()]
    for one in (loaded_encoder, published):
        assert described(one.trainable_variables) == rows
        assert described(one.variables) == [*rows, ("Variable:0", (), "bool")]
        assert described(one.mlm.trainable_variables) == [*rows, *heads]
        assert list(one.regularization_losses) == []
        assert one.vocab_file.asset_path.numpy().endswith(b"vocab.txt")
        assert not one.do_lower_case.numpy()
    assert len(loaded_encoder.nsp.trainable_variables) == len(rows) + 2


def test_weights_of_a_published_model_fit_ours(published, exported_encoder):
    ours = hub.load(str(exported_encoder))
    pairs = zip(ours.mlm.trainable_variables, published.mlm.trainable_variables, strict=True)
    for variable, other in pairs:
        variable.assign(other)
    given = filled(ENCODER["mlm"][0])
    expected = published.mlm(given)
    for name, value in ours.mlm(given).items():
        tf.nest.map_structure(
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), value, expected[name]
        )


def test_attributes_are_the_published_ones_and_one_more(loaded_encoder, published):
    def public(one):
        return {name for name in dir(one) if not name.startswith(("_", "layer"))}

    keras_only = {"keras_api", "call_and_return_all_conditional_losses"}
    assert public(loaded_encoder) == (public(published) - keras_only) | {"nsp"}


def test_signature_for_servers(loaded_encoder):
    signature = loaded_encoder.signatures["serving_default"]
    names = signature.structured_input_signature[1]
    assert {name: (spec.dtype, spec.shape.as_list()) for name, spec in names.items()} == {
        name: (tf.int32, [None, None]) for name in NAMES
    }
    given = filled(IDS)
    outputs, expected = signature(**given), loaded_encoder(given)
    assert outputs.keys() == {"default", "pooled_output", "sequence_output"}
    for name, value in outputs.items():
        np.testing.assert_array_equal(value, expected[name])


def test_lengths_reach_the_outputs_of_a_graph(loaded_encoder):
    """A condition of Model Garden's own test of its exporter."""

    @tf.function
    def shapes(**inputs):
        outputs = loaded_encoder(inputs)
        assert outputs["pooled_output"].shape.as_list() == [None, CONFIG.hidden_size]
        assert outputs["sequence_output"].shape.as_list() == [None, 7, CONFIG.hidden_size]
        return outputs["default"]

    shapes.get_concrete_function(**{name: tf.TensorSpec([None, 7], tf.int32) for name in NAMES})


def test_no_path_of_the_exporting_machine_is_told(exported_encoder):
    for path in exported_encoder.rglob("*"):
        if path.is_file():
            assert b"private_place" not in path.read_bytes(), path
