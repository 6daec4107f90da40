"""Hand-written gradients against automatic differentiation of the plain formulas."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.modeling import kernels

RNG = np.random.default_rng(0)
IDS = np.array([3, 0, 3, 3, 6], np.int32)  # one id thrice, some never
# Rounding of the dtype times the few operations in a row.
TOLERANCE = {"float32": 2e-6, "bfloat16": 3e-2}


def plain_gelu(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * x * (1.0 + tf.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x**3)))


def plain_layer_norm(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / tf.sqrt(variance + 1e-12) * gamma + beta


def normal(*shape: int) -> np.ndarray[Any, Any]:
    return RNG.normal(size=shape)


# Name: (ours, the plain formula, arguments).
CASES: dict[str, tuple[Callable[..., Any], Callable[..., Any], list[Any]]] = {
    "gelu_tanh": (kernels.gelu_tanh, plain_gelu, [3.0 * normal(4, 50)]),
    "layer_norm": (
        kernels.layer_norm,
        plain_layer_norm,
        [2.0 + normal(2, 5, 16), normal(16), normal(16)],
    ),
    "lookup": (
        lambda table: kernels.lookup(table, tf.constant(IDS)),
        lambda table: tf.matmul(tf.one_hot(IDS, 7, dtype=table.dtype), table),
        [normal(7, 4)],
    ),
    "project_on_rows": (
        kernels.project_on_rows,
        lambda x, table: tf.matmul(x, table, transpose_b=True),
        [normal(5, 8), normal(7, 8)],
    ),
}
# The layer norm's parameters are float32 beside an input of any dtype.
KEPT_FLOAT32 = {"layer_norm": (1, 2)}


def value_and_gradients(function: Callable[..., Any], arguments: list[Any]) -> list[Any]:
    """The value and the gradients of a sum that weights every element differently."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
        wide = tf.cast(value, tf.float64)
        weights = tf.reshape(tf.linspace(-1.0, 1.0, tf.size(value)), tf.shape(value))
        total = tf.reduce_sum(wide * tf.cast(weights, tf.float64))
    return [value, *tape.gradient(total, arguments)]


def in_chains(function: Callable[..., Any]) -> Callable[..., Any]:
    """Runs as a graph with compiled chains."""

    @tf.function
    def run(*inputs: tf.Tensor) -> Any:
        with kernels.compiled_by(lambda chain: tf.function(chain, jit_compile=True)):
            return function(*inputs)

    return run


WAYS: dict[str, Callable[..., Any]] = {
    "graph": tf.function,
    "compiled": partial(tf.function, jit_compile=True),
    "chains compiled": in_chains,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradients_equal_plain_formula(name: str, dtype: str, way: str) -> None:
    ours, plain, arrays = CASES[name]
    kept = KEPT_FLOAT32.get(name, ())
    arguments = [
        tf.cast(array, "float32" if index in kept else dtype) for index, array in enumerate(arrays)
    ]
    run = WAYS[way](lambda *inputs: value_and_gradients(ours, list(inputs)))
    expected = value_and_gradients(plain, [tf.cast(argument, tf.float64) for argument in arguments])
    for got, wanted in zip(run(*arguments), expected, strict=True):
        scale = np.max(np.abs(wanted))
        np.testing.assert_allclose(
            tf.cast(got, tf.float64) / scale, wanted / scale, atol=TOLERANCE[dtype]
        )


@pytest.mark.parametrize("name", CASES)
def test_dtype_is_kept(name: str) -> None:
    ours, _, arrays = CASES[name]
    kept = KEPT_FLOAT32.get(name, ())
    arguments = [
        tf.cast(array, "float32" if index in kept else "bfloat16")
        for index, array in enumerate(arrays)
    ]
    value, *gradients = value_and_gradients(ours, arguments)
    assert value.dtype == tf.bfloat16
    assert [gradient.dtype for gradient in gradients] == [a.dtype for a in arguments]


def test_repeated_ids_are_summed_in_float32() -> None:
    # 4096 ones in bfloat16 stop at 256, where 256 + 1 rounds back to 256.
    table = tf.ones([3, 2], tf.bfloat16)
    ids = tf.zeros([4096], tf.int32)
    with tf.GradientTape() as tape:
        tape.watch(table)
        total = tf.reduce_sum(tf.cast(kernels.lookup(table, ids), tf.float32))
    gradient = tf.cast(tape.gradient(total, table), tf.float32).numpy()
    np.testing.assert_array_equal(gradient, [[4096.0, 4096.0], [0.0, 0.0], [0.0, 0.0]])


@pytest.mark.parametrize("name", ["gelu_tanh", "layer_norm"])
def test_a_compiler_gets_value_and_gradient_by_the_same_object_each_time(name: str) -> None:
    ours, _, arrays = CASES[name]
    given: list[Callable[..., Any]] = []

    def compiler(chain: Callable[..., Any]) -> Callable[..., Any]:
        given.append(chain)
        return chain

    arguments = [tf.cast(array, tf.float32) for array in arrays]
    for _ in range(2):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            with kernels.compiled_by(compiler):
                value = ours(*arguments)
        tape.gradient(value, arguments)  # outside: the compiler is that of the forward pass
    assert len(given) == 4
    assert len(set(given)) == 2
    assert given[:2] == given[2:]


def test_a_compiler_ends_with_its_block_even_by_an_error() -> None:
    with pytest.raises(RuntimeError), kernels.compiled_by(lambda _: lambda *_: 1 / 0):
        raise RuntimeError
    assert float(kernels.gelu_tanh(tf.zeros([]))) == 0.0


def test_gelu_of_large_float16_values() -> None:
    x = tf.constant([-60000.0, -256.0, 256.0, 60000.0], tf.float16)
    value, gradient = value_and_gradients(kernels.gelu_tanh, [x])
    np.testing.assert_array_equal(value, [0.0, 0.0, 256.0, 60000.0])
    np.testing.assert_allclose(gradient, [0.0, 0.0, 1.0 / 3.0, 1.0], atol=1e-3)


@pytest.mark.parametrize("name", ["gelu", "gelu_exact"])
def test_served_gelu_is_gelu(name):
    """Also far from 0, where one form rounds to nothing what the other keeps as next to nothing."""
    x = np.concatenate([np.linspace(-12.0, 12.0, 2401), [-1e4, 1e4]]).astype("float32")
    expected = kernels.ACTIVATIONS[name](x)
    with kernels.served():
        found = kernels.ACTIVATIONS[name](x)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_served_gelu_does_not_overflow_in_float16():
    x = np.array([-300.0, 300.0], np.float16)
    with kernels.served():
        found = kernels.gelu_tanh(x)
    assert found.dtype == tf.float16
    np.testing.assert_array_equal(found, [0.0, 300.0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_served_swap_is_a_swap_forwards_and_backwards(dtype):
    x = tf.cast(np.random.default_rng(0).normal(size=[2, 3, 4, 5]), dtype)
    upstream = tf.cast(np.random.default_rng(1).normal(size=[2, 4, 3, 5]), dtype)
    with kernels.served(), tf.GradientTape() as tape:
        tape.watch(x)
        found = kernels.swap_middle(x)
    np.testing.assert_array_equal(found, tf.transpose(x, [0, 2, 1, 3]))
    assert found.dtype == dtype
    gradient = tape.gradient(found, x, upstream)
    np.testing.assert_array_equal(gradient, tf.transpose(upstream, [0, 2, 1, 3]))
