"""Batches from examples in memory as a tf.data pipeline; see `examples` for which and how long."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from bert_tf.inputs.examples import (
    Array,
    ExampleTable,
    TrainingOrder,
    batch_length,
    evaluation_order,
)
from bert_tf.inputs.records import RecordError
from bert_tf.inputs.source import EXAMPLE_WEIGHT, Batch, count_batches, prefetch

_ENDLESS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class TableSource:
    """A table as a source of batches; see `source.Source`.

    Attributes:
        table: The examples.
        multiple: Lengths of batches are rounded up to it: 4 costs little, compiled code wants few
            different lengths, and 0 pads every batch to the table's length.
        limits: For columns that hold ids: the number of ids, so that 0 <= id < limit.

    Raises:
        RecordError: If there is no example, or an id is outside its limit.
    """

    table: ExampleTable
    multiple: int = 4
    limits: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.table):
            raise RecordError("There must be at least one example, but the input holds none.")
        for name, limit in self.limits.items():
            values = self.table.columns[name]
            wrong = values[(values < 0) | (values >= limit)]
            if len(wrong):
                raise RecordError(
                    f"{name} must be in [0, {limit}), but an example holds {int(wrong[0])}. Use "
                    "the config and the vocabulary that belong to the model."
                )

    @property
    def size(self) -> int:
        """Number of examples."""
        return len(self.table)

    def fingerprint(self) -> str:
        """Says which examples these are."""
        return self.table.fingerprint()

    def find_fault(self) -> RecordError | None:
        """None: the examples were checked when the source was made."""
        return None

    def training(
        self,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        first_batch: int,
        context: tf.distribute.InputContext,
    ) -> tf.data.Dataset:
        """This worker's replica batches, in turn, without end."""
        order = TrainingOrder(self.table, batch_size, shuffle=shuffle, seed=seed)
        weights = np.ones(batch_size, np.float32)
        return self._dataset(
            lambda step: (order.batch(step), weights), batch_size, first_batch, _ENDLESS, context
        )

    def evaluation(
        self, batch_size: int, max_batches: int | None, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """This worker's replica batches of all examples, the longest first, each once."""
        order = evaluation_order(self.table)
        filled = np.concatenate([order, np.repeat(order[-1:], -len(order) % batch_size)])
        weights = (np.arange(len(filled)) < len(order)).astype(np.float32)

        def rows(step: int) -> tuple[Array, Array]:
            part = slice(step * batch_size, (step + 1) * batch_size)
            return filled[part], weights[part]

        count = self.evaluation_batches(batch_size, max_batches)
        return self._dataset(rows, batch_size, 0, count, context)

    def evaluation_batches(self, batch_size: int, max_batches: int | None) -> int:
        """Number of global batches of `evaluation`."""
        return count_batches(self.size, batch_size, max_batches)

    def _dataset(
        self,
        rows: Callable[[int], tuple[Array, Array]],
        batch_size: int,
        first: int,
        last: int,
        context: tf.distribute.InputContext,
    ) -> tf.data.Dataset:
        local = context.num_replicas_in_sync // context.num_input_pipelines
        size = batch_size // context.num_replicas_in_sync
        offset = context.input_pipeline_id * local * size
        names = list(self.table.columns)
        longest = self.table.longest()

        def gather(number: np.int64) -> list[Array]:
            step, replica = divmod(int(number), local)
            indices, weights = rows(step)
            # The length is that of the global batch, so that all replicas work equally long.
            length = longest
            if self.multiple:
                length = batch_length(self.table.lengths[indices], self.multiple, longest)
            mine = slice(offset + replica * size, offset + (replica + 1) * size)
            batch = self.table.batch(indices[mine], length)
            return [*(batch[name] for name in names), weights[mine]]

        example = self.table.batch(np.zeros(1, int), longest)
        kinds = [*(tf.as_dtype(example[name].dtype) for name in names), tf.float32]

        def load(number: tf.Tensor) -> Batch:
            values = tf.numpy_function(gather, [number], kinds, stateful=False)
            batch = dict(zip((*names, EXAMPLE_WEIGHT), values, strict=True))
            for name in names:
                shape = [size, *example[name].shape[1:]]
                if self.multiple and name in self.table.sequences:
                    shape[-1] = None
                batch[name].set_shape(shape)
            batch[EXAMPLE_WEIGHT].set_shape([size])
            return batch

        steps = tf.data.Dataset.range(first * local, last if last == _ENDLESS else last * local)
        return prefetch(steps.map(load))
