"""The interface between a task and the training loop."""

from collections.abc import Mapping
from typing import Any, Protocol

import keras

from bert_tf.inputs.records import RecordSchema
from bert_tf.modeling.dropout import Dropout

Tensor = Any
POOLER = "bert/pooler/"
Batch = Mapping[str, Tensor]
Sums = dict[str, Tensor]


def encoder_inputs(batch: Batch) -> dict[str, Tensor]:
    """The encoder's inputs, from features under the names that they have in records."""
    return {
        "input_word_ids": batch["input_ids"],
        "input_mask": batch["input_mask"],
        "input_type_ids": batch["segment_ids"],
    }


class Task(Protocol):
    """What a model is trained for. Everything the loop knows of a task is here.

    All quantities that the loop adds up (over micro-batches, replicas and steps) are sums, so
    that their order of addition is the only difference between one device and many.

    Attributes:
        sum_names: Names of the sums that `loss` returns.
        unread: Beginnings of the names of weights that `loss` never reads. They are not trained:
            without a gradient, the original's optimizer leaves them out, decay and all.
    """

    sum_names: tuple[str, ...]
    unread: tuple[str, ...]

    def build_model(self) -> keras.Model:
        """A new model, its parts named as in `conversion.weight_map`."""

    def schema(self) -> tuple[RecordSchema, Mapping[str, int]]:
        """What a record holds, and the number of ids of the features that hold ids."""

    def totals(self, batch: Batch) -> Sums:
        """What the losses are divided by, summed over the batch; scalars in float32.

        The loop adds them over the global batch before it computes any loss.
        """

    def loss(
        self, model: keras.Model, batch: Batch, totals: Sums, dropout: Dropout | None
    ) -> tuple[Tensor, Sums]:
        """The batch's part of the global loss, and sums for the metrics; scalars in float32.

        The parts of all batches with the same `totals` add up to the loss of the global batch.
        `dropout` gives the masks in training; None switches dropout off.
        """

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Metrics from sums over any number of batches; empty sums must not fail."""


class BuildsModel(Protocol):
    """Whatever has a model."""

    def build_model(self) -> keras.Model:
        """See `Task`."""


class Predictable(BuildsModel, Protocol):
    """A model that gives an answer for every example.

    Attributes:
        token_outputs: Names of the outputs of `predict` that have a value for every token.
    """

    token_outputs: tuple[str, ...]

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, Tensor]:
        """Outputs of each example, [B, ...]; those of tokens have T as axis 1. No dropout."""


class PredictingTask(Task, Predictable, Protocol):
    """A task that is trained and predicts, as all but pretraining are."""
