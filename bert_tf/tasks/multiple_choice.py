"""Multiple choice: which of several endings follows; SWAG and any table of questions.

Shapes: B batch, C choices, T tokens.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.packing import SEQUENCES, TextPacker
from bert_tf.inputs.records import Feature, RecordSchema
from bert_tf.inputs.text_files import TextFileError, read_rows
from bert_tf.modeling.dropout import Dropout
from bert_tf.modeling.task_heads import build_multiple_choice
from bert_tf.tasks.losses import accuracy, mean_cross_entropy
from bert_tf.tasks.task import Batch, Sums, encoder_inputs
from bert_tf.tokenization import FullTokenizer

Tensor = Any

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class ChoiceColumns:
    """Names of a table's columns.

    Attributes:
        context: The first segment of every sequence.
        question: Stands before each choice in the second segment; None for nothing.
        choices: A column for each choice, or one with a JSON list.
        label: The right choice: its number from 0, its letter, or its text.
        identifier: Names the rows; None to number them.
    """

    context: str
    question: str | None
    choices: tuple[str, ...]
    label: str | None
    identifier: str | None = None


SWAG = ChoiceColumns("sent1", "sent2", ("ending0", "ending1", "ending2", "ending3"), "label")


@dataclass(frozen=True)
class ChoiceExample:
    """A context with its choices; the label is None where it is not known."""

    identifier: str
    context: str
    choices: tuple[str, ...]
    label: int | None


def read_choices(
    path: str | Path, columns: ChoiceColumns, labelled: bool
) -> Iterator[ChoiceExample]:
    """The rows of a .csv, .tsv or .jsonl file.

    Raises:
        TextFileError: If a column is missing, a label is no choice, the number of choices changes,
            or there is no row.
    """
    count = 0
    number = -1
    for number, (line, row) in enumerate(read_rows(path)):
        where = f"{path}, line {line}"
        wanted = [columns.context, columns.question, *columns.choices, columns.identifier]
        wanted.append(columns.label if labelled else None)
        missing = [name for name in wanted if name is not None and name not in row]
        if missing:
            raise TextFileError(
                f"{where}: must have the column{'s' * (len(missing) > 1)} {', '.join(missing)}, "
                f"but has {', '.join(row)}."
            )
        choices = _choices(where, columns, row)
        count = len(choices) if number == 0 else count
        if len(choices) != count:
            raise TextFileError(
                f"{where}: every row must have as many choices as the first, {count}, but this "
                f"has {len(choices)}."
            )
        label = _label(where, row[columns.label], choices) if labelled and columns.label else None
        before = f"{row[columns.question]} " if columns.question else ""
        yield ChoiceExample(
            row[columns.identifier] if columns.identifier else str(number),
            row[columns.context],
            tuple(before + choice for choice in choices),
            label,
        )
    if number < 0:
        raise TextFileError(f"{path} must hold at least one question, but holds none.")


def _choices(where: str, columns: ChoiceColumns, row: Mapping[str, str]) -> list[str]:
    texts = [row[name] for name in columns.choices]
    if len(texts) == 1:
        texts = _json_texts(texts[0])
    if len(texts) < 2:
        raise TextFileError(
            f"{where}: --choices must name two columns or more, or one with a JSON list of texts, "
            f"but {', '.join(columns.choices)} holds {row[columns.choices[0]]!r}."
        )
    return texts


def _json_texts(text: str) -> list[str]:
    """A JSON list of texts; empty for anything else."""
    try:
        texts = json.loads(text)
    except ValueError:
        return []
    fine = isinstance(texts, list) and all(isinstance(each, str) for each in texts)
    return texts if fine else []


def _label(where: str, text: str, choices: Sequence[str]) -> int:
    if text.isdecimal() and int(text) < len(choices):
        return int(text)
    if len(text) == 1 and text.upper() in _LETTERS[: len(choices)]:
        return _LETTERS.index(text.upper())
    if text in choices:
        return list(choices).index(text)
    raise TextFileError(
        f"{where}: the label must be the number of a choice from 0 to {len(choices) - 1}, its "
        f"letter or its text, but is {text!r}."
    )


def schema(max_seq_length: int, choices: int, windows: bool = False) -> RecordSchema:
    """What a record holds: the sequences of all choices, one after the other; of windows, also
    the number of the example that they are of."""
    features = [Feature(name, "int64", choices * max_seq_length) for name in SEQUENCES]
    numbers = ("label_ids", "example_ids") if windows else ("label_ids",)
    return RecordSchema((*features, *(Feature(name, "int64", 1) for name in numbers)))


class ChoiceFeaturizer:
    """Examples to tables: [CLS] context [SEP] choice [SEP] for every choice.

    Args:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        stride: Of windows over long contexts, the same part of the context for all choices of a
            window; 0 where they are cut.
    """

    def __init__(self, tokenizer: FullTokenizer, max_seq_length: int, stride: int = 0) -> None:
        self._packer = TextPacker(tokenizer, max_seq_length, stride, "questions")

    def table(self, examples: Iterable[ChoiceExample]) -> ExampleTable:
        """Columns [N, C, T] of the sequences, one row for each window."""
        columns: dict[str, list[Any]] = {name: [] for name in (*SEQUENCES, "label_ids")}
        owners: list[int] = []
        for number, example in enumerate(examples):
            for row in self._packer.windows(example.context, example.choices):
                for name in SEQUENCES:
                    columns[name].append([getattr(window.packed, name) for window in row])
                columns["label_ids"].append(example.label or 0)
                owners.append(number)
        extra = {"example_ids": np.array(owners)} if self._packer.stride else {}
        return ExampleTable.build({**columns, **extra}, SEQUENCES)

    def report(self) -> str | None:
        """A line about what did not fit, or None."""
        return self._packer.report()


class MultipleChoiceTask:
    """One of C choices, each scored by itself.

    Args:
        config: The model's sizes.
        max_seq_length: T.
        choices: C.
        windows: Whether records say of which example they are a window.
        seed: Seed of the initialisation; None draws one.

    Source: arXiv 1810.04805, section 4.4.
    """

    sum_names: tuple[str, ...] = ("loss_sum", "correct", "examples")
    unread: tuple[str, ...] = ()
    token_outputs: tuple[str, ...] = ()

    def __init__(
        self,
        config: BertConfig,
        max_seq_length: int,
        choices: int,
        windows: bool = False,
        seed: int | None = None,
    ) -> None:
        config.check_length(max_seq_length)
        self.config, self.max_seq_length = config, max_seq_length
        self.choices, self.windows, self.seed = choices, windows, seed

    def build_model(self) -> keras.Model:
        """Encoder and output layer, newly initialised."""
        return build_multiple_choice(self.config, self.seed)

    def schema(self) -> tuple[RecordSchema, Mapping[str, int]]:
        """Ids and labels are checked."""
        limits = {"input_ids": self.config.vocab_size, "label_ids": self.choices}
        return schema(self.max_seq_length, self.choices, self.windows), limits

    def totals(self, batch: Batch) -> Sums:
        """Number of examples."""
        return {"examples": ops.sum(batch["example_weight"])}

    def _logits(self, model: keras.Model, batch: Batch, dropout: Dropout | None) -> Tensor:
        return model(encoder_inputs(batch), dropout=dropout)["logits"]  # [B, C]

    def loss(
        self, model: keras.Model, batch: Batch, totals: Sums, dropout: Dropout | None
    ) -> tuple[Tensor, Sums]:
        """Mean cross entropy; see `Task.loss`."""
        logits = self._logits(model, batch, dropout)
        weights = batch["example_weight"]
        return mean_cross_entropy(logits, batch["label_ids"], weights, totals["examples"])

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Share of right answers."""
        return accuracy(sums)

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, Tensor]:
        """Logits [B, C]."""
        return {"logits": self._logits(model, batch, None)}
