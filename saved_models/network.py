"""A model as an export runs it: the type its weights are stored in, XLA, and the shapes it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import keras
import tensorflow as tf

from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling import kernels

Tensors = dict[str, tf.Tensor]

ENCODER_INPUTS = ("input_word_ids", "input_mask", "input_type_ids")
WEIGHTS_DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class NetworkOptions:
    """How an export keeps and runs its model.

    Attributes:
        weights_dtype: One of `WEIGHTS_DTYPES`, in which weights are stored; they are cast to
            float32 where they are used.
        jit_compile: Whether XLA compiles the model, once for every shape that it sees.
        batch_buckets: Sizes that batches are padded to: the least that holds the batch, beyond the
            last a multiple of it; none to leave them.
        length_buckets: Likewise for tokens; sequences longer than the last stay as they are.

    Raises:
        ValueError: If the type is none, or buckets do not rise from 1 or more.
    """

    weights_dtype: str = "float32"
    jit_compile: bool = False
    batch_buckets: tuple[int, ...] = ()
    length_buckets: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.weights_dtype not in WEIGHTS_DTYPES:
            raise ValueError(
                f"--weights_dtype must be one of {', '.join(WEIGHTS_DTYPES)}, but is "
                f"{self.weights_dtype!r}."
            )
        for name in ("batch_buckets", "length_buckets"):
            sizes: tuple[int, ...] = getattr(self, name)
            if any(size < 1 for size in sizes) or any(a >= b for a, b in pairwise(sizes)):
                raise ValueError(
                    f"--{name} must be rising numbers of 1 or more, such as 1,8,32, but is "
                    f"{','.join(map(str, sizes))}."
                )


def round_weights(model: keras.Model, dtype: str) -> None:
    """Gives a model the weights that it would have after they were stored as `dtype`."""
    for variable in named_variables(model).values():
        variable.assign(tf.cast(tf.cast(variable.value, dtype), variable.dtype))


class Network(tf.Module):
    """Callable: the model's inputs by name -> its outputs by name, batch first, all float32.

    Args:
      model: A built model of `bert_tf.modeling`. Its weights are saved with this object.
      options: How they are stored and run.
      unread: Beginnings of the checkpoint names of weights on which no wanted output depends; they
        are not saved.
      outputs: Names of the wanted outputs; none for all.
    """

    def __init__(
        self,
        model: keras.Model,
        options: NetworkOptions | None = None,
        unread: Sequence[str] = (),
        outputs: Sequence[str] = (),
    ) -> None:
        super().__init__(name="network")
        self.options = options or NetworkOptions()
        self._outputs = tuple(outputs)
        variables = named_variables(model)
        read = [name for name in variables if not name.startswith(tuple(unread))]
        # Keras layers held in lists are not tracked (nor saved); these variables are the weights.
        self.weights = [self._stored(name, variables[name]) for name in read]
        self._read = self._no_dependency([variables[name] for name in read])
        self._unread = self._no_dependency([variables[n] for n in variables if n not in read])
        self._model = self._no_dependency(model)
        # A function, which all signatures share.
        run = tf.function(
            self._compute, jit_compile=self.options.jit_compile or None, autograph=False
        )
        self._run = self._no_dependency(run)

    def _stored(self, name: str, variable: keras.Variable) -> tf.Variable:
        dtype = self.options.weights_dtype
        if variable.dtype == dtype:
            return variable.value
        return tf.Variable(tf.cast(variable.value, dtype), trainable=False, name=name)

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return sum(int(weight.shape.num_elements()) for weight in self.weights)

    def _compute(self, inputs: Tensors) -> Tensors:
        values = [tf.cast(weight, tf.float32) for weight in self.weights]
        # Without a value the scope would fall back to variables that are not saved.
        nothing = [tf.zeros(variable.shape) for variable in self._unread]
        scope = keras.StatelessScope(
            [*zip(self._read, values, strict=True), *zip(self._unread, nothing, strict=True)]
        )
        with scope, kernels.served():
            outputs = self._model(inputs, training=False)
        return {name: outputs[name] for name in self._outputs or outputs}

    def __call__(self, inputs: Tensors) -> Tensors:
        """Runs the model on padded inputs, and cuts its outputs back."""
        inputs = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        batch_buckets, length_buckets = self.options.batch_buckets, self.options.length_buckets
        if not (batch_buckets or length_buckets):
            return self._run(inputs)
        shape = tf.shape(inputs[ENCODER_INPUTS[0]])
        batch, length = shape[0], shape[-1]
        rows = _bucket(batch, batch_buckets, multiples=True) - batch
        columns = _bucket(length, length_buckets, multiples=False) - length
        axes = self._token_axes(inputs) if length_buckets else {}
        outputs = self._run(
            {
                name: _padded(value, rows, columns if name in ENCODER_INPUTS else 0)
                for name, value in inputs.items()
            }
        )
        cut = {name: value[:batch] for name, value in outputs.items()}
        for name, axis in axes.items():
            cut[name] = cut[name][(slice(None),) * axis + (slice(length),)]
        return cut

    def _token_axes(self, inputs: Tensors) -> dict[str, int]:
        """The axis of tokens of those outputs that have one: the one that grows with the input."""

        def sizes(length: int) -> dict[str, list[int]]:
            values = {
                name: tf.zeros([1] * (value.shape.rank - 1) + [length], value.dtype)
                for name, value in inputs.items()
            }
            for name in values.keys() - set(ENCODER_INPUTS):
                values[name] = tf.zeros([1] * inputs[name].shape.rank, inputs[name].dtype)
            return {name: value.shape.as_list() for name, value in self._compute(values).items()}

        with tf.init_scope():
            short, long = sizes(2), sizes(3)
        return {
            name: next(axis for axis, size in enumerate(short[name]) if size != long[name][axis])
            for name in short
            if short[name] != long[name]
        }


def _bucket(size: tf.Tensor, buckets: Sequence[int], multiples: bool) -> tf.Tensor:
    """The least bucket that holds `size`; beyond the last one, a multiple of it or `size`."""
    if not buckets:
        return size
    last = buckets[-1]
    beyond = (size + last - 1) // last * last if multiples else size
    place = tf.searchsorted(tf.constant(buckets), size[None])[0]
    return tf.where(
        place < len(buckets), tf.gather(buckets, tf.minimum(place, len(buckets) - 1)), beyond
    )


def _padded(value: tf.Tensor, rows: tf.Tensor, columns: tf.Tensor | int) -> tf.Tensor:
    """Zeros at the end of the first axis and of the last."""
    between = [[0, 0]] * (value.shape.rank - 2)
    return tf.pad(value, [[0, rows], *between, [0, columns]])
