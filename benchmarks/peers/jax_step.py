"""bert_tf's Keras model on the JAX backend: one compiled step with donated buffers.

The task, its loss, the encoder and the heads are those that training on TensorFlow uses; dropout
and the update, which are TensorFlow there, are written with JAX here. TensorFlow is not imported.
"""

import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # before Keras is imported

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.peers.batches import PREDICTIONS, pretraining_batches
from benchmarks.peers.protocol import Case, Contender, serve
from bert_tf.config import named_config
from bert_tf.tasks.pretraining import PretrainingTask

BETA_1, BETA_2, EPSILON, DECAY, RATE = 0.9, 0.999, 1e-6, 0.01, 1e-4
MATRIX_PRODUCTS = 10
_BITS = 16

Values = list[jax.Array]
State = tuple[Values, Values, Values]  # variables, first and second moments


class RandomBitsDropout:
    """Dropout that decides with 16 random bits a value, as training on TensorFlow does."""

    def __init__(self, key: jax.Array) -> None:
        self.key = key

    def __call__(self, x: jax.Array, rate: float, site: int) -> jax.Array:
        """Zeroes a share `rate` of `x` and scales up the rest."""
        threshold = round(rate * 2**_BITS)
        bits = jax.random.bits(jax.random.fold_in(self.key, site), x.shape, jnp.uint16)
        scale = jnp.asarray(2**_BITS / (2**_BITS - threshold), x.dtype)
        return jnp.where(bits >= threshold, x * scale, jnp.zeros([], x.dtype))


def updated(state: State, gradients: Values, decays: Sequence[float]) -> State:
    """The original's Adam, after clipping to a global norm of 1; see `bert_tf.optimization`."""
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(gradient)) for gradient in gradients))
    scale = 1.0 / jnp.maximum(norm, 1.0)
    values, firsts, seconds = [], [], []
    for value, first, second, gradient, decay in zip(*state, gradients, decays, strict=True):
        scaled = gradient * scale
        firsts.append(BETA_1 * first + (1.0 - BETA_1) * scaled)
        seconds.append(BETA_2 * second + (1.0 - BETA_2) * jnp.square(scaled))
        update = firsts[-1] / (jnp.sqrt(seconds[-1]) + EPSILON) + decay * value
        values.append(value - RATE * update)
    return values, firsts, seconds


def step_function(
    task: PretrainingTask, model: keras.Model
) -> Callable[[State, Any, jax.Array], tuple[State, jax.Array]]:
    """The compiled step (state, batch, key) -> (state, loss)."""
    variables = model.trainable_variables
    plain = ("gamma", "beta", "bias")  # norms and biases are not decayed
    decays = [0.0 if any(name in v.path for name in plain) else DECAY for v in variables]

    def loss(values: Values, batch: Any, key: jax.Array) -> jax.Array:
        with keras.StatelessScope(list(zip(variables, values, strict=True))):
            return task.loss(model, batch, task.totals(batch), RandomBitsDropout(key))[0]

    def step(state: State, batch: Any, key: jax.Array) -> tuple[State, jax.Array]:
        value, gradients = jax.value_and_grad(loss)(state[0], batch, key)
        return updated(state, gradients, decays), value

    return jax.jit(step, donate_argnums=0)


def build(case: Case) -> Contender:
    """The step, its state and its batches on the device."""
    platform = "cuda" if case.device == "gpu" else "cpu"
    jax.config.update("jax_platforms", platform)
    policy = {"bfloat16": "mixed_bfloat16"}.get(case.precision, case.precision)
    keras.config.set_dtype_policy(policy)
    config = named_config(case.model)
    task = PretrainingTask(config, case.length, min(PREDICTIONS, case.length - 2), seed=1)
    model = task.build_model()
    step = step_function(task, model)
    batches = itertools.cycle(
        [
            jax.device_put({**batch, "example_weight": np.ones(case.batch_size, np.float32)})
            for batch in pretraining_batches(config, case.batch_size, case.length)
        ]
    )
    values = [jnp.array(variable.value) for variable in model.trainable_variables]
    state: State = (values, [v * 0.0 for v in values], [v * 0.0 for v in values])
    # The counter-based default generator costs a tenth of the step; this one is the hardware's.
    key = jax.random.key(1, impl="unsafe_rbg")
    number = itertools.count()

    def steps(count: int) -> float:
        nonlocal state
        loss = jnp.zeros([])
        for _ in range(count):
            state, loss = step(state, next(batches), jax.random.fold_in(key, next(number)))
        return float(loss)

    size = 8192 if case.device == "gpu" else 1024
    left, right = (
        jax.random.normal(jax.random.key(n), (size, size), case.precision) for n in range(2)
    )
    multiply = jax.jit(jnp.matmul)

    def matrix_product() -> None:
        products = [multiply(left, right) for _ in range(MATRIX_PRODUCTS)]
        products[-1].block_until_ready()

    return Contender(
        steps=steps,
        matrix_product=matrix_product,
        matrix_flops=2.0 * size**3 * MATRIX_PRODUCTS,
        versions=f"keras {keras.__version__} on jax {jax.__version__}, {jax.devices()[0]}",
    )


if __name__ == "__main__":
    serve(build)
