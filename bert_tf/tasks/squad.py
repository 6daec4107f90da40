"""Question answering on SQuAD as a task.

Shapes: B batch, T tokens.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.records import RecordSchema
from bert_tf.modeling.dropout import Dropout
from bert_tf.modeling.task_heads import build_span_model
from bert_tf.tasks.losses import cross_entropy
from bert_tf.tasks.squad_features import training_schema
from bert_tf.tasks.task import POOLER, Batch, Sums, encoder_inputs

Tensor = Any


class SquadTask:
    """First and last token of the answer, among all places of the sequence.

    The original's softmax and n-best lists count the places of the padding, too. Padded to one
    length, this task does exactly that; padded to the batch, fewer such places compete.

    Args:
        config: The model's sizes.
        max_seq_length: T of the records.
        pad_to_batch: Whether logits come in the length of their batch.
        seed: Seed of the initialisation; None draws one.

    Raises:
        ValueError: If T is more than the model's positions.

    Source: `create_model` and `model_fn_builder` of the original's run_squad.py.
    """

    sum_names: tuple[str, ...] = ("loss_sum", "examples")
    unread: tuple[str, ...] = (POOLER,)

    def __init__(
        self,
        config: BertConfig,
        max_seq_length: int,
        pad_to_batch: bool = False,
        seed: int | None = None,
    ) -> None:
        config.check_length(max_seq_length)
        self.config, self.max_seq_length, self.seed = config, max_seq_length, seed
        self.token_outputs: tuple[str, ...] = ("start_logits", "end_logits") if pad_to_batch else ()

    def build_model(self) -> keras.Model:
        """Encoder and span layer, newly initialised."""
        return build_span_model(self.config, self.seed)

    def schema(self) -> tuple[RecordSchema, Mapping[str, int]]:
        """The original's features of training; ids are checked."""
        limits = {
            "input_ids": self.config.vocab_size,
            "segment_ids": self.config.type_vocab_size,
        }
        return training_schema(self.max_seq_length), limits

    def totals(self, batch: Batch) -> Sums:
        """Number of windows."""
        return {"examples": ops.sum(batch["example_weight"])}

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, Tensor]:
        """Start and end logits [B, T]."""
        return self._logits(model, batch, None)

    def _logits(
        self, model: keras.Model, batch: Batch, dropout: Dropout | None
    ) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = model(encoder_inputs(batch), dropout=dropout)
        return outputs

    def loss(
        self, model: keras.Model, batch: Batch, totals: Sums, dropout: Dropout | None
    ) -> tuple[Tensor, Sums]:
        """Mean of the cross entropies of start and end; see `Task.loss`."""
        logits, weights = self._logits(model, batch, dropout), batch["example_weight"]
        start = cross_entropy(logits["start_logits"], batch["start_positions"])
        end = cross_entropy(logits["end_logits"], batch["end_positions"])
        total = ops.sum(weights * (start + end) / 2.0)
        return total / totals["examples"], {"loss_sum": total, "examples": ops.sum(weights)}

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Nothing beside the loss: scores take the texts."""
        del sums
        return {}
