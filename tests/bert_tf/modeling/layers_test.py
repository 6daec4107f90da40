"""Layers beside plain transcriptions of their formulas."""

import numpy as np
import pytest
from keras import ops

from bert_tf.modeling.dropout import SeededDropout, check_rate
from bert_tf.modeling.layers import Embeddings, LayerNorm, Linear, fold_seed
from tests.support import small  # noqa: F401  (two devices before TensorFlow starts)


def test_layer_norm_is_over_the_last_axis_with_the_releases_epsilon():
    draw = np.random.default_rng(0)
    x = (draw.normal(size=[2, 3, 8]) * 1e-4).astype("float32")  # where 1e-3 would be far off
    layer = LayerNorm()
    layer.build((None, None, 8))
    gamma, beta = draw.normal(size=[2, 8]).astype("float32")
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    wide = x.astype("float64")
    centred = wide - wide.mean(-1, keepdims=True)
    expected = centred / np.sqrt(wide.var(-1, keepdims=True) + 1e-12) * gamma + beta
    np.testing.assert_allclose(layer(x), expected, rtol=1e-3, atol=1e-4)


def test_linear_is_one_product():
    layer = Linear(3, seed=1)
    x = np.random.default_rng(0).normal(size=[5, 4]).astype("float32")
    layer.build((None, 4))
    layer.bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_allclose(layer(x), x @ layer.kernel.numpy() + [1, 2, 3], atol=1e-6)
    assert layer.compute_output_shape((7, 4)) == (7, 3)


def test_embeddings_add_words_types_and_positions():
    layer = Embeddings(10, 4, 6, 2, dropout=0.0, seed=1)
    layer.build()
    ids, types = np.array([[3, 3, 9]]), np.array([[0, 1, 1]])
    words, kinds, places = (
        table.numpy()
        for table in (
            layer.word_embeddings,
            layer.token_type_embeddings,
            layer.position_embeddings,
        )
    )
    expected = layer.layer_norm(words[ids] + kinds[types] + places[None, :3])
    np.testing.assert_allclose(layer(ids, types), expected, rtol=1e-4, atol=1e-5)


def test_embeddings_are_added_in_float32():
    wide = Embeddings(10, 64, 6, 2, dropout=0.0, seed=1)
    low = Embeddings(10, 64, 6, 2, dropout=0.0, seed=1, dtype="mixed_bfloat16")
    for layer in (wide, low):
        layer.build()
    ids, types = np.array([[3, 3, 9]]), np.array([[0, 1, 1]])
    words, kinds = low.word_embeddings.numpy()[ids], low.token_type_embeddings.numpy()[types]
    summed = words + kinds + low.position_embeddings.numpy()[None, :3]
    got = low(ids, types)
    # The sum is rounded once, as the input of the normalisation.
    np.testing.assert_array_equal(
        ops.cast(got, "float32"), ops.cast(low.layer_norm(summed), "float32")
    )
    assert got.dtype == "bfloat16"
    np.testing.assert_allclose(ops.cast(got, "float32"), wide(ids, types), atol=2e-2)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_rates_are_checked(rate):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\), but is .* Use 0\.0 to switch"):
        check_rate("hidden_dropout_prob", rate)


def test_seeded_dropout_keeps_the_mean():
    import keras

    drop = SeededDropout(keras.random.SeedGenerator(1))
    x = np.ones([100, 100], "float32")
    assert np.asarray(drop(x, 0.25, 0)).mean() == pytest.approx(1.0, abs=0.03)
    assert drop(x, 0.0, 0) is x


def test_seeds_of_parts_differ():
    assert fold_seed(None, "a") is None
    assert len({fold_seed(1, "a"), fold_seed(1, "b"), fold_seed(2, "a")}) == 3
