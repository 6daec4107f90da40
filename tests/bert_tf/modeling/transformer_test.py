"""Attention and block beside the textbook's formulas."""

import contextlib

import numpy as np
import pytest

from bert_tf.modeling import kernels
from bert_tf.modeling.transformer import SelfAttention, TransformerBlock
from tests.support import small  # noqa: F401  (two devices before TensorFlow starts)

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=[2, 5, 8]).astype("float32")
BIAS = np.where(np.arange(5) < np.array([[5], [3]]), 0.0, -10000.0)[:, None, None, :]


def attention(x, bias, weights, heads):
    """Head by head, example by example."""
    query, key, value = (x @ kernel + offset for kernel, offset in weights)
    size = x.shape[-1] // heads
    out = np.zeros_like(x)
    for example in range(len(x)):
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = query[example, :, part] @ key[example, :, part].T / np.sqrt(size)
            scores = np.exp(scores + bias[example, 0] - scores.max())
            out[example, :, part] = scores / scores.sum(-1, keepdims=True) @ value[example, :, part]
    return out


@pytest.mark.parametrize("way", [contextlib.nullcontext, kernels.served], ids=["joint", "separate"])
def test_attention_is_the_textbooks(way):
    layer = SelfAttention(2, dropout=0.0, initializer_range=0.5, seed=1)
    layer.build(X.shape)
    for projection in layer.projections:
        projection.bias.assign(DRAW.normal(size=[8]))
    weights = [(p.kernel.numpy(), p.bias.numpy()) for p in layer.projections]
    expected = attention(X.astype("float64"), BIAS, weights, 2)
    with way():
        assert kernels.is_served() == (way is kernels.served)
        found = layer(X, BIAS.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="but is 8 with 3 heads"):
        SelfAttention(3).build((None, None, 8))


def norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)


def test_block_is_attention_and_feed_forward_each_added_and_normalised():
    block = TransformerBlock(2, 12, "relu", 0.0, 0.0, initializer_range=0.5, seed=1)
    block.build(X.shape)
    values = {v.path.split("/", 1)[1]: v.numpy().astype("float64") for v in block.variables}

    def linear(x, name):
        return x @ values[f"{name}/kernel"] + values[f"{name}/bias"]

    weights = [
        (values[f"self_attention/{n}/kernel"], values[f"self_attention/{n}/bias"])
        for n in ("query", "key", "value")
    ]
    attended = attention(X.astype("float64"), BIAS, weights, 2)
    x = norm(X + linear(attended, "attention_output"))
    expected = norm(x + linear(np.maximum(linear(x, "intermediate"), 0.0), "output"))
    np.testing.assert_allclose(block(X, BIAS.astype("float32")), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("activation", kernels.ACTIVATIONS)
def test_a_served_block_gives_what_a_trained_one_does(activation):
    block = TransformerBlock(2, 12, activation, 0.0, 0.0, initializer_range=0.5, seed=1)
    block.build(X.shape)
    for variable in block.variables:
        variable.assign(variable.numpy() + 0.1 * DRAW.normal(size=variable.shape))
    expected = block(X, BIAS.astype("float32"))
    with kernels.served():
        found = block(X, BIAS.astype("float32"))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_dropout_has_three_places_with_their_rates():
    block = TransformerBlock(2, 12, hidden_dropout=0.2, attention_dropout=0.3, seed=1)
    seen = []

    def dropout(x, rate, site):
        seen.append((site, rate, tuple(x.shape)))
        return x

    block(X, BIAS.astype("float32"), dropout=dropout, first_site=10)
    assert [(site, rate) for site, rate, _ in seen] == [(10, 0.3), (11, 0.2), (12, 0.2)]
    assert seen[0][2] == (2, 2, 5, 5)
