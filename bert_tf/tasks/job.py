"""What a fine-tuning command hands to the loop: data, scores and files of one task.

`training.finetuning` runs a job: it trains on the training examples, evaluates, keeps the best
checkpoint by `metric`, and predicts. All that it knows of the task is here.
"""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bert_tf import files
from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable, cached, file_digest
from bert_tf.inputs.packing import SEQUENCES
from bert_tf.inputs.records import RecordSchema
from bert_tf.reporting.page import Findings
from bert_tf.tasks.task import PredictingTask
from bert_tf.tokenization import FullTokenizer

TASK_FILE = "task.json"
BEST_DIRECTORY = "best"  # of the output directory, with the best checkpoint alone
FLAGS_OF_SPLITS = {"train": "--train_file", "dev": "--dev_file", "test": "--predict_file"}

# Outputs in the order of the examples: arrays [N, ...]; those with a value for every token are
# lists of N arrays, each cut to its example's length.
Outputs = dict[str, np.ndarray | list[np.ndarray]]


class Job(Protocol):
    """A fine-tuning run of one command."""

    @property
    def metric(self) -> str:
        """Name of the score that decides which checkpoint is best; larger is better."""

    def task(self, seed: int) -> PredictingTask:
        """The task, its model initialised from a seed."""

    def training_examples(self) -> ExampleTable:
        """All examples to train on."""

    def epoch_size(self, table: ExampleTable) -> int:
        """How many examples make an epoch: not always the rows of the training table."""

    def evaluation_examples(self) -> ExampleTable:
        """All examples to evaluate on."""

    def score(self, outputs: Outputs) -> dict[str, float]:
        """Every metric of the evaluation examples, from their outputs; `metric` is among them."""

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """Writes what an evaluation leaves beside `eval_results.txt`."""

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """Examples to predict, in chunks; one is made while the one before it is computed."""

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> Outputs | None:
        """Writes the predictions, from the outputs of each chunk in turn.

        Returns:
            What `score` and `report` take, where the predicted examples are those to evaluate on
            and their answers are known.
        """

    def report(self, outputs: Outputs) -> Findings:
        """What the page of `--report` shows, from the outputs of the evaluation examples."""

    def describe(self) -> dict[str, object]:
        """What `task.json` says beside the model: `task`, `labels`, `max_seq_length`, ..."""


class Reports(Protocol):
    """Counts texts that do not fit."""

    def report(self) -> str | None:
        """A line about texts that did not fit, or None."""


class Featurizer(Reports, Protocol):
    """Makes tables of examples."""

    def table(self, examples: Iterable[Any], /) -> ExampleTable:
        """The examples as rows of token ids."""


@dataclass(frozen=True)
class Setting:
    """What every job is given.

    Attributes:
        config: The model's sizes.
        tokenizer: Of its vocabulary.
        vocab_file: The vocabulary, for the key of the cache.
        directory: Where tokenized examples are kept.
        max_seq_length: T.
        stride: Of windows over long texts; 0 to cut them.
        say: Tells the person at the terminal something.
    """

    config: BertConfig
    tokenizer: FullTokenizer
    vocab_file: Path
    directory: Path
    max_seq_length: int
    stride: int = 0
    say: Callable[[str], None] = lambda _: None

    def describe(self) -> dict[str, object]:
        """What every `task.json` says of it."""
        return {
            "max_seq_length": self.max_seq_length,
            "do_lower_case": self.tokenizer.do_lower_case,
        }

    def report(self, featurizer: Reports) -> None:
        """Says how many texts did not fit, if there are any."""
        if said := featurizer.report():
            self.say(said)

    def tokenized(
        self,
        name: str,
        path: Path,
        schema: RecordSchema,
        key: Mapping[str, object],
        examples: Iterator[Any],
        featurizer: Featurizer,
    ) -> ExampleTable:
        """As `cached`, of examples that a featurizer makes tables of."""
        first = next(examples)  # A file that does not fit fails before anything is hashed.

        def make() -> ExampleTable:
            table = featurizer.table(itertools.chain([first], examples))
            self.report(featurizer)
            return table

        return self.cached(name, path, schema, SEQUENCES, key, make)

    def cached(
        self,
        name: str,
        path: Path,
        schema: RecordSchema,
        sequences: Iterable[str],
        key: Mapping[str, object],
        make: Callable[[], ExampleTable],
    ) -> ExampleTable:
        """The examples of a file: made now, or read from where an earlier run has put them.

        Args:
            name: Of the record file in `directory`.
            path: The file that the examples are read from.
            schema: What a record holds.
            sequences: Names of its sequence columns.
            key: What they depend on beside the file, the vocabulary and the stride.
            make: Reads and tokenizes.
        """
        whole = {
            "file": file_digest(path),
            "vocabulary": file_digest(self.vocab_file),
            "stride": self.stride,
            **self.describe(),
            **key,
        }
        return cached(self.directory / name, schema, sequences, whole, make)


def path_of(paths: Mapping[str, Path], split: str, what: str) -> Path:
    """The file of `train`, `dev` or `test`; ValueError where none was given."""
    if split not in paths:
        raise ValueError(f"{FLAGS_OF_SPLITS[split]} must name the {what}, but is empty.")
    return paths[split]


@dataclass(frozen=True)
class KnownTask:
    """What a model was fine-tuned for before.

    Attributes:
        labels: Its classes in order; none for a regression, or where the task has no classes.
        regression: Whether it predicts a number.
        source: Where this is written, for messages.
        content: All that `task.json` says.
    """

    labels: tuple[str, ...]
    regression: bool
    source: str
    content: Mapping[str, Any]


def read_task(directory: Path) -> KnownTask | None:
    """What `task.json` says of the model in a directory; None where there is none.

    Raises:
        ValueError: If the file is damaged.
    """
    path = directory / TASK_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} must be JSON as training writes it, but is not: {error}"
        ) from None
    if not isinstance(content, dict) or "task" not in content:
        raise ValueError(f"{path} must be an object with the key task, as training writes it.")
    labels = tuple(content.get("labels", ()))
    return KnownTask(labels, content["task"] == "regression", str(path), content)


def find_task(checkpoint: str | Path) -> KnownTask | None:
    """What `task.json` says beside a checkpoint: its prefix, its directory, or one in `best`."""
    path = Path(checkpoint)
    folder = path if path.is_dir() else path.parent
    found = read_task(folder)
    if found is None and folder.name == BEST_DIRECTORY:
        found = read_task(folder.parent)
    return found


def holds_weights(directory: Path) -> bool:
    """Whether a directory has a checkpoint: only then is its `task.json` about the model in use."""
    return any(directory.glob("*.ckpt-*.index"))


def write_task(directory: Path, content: Mapping[str, object]) -> None:
    """Writes `task.json`."""
    text = json.dumps(content, ensure_ascii=False, indent=2)
    files.write_text(directory / TASK_FILE, text + "\n")
