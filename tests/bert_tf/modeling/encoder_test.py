"""Properties of the encoder: padding, direction, positions, names, initialisation."""

import numpy as np
import pytest

from bert_tf.config import BertConfig
from bert_tf.modeling import kernels
from bert_tf.modeling.encoder import build_encoder
from tests.conformance.cases import TINY
from tests.support import small


@pytest.fixture(scope="module")
def encoder():
    model = build_encoder(TINY, seed=1)
    for variable in model.trainable_variables:  # large enough that tokens matter
        variable.assign(variable * 10.0 if "kernel" in variable.path else variable)
    return model


def encode(model, ids, **more):
    return model({"input_word_ids": np.asarray(ids, "int32"), **more})


def test_padding_changes_nothing(encoder):
    ids = np.array([[5, 6, 7, 8]])
    short = encode(encoder, ids)
    padded = encode(
        encoder,
        np.array([[5, 6, 7, 8, 9, 3]]),  # whatever stands in the padding
        input_mask=np.array([[1, 1, 1, 1, 0, 0]]),
        input_type_ids=np.array([[0, 0, 0, 0, 1, 1]]),
    )
    for name in ("sequence_output", "embedding_output"):
        np.testing.assert_allclose(padded[name][:, :4], short[name], atol=1e-5)
    np.testing.assert_allclose(padded["pooled_output"], short["pooled_output"], atol=1e-5)


def test_every_token_influences_every_other(encoder):
    base = encode(encoder, [[5, 6, 7, 8]])["sequence_output"]
    for place in range(4):
        ids = [[5, 6, 7, 8]]
        ids[0][place] = 20
        changed = np.abs(encode(encoder, ids)["sequence_output"] - base).max(axis=-1)[0]
        assert (changed > 1e-5).all(), place


def test_examples_of_a_batch_are_independent(encoder):
    both = encode(encoder, [[5, 6, 7], [8, 9, 10]])["sequence_output"]
    for row, ids in enumerate([[5, 6, 7], [8, 9, 10]]):
        np.testing.assert_allclose(
            encode(encoder, [ids])["sequence_output"][0], both[row], atol=1e-5
        )


def test_order_and_type_matter(encoder):
    base = encode(encoder, [[5, 6, 7]])["pooled_output"]
    swapped = encode(encoder, [[5, 7, 6]])["pooled_output"]
    typed = encode(encoder, [[5, 6, 7]], input_type_ids=np.array([[0, 1, 1]]))["pooled_output"]
    assert np.abs(swapped - base).max() > 1e-5
    assert np.abs(typed - base).max() > 1e-5


def test_defaults_are_no_padding_and_one_type(encoder):
    plain = encode(encoder, [[5, 6, 7]])["sequence_output"]
    named = encode(
        encoder, [[5, 6, 7]], input_mask=np.ones([1, 3]), input_type_ids=np.zeros([1, 3], "int32")
    )["sequence_output"]
    np.testing.assert_array_equal(plain, named)


def test_outputs_are_those_of_every_layer(encoder):
    outputs = encode(encoder, [[5, 6, 7], [1, 2, 3]])
    assert len(outputs["encoder_outputs"]) == TINY.num_hidden_layers
    np.testing.assert_array_equal(outputs["encoder_outputs"][-1], outputs["sequence_output"])
    assert outputs["pooled_output"].shape == (2, 8)
    assert np.abs(outputs["pooled_output"]).max() <= 1.0
    assert encoder.embedding_table.shape == (30, 8)


def test_longer_than_the_positions_is_refused(encoder):
    assert encode(encoder, [[1] * 16])["sequence_output"].shape == (1, 16, 8)
    with pytest.raises(
        ValueError, match=r"at most max_position_embeddings = 16 tokens, but this batch has 17"
    ):
        encode(encoder, [[1] * 17])


def test_dropout_is_for_training_alone_and_differs_by_call(encoder):
    given = {"input_word_ids": np.array([[5, 6, 7]])}
    quiet = [np.asarray(encoder(given)["sequence_output"]) for _ in range(2)]
    noisy = [np.asarray(encoder(given, training=True)["sequence_output"]) for _ in range(2)]
    np.testing.assert_array_equal(*quiet)
    assert np.abs(noisy[0] - quiet[0]).max() > 1e-3
    assert np.abs(noisy[0] - noisy[1]).max() > 1e-3


def test_every_place_of_dropout_has_its_own_number(encoder):
    sites = []

    def dropout(x, rate, site):
        sites.append(site)
        return x

    encoder({"input_word_ids": np.array([[5, 6]])}, dropout=dropout)
    assert sorted(sites) == list(range(encoder.dropout_sites))


def test_initialisation_is_the_releases():
    config = BertConfig.from_json_file(small.CONFIG)
    model = build_encoder(config, seed=3)
    for variable in model.trainable_variables:
        values = variable.numpy()
        if variable.path.endswith(("bias", "beta")):
            assert (values == 0).all(), variable.path
        elif variable.path.endswith("gamma"):
            assert (values == 1).all(), variable.path
        else:  # a normal distribution cut at two deviations has 0.88 of its deviation
            assert np.abs(values).max() <= 0.04 + 1e-6, variable.path
            assert abs(values.mean()) < 0.004, variable.path
            assert values.std() == pytest.approx(0.02 * 0.88, rel=0.15), variable.path
    kernels_of = [v.numpy() for v in model.trainable_variables if v.shape == (32, 32)]
    assert len({kernel.tobytes() for kernel in kernels_of}) == len(kernels_of) > 8


def test_the_seed_decides_the_weights():
    one, same, other = (build_encoder(TINY, seed=seed) for seed in (1, 1, 2))
    name = "bert/layer_1/self_attention/value/kernel"
    values = [
        next(v.numpy() for v in model.variables if v.path == name) for model in (one, same, other)
    ]
    np.testing.assert_array_equal(values[0], values[1])
    assert (values[0] != values[2]).any()


def test_fidelity_constants():
    assert (kernels.LAYER_NORM_EPSILON, kernels.MASKED_SCORE) == (1e-12, -10000.0)


def test_variable_paths_are_pinned(encoder):
    layer = [
        *(f"self_attention/{n}/{k}" for n in ("query", "key", "value") for k in ("kernel", "bias")),
        *("attention_output/kernel", "attention_output/bias"),
        *("attention_norm/gamma", "attention_norm/beta"),
        *("intermediate/kernel", "intermediate/bias"),
        *("output/kernel", "output/bias", "output_norm/gamma", "output_norm/beta"),
    ]
    expected = [
        *(f"embeddings/{name}_embeddings" for name in ("word", "token_type", "position")),
        *("embeddings/layer_norm/gamma", "embeddings/layer_norm/beta"),
        *(f"layer_{number}/{name}" for number in range(2) for name in layer),
        *("pooler/kernel", "pooler/bias"),
    ]
    paths = [variable.path for variable in encoder.trainable_variables]
    assert sorted(paths) == sorted(f"bert/{name}" for name in expected)
