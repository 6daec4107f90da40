"""Classification and regression of sentences and pairs: features, loss, outputs.

Shapes: B batch, T tokens, C classes, N examples.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.packing import SEQUENCES, TextPacker
from bert_tf.inputs.records import Feature, RecordSchema
from bert_tf.inputs.text_files import TextFileError
from bert_tf.modeling.dropout import Dropout
from bert_tf.modeling.task_heads import build_classifier
from bert_tf.tasks.glue import Example
from bert_tf.tasks.losses import accuracy, mean_cross_entropy
from bert_tf.tasks.task import Batch, Sums, encoder_inputs
from bert_tf.tasks.text_tables import as_number
from bert_tf.tokenization import FullTokenizer

Tensor = Any


def schema(max_seq_length: int, regression: bool = False, windows: bool = False) -> RecordSchema:
    """What a record holds: the original's features, and of windows the example they are of."""
    features = [Feature(name, "int64", max_seq_length) for name in SEQUENCES]
    features.append(Feature("label_ids", "float" if regression else "int64", 1))
    features.append(Feature("is_real_example", "int64", 1))
    if windows:
        features.append(Feature("example_ids", "int64", 1))
    return RecordSchema(tuple(features))


class Featurizer:
    """Examples to tables of token ids.

    Args:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        labels: The classes in order; none for a regression.
        stride: Of windows over long texts; 0 where they are cut. See `TextPacker`.
        labels_from: Where the classes come from, for messages; empty for the data itself.
    """

    def __init__(
        self,
        tokenizer: FullTokenizer,
        max_seq_length: int,
        labels: Sequence[str],
        stride: int = 0,
        labels_from: str = "",
    ) -> None:
        self._packer = TextPacker(tokenizer, max_seq_length, stride)
        self._labels, self._labels_from = labels, labels_from
        self._numbers = {label: number for number, label in enumerate(labels)}

    def table(self, examples: Iterable[Example], first: int = 0) -> ExampleTable:
        """Packs examples as the original's `convert_single_example`.

        Args:
            examples: The examples; those without a label get the first one, as in the original.
            first: Number of the first of them, for the windows' `example_ids`.

        Raises:
            TextFileError: If a label is not one of the classes, or no number.
        """
        columns: dict[str, list[Any]] = {name: [] for name in (*SEQUENCES, "label_ids")}
        owners: list[int] = []
        for number, example in enumerate(examples, start=first):
            label = self._label(example)
            for (window,) in self._packer.windows(example.text_a, [example.text_b]):
                for name in SEQUENCES:
                    columns[name].append(getattr(window.packed, name))
                columns["label_ids"].append(label)
                owners.append(number)
        real = np.ones(len(owners), np.int64)
        extra = {"example_ids": np.array(owners)} if self._packer.stride else {}
        return ExampleTable.build({**columns, "is_real_example": real, **extra}, SEQUENCES)

    def _label(self, example: Example) -> float:
        if example.label is None:
            return 0
        if not self._labels:
            return as_number(example)
        number = self._numbers.get(example.label)
        if number is None:
            said = f" The labels are those of {self._labels_from}." if self._labels_from else ""
            raise TextFileError(
                f"{example.where}: the label must be one of {', '.join(self._labels)}, but is "
                f"{example.label!r}.{said}"
            )
        return number

    def report(self) -> str | None:
        """A line about texts that did not fit, or None."""
        return self._packer.report()


class ClassificationTask:
    """One of C classes, or a number, for a sentence or a pair.

    Args:
        config: The model's sizes.
        max_seq_length: T of the records.
        num_labels: C; 0 for a regression, whose loss is the mean squared error.
        windows: Whether records say of which example they are a window.
        seed: Seed of the initialisation; None draws one.

    Raises:
        ValueError: If T is more than the model's positions.

    Source: `create_model` and `model_fn_builder` of the original's run_classifier.py.
    """

    sum_names: tuple[str, ...] = ("loss_sum", "correct", "examples")
    unread: tuple[str, ...] = ()
    token_outputs: tuple[str, ...] = ()

    def __init__(
        self,
        config: BertConfig,
        max_seq_length: int,
        num_labels: int,
        windows: bool = False,
        seed: int | None = None,
    ) -> None:
        config.check_length(max_seq_length)
        self.config, self.max_seq_length = config, max_seq_length
        self.num_labels, self.windows, self.seed = num_labels, windows, seed

    @property
    def regression(self) -> bool:
        """Whether the output is a number."""
        return self.num_labels == 0

    def build_model(self) -> keras.Model:
        """Encoder and output layer, newly initialised."""
        return build_classifier(self.config, self.num_labels or 1, self.seed)

    def schema(self) -> tuple[RecordSchema, Mapping[str, int]]:
        """The original's features; ids and classes are checked."""
        limits = {
            "input_ids": self.config.vocab_size,
            "segment_ids": self.config.type_vocab_size,
        }
        if not self.regression:
            limits["label_ids"] = self.num_labels
        return schema(self.max_seq_length, self.regression, self.windows), limits

    def totals(self, batch: Batch) -> Sums:
        """Number of examples."""
        return {"examples": ops.sum(batch["example_weight"])}

    def _logits(self, model: keras.Model, batch: Batch, dropout: Dropout | None) -> Tensor:
        return model(encoder_inputs(batch), dropout=dropout)["logits"]  # [B, C]

    def loss(
        self, model: keras.Model, batch: Batch, totals: Sums, dropout: Dropout | None
    ) -> tuple[Tensor, Sums]:
        """Mean cross entropy, or mean squared error; see `Task.loss`."""
        logits, labels = self._logits(model, batch, dropout), batch["label_ids"]
        weights = batch["example_weight"]  # [B]
        if not self.regression:
            return mean_cross_entropy(logits, labels, weights, totals["examples"])
        total = ops.sum(weights * ops.square(logits[:, 0] - labels))
        return total / totals["examples"], {
            "loss_sum": total,
            "correct": ops.zeros([]),
            "examples": ops.sum(weights),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Accuracy of a classification; nothing beside the loss for a regression."""
        return {} if self.regression else accuracy(sums)

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, Tensor]:
        """Logits [B, C]."""
        return {"logits": self._logits(model, batch, None)}
