"""Classification and regression of sentences and pairs: features, loss, outputs.

Shapes: B batch, T tokens, C classes, N examples.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.features import SPECIALS_PAIR, SPECIALS_SINGLE, pack
from bert_tf.inputs.records import Feature, RecordSchema
from bert_tf.inputs.text_files import TextFileError
from bert_tf.modeling.dropout import Dropout
from bert_tf.modeling.task_heads import build_classifier
from bert_tf.tasks.glue import Example
from bert_tf.tasks.losses import correct, cross_entropy
from bert_tf.tasks.task import Batch, Sums, encoder_inputs
from bert_tf.tasks.text_tables import as_number
from bert_tf.tokenization import FullTokenizer

Tensor = Any

SEQUENCES = ("input_ids", "input_mask", "segment_ids")
TRUNCATE, WINDOW = "truncate", "window"


def schema(max_seq_length: int, regression: bool = False, windows: bool = False) -> RecordSchema:
    """What a record holds: the original's features, and of windows the example they are of."""
    features = [Feature(name, "int64", max_seq_length) for name in SEQUENCES]
    features.append(Feature("label_ids", "float" if regression else "int64", 1))
    features.append(Feature("is_real_example", "int64", 1))
    if windows:
        features.append(Feature("example_ids", "int64", 1))
    return RecordSchema(tuple(features))


@dataclass
class Featurizer:
    """Examples to tables of token ids; counts what did not fit.

    Attributes:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        labels: The classes in order; none for a regression.
        stride: Tokens from the start of one window to the next, where long texts become several
            windows; 0 where they are cut.
        seen: Examples so far.
        long: Those of them that were longer than T.
    """

    tokenizer: FullTokenizer
    max_seq_length: int
    labels: Sequence[str]
    stride: int = 0
    seen: int = 0
    long: int = 0
    _numbers: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        if not 0 <= self.stride < self.max_seq_length:
            raise ValueError(
                f"--doc_stride must be below --max_seq_length = {self.max_seq_length}, so that "
                f"windows overlap, but is {self.stride}."
            )

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
            for packed in self._packed(example):
                columns["input_ids"].append(packed.input_ids)
                columns["input_mask"].append(packed.input_mask)
                columns["segment_ids"].append(packed.segment_ids)
                columns["label_ids"].append(label)
                owners.append(number)
        real = np.ones(len(owners), np.int64)
        extra = {"example_ids": np.array(owners)} if self.stride else {}
        return ExampleTable.build({**columns, "is_real_example": real, **extra}, SEQUENCES)

    def _packed(self, example: Example) -> Iterator[Any]:
        vocab = self.tokenizer.vocab
        a = self.tokenizer.encode(example.text_a)
        b = None if example.text_b is None else self.tokenizer.encode(example.text_b)
        room = self.max_seq_length - (SPECIALS_SINGLE if b is None else SPECIALS_PAIR)
        too_long = len(a) + len(b or ()) > room
        self.seen += 1
        self.long += too_long
        parts: Iterable[tuple[Sequence[int], Sequence[int] | None]] = [(a, b)]
        if too_long and self.stride:
            parts = _windows(a, b, room, self.stride)
        for part_a, part_b in parts:
            yield pack(
                part_a,
                part_b,
                max_seq_length=self.max_seq_length,
                cls_id=vocab["[CLS]"],
                sep_id=vocab["[SEP]"],
            )

    def _label(self, example: Example) -> float:
        if example.label is None:
            return 0
        if not self.labels:
            return as_number(example)
        number = self._numbers.get(example.label)
        if number is None:
            raise TextFileError(
                f"{example.where}: the label must be one of {', '.join(self.labels)}, but is "
                f"{example.label!r}."
            )
        return number

    def report(self) -> str | None:
        """A line about texts that did not fit, or None."""
        if not self.long:
            return None
        done = "were read in several windows" if self.stride else "were cut"
        advice = "" if self.stride else " (--long_texts=window reads all of them)"
        return (
            f"{self.long} of {self.seen} examples are longer than --max_seq_length = "
            f"{self.max_seq_length} and {done}{advice}."
        )


def _windows(
    a: Sequence[int], b: Sequence[int] | None, room: int, stride: int
) -> Iterator[tuple[Sequence[int], Sequence[int] | None]]:
    """A long text in overlapping parts; of a pair, the longer text, the other whole or halved."""
    if b is None:
        for begin in _begins(len(a), room, stride):
            yield a[begin : begin + room], None
        return
    kept = min(len(a), len(b), room // 2)
    long_room = room - kept
    longer = a if len(a) > len(b) else b
    for begin in _begins(len(longer), long_room, min(stride, long_room)):
        part = longer[begin : begin + long_room]
        yield (part, b[:kept]) if longer is a else (a[:kept], part)


def _begins(length: int, room: int, stride: int) -> range:
    return range(0, max(length - room, 0) + stride, stride)


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
        if self.regression:
            each = ops.square(logits[:, 0] - labels)
            hits = ops.zeros_like(weights)
        else:
            each, hits = cross_entropy(logits, labels), correct(logits, labels)
        total = ops.sum(weights * each)
        return total / totals["examples"], {
            "loss_sum": total,
            "correct": ops.sum(weights * hits),
            "examples": ops.sum(weights),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Accuracy of a classification; nothing beside the loss for a regression."""
        if self.regression:
            return {}
        return {"accuracy": sums["correct"] / max(sums["examples"], 1.0)}

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, Tensor]:
        """Logits [B, C]."""
        return {"logits": self._logits(model, batch, None)}
