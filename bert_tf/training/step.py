"""One training step as functions of tensors.

`gradient_function` reads no variable and keeps no state, so that it can be compiled by XLA under
every strategy, lowered for a TPU without having one, and rematerialised.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from bert_tf.modeling import kernels
from bert_tf.tasks.task import Sums, Task

Batch = Mapping[str, tf.Tensor]
Gradients = list[tf.Tensor]
GradientFunction = Callable[..., tuple[Gradients, Sums]]

_BITS = 16


class StatelessDropout:
    """Dropout masks as a function of a seed and the place in the model.

    16 random bits decide about each value: the rate is exact to 1/65536, and the scale of what is
    kept is that of the rate in fact used.

    Args:
        seed: int32 [2], different for every step, micro-batch and replica (`fold_seed`).
    """

    def __init__(self, seed: tf.Tensor) -> None:
        self.seed = seed

    def __call__(self, x: tf.Tensor, rate: float, site: int) -> tf.Tensor:
        """Zeroes a share `rate` of `x` and scales up the rest."""
        threshold = round(rate * 2**_BITS)
        if threshold == 0:
            return x
        size = tf.size(x)
        seed = tf.stack([self.seed[0] + site, self.seed[1]])
        words = tf.random.stateless_uniform(
            [(size + 1) // 2], seed, minval=None, maxval=None, dtype=tf.uint32
        )
        bits = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:size]
        keep = tf.reshape(bits, tf.shape(x)) >= tf.constant(threshold, tf.uint16)
        # A cast and a product: `where` with scalars takes TensorFlow's slow broadcasting path.
        scale = tf.cast(2**_BITS / (2**_BITS - threshold), x.dtype)
        return x * (tf.cast(keep, x.dtype) * scale)


def fold_seed(seed: int, *numbers: tf.Tensor) -> tf.Tensor:
    """A seed, int32 [2], for the combination of a run's seed and any numbers."""
    folded = tf.constant([seed & 0x7FFFFFFF, seed >> 31 & 0x7FFFFFFF], tf.int32)
    for number in numbers:
        folded = tf.random.fold_in(folded, tf.cast(number, tf.int32))
    return folded


def gradient_function(
    task: Task,
    model: keras.Model,
    variables: Sequence[Any],
    *,
    trained: Sequence[bool],
    jit_compile: bool,
    compile_chains: bool,
) -> GradientFunction:
    """Builds the function (values, batch, totals, seed, loss_scale) -> (gradients, sums).

    Args:
        task: Gives the loss.
        model: The task's model.
        variables: Its variables.
        trained: For each of them, whether its gradient is wanted.
        jit_compile: Whether to compile with XLA.
        compile_chains: Whether to compile chains of element-wise operations on their own
            (`compiled_chain`); of use where the whole is not compiled.

    Returns:
        A function of
        `values`, the variables' values;
        `batch`, the replica's examples;
        `totals`, the task's totals of the global batch;
        `seed`, int32 [2], for dropout;
        `loss_scale`, a scalar the loss is multiplied by before differentiation.
        It returns dense float32 gradients of the trained variables, and the task's sums with
        the unscaled `loss`.
    """

    compiler = compiled_chain if compile_chains else kernels.as_it_is

    def compute(
        values: list[tf.Tensor], batch: Batch, totals: Sums, seed: tf.Tensor, loss_scale: tf.Tensor
    ) -> tuple[Gradients, Sums]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            wanted = _where(trained, values)
            tape.watch(wanted)
            scope = keras.StatelessScope(zip(variables, values, strict=True))
            with scope, kernels.compiled_by(compiler):
                loss, sums = task.loss(model, batch, totals, StatelessDropout(seed))
            scaled = loss * loss_scale
        gradients = tape.gradient(scaled, wanted, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in gradients], {"loss": loss, **sums}

    return tf.function(compute, jit_compile=True, autograph=False) if jit_compile else compute


@functools.cache
def compiled_chain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A pure function of tensors, compiled by XLA where all shapes are known while tracing.

    On CPUs, graphs multiply matrices faster than XLA does, but take a pass over memory for each
    element-wise operation. Where shapes change from batch to batch, chains stay as they are,
    because XLA would compile for each of them.
    """
    compiled = tf.function(function, jit_compile=True, autograph=False)

    def run(*arguments: tf.Tensor) -> Any:
        known = all(argument.shape.is_fully_defined() for argument in arguments)
        return (compiled if known else function)(*arguments)

    return run


def _where(trained: Sequence[bool], values: Sequence[Any]) -> list[Any]:
    return [value for value, is_trained in zip(values, trained, strict=True) if is_trained]


def accumulate(
    compute: GradientFunction,
    values: list[tf.Tensor],
    batch: Batch,
    totals: Sums,
    seeds: Callable[[tf.Tensor], tf.Tensor],
    loss_scale: tf.Tensor,
    micro_batches: int,
    sum_names: Sequence[str],
    trained: Sequence[bool],
) -> tuple[Gradients, Sums]:
    """Gradients and sums of a batch computed in parts, one after another.

    Because the totals are those of the global batch, the parts simply add up.

    Args:
        compute: From `gradient_function`.
        values: The variables' values.
        batch: [B, ...], B divisible by `micro_batches`.
        totals: The task's totals of the global batch.
        seeds: Dropout seed of a micro-batch by its number.
        loss_scale: See `gradient_function`.
        micro_batches: Number of parts.
        sum_names: Names of the sums that `compute` returns.
        trained: See `gradient_function`.
    """
    if micro_batches == 1:
        return compute(values, batch, totals, seeds(tf.constant(0)), loss_scale)
    parts = {
        name: tf.reshape(value, tf.concat([[micro_batches, -1], tf.shape(value)[1:]], axis=0))
        for name, value in batch.items()
    }

    def body(index: tf.Tensor, gradients: Gradients, sums: Sums) -> tuple[Any, ...]:
        part = {
            name: tf.ensure_shape(
                value[index], [batch[name].shape[0] // micro_batches, *batch[name].shape[1:]]
            )
            for name, value in parts.items()
        }
        more, extra = compute(values, part, totals, seeds(index), loss_scale)
        return (
            index + 1,
            [a + b for a, b in zip(gradients, more, strict=True)],
            {name: sums[name] + extra[name] for name in sum_names},
        )

    start = (
        tf.constant(0),
        [tf.zeros_like(value) for value in _where(trained, values)],
        {name: tf.zeros([]) for name in sum_names},
    )
    _, gradients, sums = tf.while_loop(lambda index, *_: index < micro_batches, body, start)
    return gradients, sums
