"""Mathematics of the encoder as pure functions of tensors, shaped for speed.

Each function with a hand-written gradient computes the same derivative that automatic
differentiation would, in fewer passes over memory: on CPUs, element-wise work is bound by memory,
and the passes saved here are a fifth of a training step.

Only `keras.ops` is used, so every function runs on each Keras backend. Who trains may hand in a
compiler (`compiled_by`), which makes one pass of each chain of element-wise operations; who serves
single sequences asks for `served`.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from keras import ops
from keras.backend import standardize_dtype

Tensor = Any
# From a pure function of tensors to one that computes the same.
Compiler = Callable[[Callable[..., Any]], Callable[..., Any]]


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiler that does nothing."""
    return function


_compiler: ContextVar[Compiler] = ContextVar("compiler", default=as_it_is)


@contextlib.contextmanager
def compiled_by(compiler: Compiler) -> Iterator[None]:
    """Within it, chains of element-wise operations run as `compiler` returns them.

    Args:
        compiler: Takes a module's pure function of tensors, always the same object for the same
            chain. The gradient of what it returns is not asked for.
    """
    token = _compiler.set(compiler)
    try:
        yield
    finally:
        _compiler.reset(token)


_served: ContextVar[bool] = ContextVar("served", default=False)


@contextlib.contextmanager
def served() -> Iterator[None]:
    """Within it, the graph is written for inference on few rows, not for training on many.

    Values are the same but for rounding; gradients are those of automatic differentiation.

    - Query, key and value are a matrix product each, not one for all. One product is faster, but
      its matrix has to be put together from three. That is nothing beside the rows of a batch, and
      a tenth of the time of a single short sequence.
    - Biases and GELU have the forms that TensorFlow, on CPUs with oneDNN, computes together with
      the matrix product before them.
    - Heads are moved as integers, which oneDNN leaves to TensorFlow: its transposition of floats
      takes several times as long for a short sequence.
    """
    token = _served.set(True)
    try:
        yield
    finally:
        _served.reset(token)


def is_served() -> bool:
    """Whether this is within `served`."""
    return _served.get()


# Fidelity constants of the 2018 release (modeling.py).
LAYER_NORM_EPSILON = 1e-12  # tf.contrib.layers.layer_norm, not the Keras default of 1e-3
MASKED_SCORE = -10000.0  # added to the scores of padding; large, yet finite in float16
GELU_CUBIC = 0.044715  # the tanh form of GELU, which the release calls "gelu"
_GELU_SCALE = 2.0 * math.sqrt(2.0 / math.pi)


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU in its tanh form: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    Written as x * sigmoid(2 u), which is the same function with two passes fewer.

    Args:
        x: Any shape, floating point.

    Returns:
        The same shape and dtype.

    Source: `gelu` of the original's modeling.py; arXiv 1606.08415, section 2.
    """
    x = ops.convert_to_tensor(x)
    return _gelu_served(x) if is_served() else _gelu_tanh(x)


def _gelu_served(x: Tensor) -> Tensor:
    """Of several equal forms, the one that TensorFlow finds after it has moved constants about."""
    wide = ops.cast(x, "float32")
    cubic = wide * (GELU_CUBIC * ops.square(wide))
    gate = 1.0 + ops.tanh(_GELU_SCALE / 2.0 * (wide + cubic))
    return ops.cast((0.5 * wide) * gate, x.dtype)


@ops.custom_gradient
def _gelu_tanh(x: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
    compiler = _compiler.get()

    def grad(*args: Tensor, upstream: Tensor = None) -> Tensor:
        (upstream,) = args or (upstream,)
        return compiler(_gelu_gradient)(upstream, x)

    return compiler(_gelu_value)(x), grad


def _gelu_gate(x: Tensor, square: Tensor) -> Tensor:
    return ops.sigmoid(x * (square * (_GELU_SCALE * GELU_CUBIC) + _GELU_SCALE))


def _gelu_value(x: Tensor) -> Tensor:
    wide = ops.cast(x, "float32")  # whose squares do not overflow as those of float16 do
    return ops.cast(wide * _gelu_gate(wide, ops.square(wide)), x.dtype)


def _gelu_gradient(upstream: Tensor, x: Tensor) -> Tensor:
    wide = ops.cast(x, "float32")
    square = ops.square(wide)
    gate = _gelu_gate(wide, square)
    slope = square * (3.0 * _GELU_SCALE * GELU_CUBIC) + _GELU_SCALE
    derivative = gate * (1.0 + wide * slope * (1.0 - gate))
    return ops.cast(ops.cast(upstream, "float32") * derivative, x.dtype)


def gelu_exact(x: Tensor) -> Tensor:
    """GELU by the error function, as Hugging Face's "gelu"; shape and dtype are kept."""
    return ops.gelu(x, approximate=False)


def identity(x: Tensor) -> Tensor:
    """The original's "linear" activation."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu_tanh,
    "gelu_exact": gelu_exact,
    "relu": ops.relu,
    "tanh": ops.tanh,
    "linear": identity,
}


def layer_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
    """Layer normalisation over the last axis, computed in float32.

    Args:
        x: [..., H], any float dtype.
        gamma: [H] float32.
        beta: [H] float32.

    Returns:
        [..., H] in the dtype of `x`.

    Source: `layer_norm` of the original's modeling.py; arXiv 1607.06450.
    """
    return _layer_norm(x, ops.convert_to_tensor(gamma), ops.convert_to_tensor(beta))


@ops.custom_gradient
def _layer_norm(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Callable[..., Any]]:
    compiler = _compiler.get()
    value, mean, inverse = compiler(_layer_norm_value)(x, gamma, beta)

    def grad(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor, Tensor]:
        (upstream,) = args or (upstream,)
        return compiler(_layer_norm_gradient)(upstream, x, mean, inverse, gamma)

    return value, grad


def _layer_norm_value(x: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    wide = ops.cast(x, "float32")
    mean = ops.mean(wide, axis=-1, keepdims=True)  # [..., 1]
    centred = wide - mean
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    inverse = ops.rsqrt(variance + LAYER_NORM_EPSILON)  # [..., 1]
    return ops.cast(centred * inverse * gamma + beta, x.dtype), mean, inverse


def _layer_norm_gradient(
    upstream: Tensor, x: Tensor, mean: Tensor, inverse: Tensor, gamma: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    rows = tuple(range(len(x.shape) - 1))
    normal = (ops.cast(x, "float32") - mean) * inverse
    upstream = ops.cast(upstream, "float32")
    weighted = upstream * gamma
    average = ops.mean(weighted, axis=-1, keepdims=True)
    along = ops.mean(weighted * normal, axis=-1, keepdims=True)
    dx = ops.cast((weighted - normal * along - average) * inverse, x.dtype)
    return dx, ops.sum(upstream * normal, axis=rows), ops.sum(upstream, axis=rows)


def swap_middle(x: Tensor) -> Tensor:
    """[A, B, C, D] -> [A, C, B, D]."""
    return _swap_middle_served(x) if is_served() else ops.transpose(x, (0, 2, 1, 3))


@ops.custom_gradient
def _swap_middle_served(x: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:

    def grad(*args: Tensor, upstream: Tensor = None) -> Tensor:
        (upstream,) = args or (upstream,)
        return ops.transpose(upstream, (0, 2, 1, 3))  # of floats: it has a gradient itself

    dtype = standardize_dtype(x.dtype)
    bits = ops.view(x, "int32" if dtype == "float32" else "int16")
    return ops.view(ops.transpose(bits, (0, 2, 1, 3)), dtype), grad


def lookup(table: Tensor, ids: Tensor) -> Tensor:
    """Rows of `table`, with a dense gradient in which repeated ids are summed.

    A sparse gradient would have to be merged with the dense one of the tied output layer, and
    optimizers that square it row by row get repeated ids wrong.

    Args:
        table: [V, H] floating point.
        ids: [N] int32, each in [0, V).

    Returns:
        [N, H] in the dtype of `table`.
    """

    @ops.custom_gradient
    def rows(table: Tensor) -> tuple[Tensor, Callable[..., Tensor]]:
        size, dtype = table.shape[0] or ops.shape(table)[0], table.dtype

        def grad(*args: Tensor, upstream: Tensor = None) -> Tensor:
            (upstream,) = args or (upstream,)
            # Sums in float32: a frequent word adds up thousands of small bfloat16 numbers.
            total = ops.segment_sum(ops.cast(upstream, "float32"), ids, num_segments=size)
            return ops.cast(total, dtype)

        return ops.take(table, ids, axis=0), grad

    # As a tensor: custom gradients treat variables among their arguments apart.
    return rows(ops.convert_to_tensor(table))


def project_on_rows(x: Tensor, table: Tensor) -> Tensor:
    """x @ table^T without a transposed copy of the table, forwards or backwards.

    Args:
        x: [N, H] floating point.
        table: [V, H] in the same dtype.

    Returns:
        [N, V].
    """
    return _project_on_rows(x, ops.convert_to_tensor(table))


@ops.custom_gradient
def _project_on_rows(x: Tensor, table: Tensor) -> tuple[Tensor, Callable[..., Any]]:

    def grad(*args: Tensor, upstream: Tensor = None) -> tuple[Tensor, Tensor]:
        (upstream,) = args or (upstream,)
        return ops.matmul(upstream, table), ops.matmul(ops.transpose(upstream), x)

    return ops.matmul(x, ops.transpose(table)), grad
