"""Pretraining: masked language model and next sentence prediction.

Shapes: B batch, T tokens, P predictions of a sequence, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.records import RecordSchema, pretraining_schema
from bert_tf.modeling.dropout import Dropout
from bert_tf.modeling.heads import NUM_NEXT_SENTENCE_CLASSES, build_pretrainer
from bert_tf.tasks.losses import correct, cross_entropy
from bert_tf.tasks.task import Batch, Sums, encoder_inputs

Tensor = Any

# Keeps the loss of a batch without a single prediction finite; of `get_masked_lm_output`.
WEIGHT_EPSILON = 1e-5


class PretrainingTask:
    """The two tasks of pretraining, arXiv 1810.04805, section 3.1.

    Args:
        config: The model's sizes.
        max_seq_length: T of the records.
        max_predictions_per_seq: P of the records.
        seed: Seed of the initialisation; None draws one.

    Raises:
        ValueError: If the records are longer than the model's positions.

    Source: `model_fn_builder` of the original's run_pretraining.py.
    """

    unread: tuple[str, ...] = ()
    sum_names: tuple[str, ...] = (
        "masked_lm_loss",
        "masked_lm_correct",
        "masked_lm_weight",
        "next_sentence_loss",
        "next_sentence_correct",
        "examples",
    )

    def __init__(
        self,
        config: BertConfig,
        max_seq_length: int,
        max_predictions_per_seq: int,
        seed: int | None = None,
    ) -> None:
        config.check_length(max_seq_length)
        self.config = config
        self.max_seq_length = max_seq_length
        self.max_predictions_per_seq = max_predictions_per_seq
        self.seed = seed

    def build_model(self) -> keras.Model:
        """Encoder and both heads, newly initialised."""
        return build_pretrainer(self.config, self.seed)

    def schema(self) -> tuple[RecordSchema, Mapping[str, int]]:
        """The original's features; ids are checked against the config."""
        limits = {
            "input_ids": self.config.vocab_size,
            "segment_ids": self.config.type_vocab_size,
            "masked_lm_positions": self.max_seq_length,
            "masked_lm_ids": self.config.vocab_size,
            "next_sentence_labels": NUM_NEXT_SENTENCE_CLASSES,
        }
        return pretraining_schema(self.max_seq_length, self.max_predictions_per_seq), limits

    def totals(self, batch: Batch) -> Sums:
        """Weights of the predictions, and number of examples."""
        examples = batch["example_weight"]  # [B]
        return {
            "masked_lm": ops.sum(batch["masked_lm_weights"] * examples[:, None]),
            "next_sentence": ops.sum(examples),
        }

    def loss(
        self, model: keras.Model, batch: Batch, totals: Sums, dropout: Dropout | None
    ) -> tuple[Tensor, Sums]:
        """Sum of both losses; see `Task.loss`."""
        inputs = {
            **encoder_inputs(batch),
            "masked_lm_positions": batch["masked_lm_positions"],
        }
        outputs = model(inputs, dropout=dropout)
        examples = batch["example_weight"]  # [B]
        weights = batch["masked_lm_weights"] * examples[:, None]  # [B, P]
        words, follows = batch["masked_lm_ids"], batch["next_sentence_labels"][:, 0]
        word_logits, follow_logits = outputs["mlm_logits"], outputs["nsp_logits"]
        word_loss = ops.sum(weights * cross_entropy(word_logits, words))
        follow_loss = ops.sum(examples * cross_entropy(follow_logits, follows))
        loss = word_loss / (totals["masked_lm"] + WEIGHT_EPSILON)
        loss = loss + follow_loss / totals["next_sentence"]
        return loss, {
            "masked_lm_loss": word_loss,
            "masked_lm_correct": ops.sum(weights * correct(word_logits, words)),
            "masked_lm_weight": ops.sum(weights),
            "next_sentence_loss": follow_loss,
            "next_sentence_correct": ops.sum(examples * correct(follow_logits, follows)),
            "examples": ops.sum(examples),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Means under the names of the original's `eval_results.txt`."""
        words = max(sums["masked_lm_weight"], WEIGHT_EPSILON)
        examples = max(sums["examples"], 1.0)
        return {
            "masked_lm_accuracy": sums["masked_lm_correct"] / words,
            "masked_lm_loss": sums["masked_lm_loss"] / words,
            "next_sentence_accuracy": sums["next_sentence_correct"] / examples,
            "next_sentence_loss": sums["next_sentence_loss"] / examples,
        }
