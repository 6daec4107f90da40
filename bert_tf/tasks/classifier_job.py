"""What run_classifier does for a data set: which examples, which scores, which files."""

import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf import files
from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable, cached, file_digest
from bert_tf.reporting import classes, values
from bert_tf.reporting.page import Findings
from bert_tf.tasks import metrics
from bert_tf.tasks.classification import SEQUENCES, ClassificationTask, Featurizer
from bert_tf.tasks.glue import Example, GlueTask, find_task, read_split
from bert_tf.tasks.job import Outputs
from bert_tf.tasks.task import PredictingTask
from bert_tf.tasks.text_tables import Columns, learn_labels, read_examples
from bert_tf.tokenization import FullTokenizer

CHUNK = 4096  # examples that are predicted at once
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TextData:
    """A data set: its splits, classes and metrics.

    Attributes:
        name: Of the task, for task.json.
        splits: `train`, `dev` and `test` to a function that reads their examples.
        paths: The same names to the files, for the key of the cache.
        labels: Classes in order; none for a regression.
        metrics: Names in `metrics.METRICS`; the first one decides which checkpoint is best.
        submission: File of the benchmark's submission, if there is one.
    """

    name: str
    splits: Mapping[str, Callable[[], Iterator[Example]]]
    paths: Mapping[str, Path]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    submission: str | None = None


def glue_data(task_name: str, data_dir: Path, language: str = "zh") -> TextData:
    """A published data set; ValueError for a name that is none."""
    task: GlueTask = find_task(task_name)
    layouts = {"train": task.train, "dev": task.dev, "test": task.test}
    return TextData(
        name=task_name.lower(),
        splits={
            split: functools.partial(read_split, data_dir, layout, language)
            for split, layout in layouts.items()
        },
        paths={
            split: data_dir / layout.file.format(language=language)
            for split, layout in layouts.items()
            if layout is not None
        },
        labels=task.labels,
        metrics=task.metrics,
        submission=task.submission,
    )


def own_data(
    paths: Mapping[str, Path],
    columns: Columns,
    labels: tuple[str, ...] | None,
    regression: bool,
) -> TextData:
    """A user's tables.

    Args:
        paths: Files of `train`, `dev` and `test`, those that are given.
        columns: Their columns; `test` needs no label.
        labels: Classes of a model trained before; None to learn them from `train`.
        regression: Whether labels are numbers.

    Raises:
        ValueError: If there are no classes to be had, or a file does not fit.
    """
    splits = {
        split: functools.partial(read_examples, path, columns, split != "test")
        for split, path in paths.items()
    }
    if regression:
        labels = ()
    elif labels is None:
        if "train" not in splits:
            raise ValueError(
                "The classes are learned from --train_file, or read from the task.json of a model "
                "trained before in --output_dir, but there is neither."
            )
        labels = learn_labels(splits["train"]())
    names: tuple[str, ...] = ("eval_accuracy", "macro_f1")
    if regression:
        names = ("pearson", "spearman")
    elif labels and len(labels) == 2:
        names = ("eval_accuracy", "f1", "matthews_correlation")
    return TextData("classifier", splits, paths, labels, names)


@dataclass
class ClassifierJob:
    """See `tasks.job.Job`.

    Attributes:
        data: The data set.
        config: The model's sizes.
        tokenizer: Of its vocabulary.
        vocab_file: The vocabulary, for the key of the cache.
        directory: Where tokenized examples are kept.
        max_seq_length: T.
        stride: Of windows over long texts; 0 to cut them.
        say: Tells the person at the terminal something.
    """

    data: TextData
    config: BertConfig
    tokenizer: FullTokenizer
    vocab_file: Path
    directory: Path
    max_seq_length: int
    stride: int = 0
    say: Callable[[str], None] = lambda _: None
    _evaluated: ExampleTable | None = None

    @property
    def metric(self) -> str:
        """The data set's first metric."""
        return self.data.metrics[0]

    def task(self, seed: int) -> PredictingTask:
        """The task."""
        return ClassificationTask(
            self.config, self.max_seq_length, len(self.data.labels), bool(self.stride), seed
        )

    def describe(self) -> dict[str, object]:
        """Task, classes, lengths."""
        return {
            "task": "classifier" if self.data.labels else "regression",
            "data": self.data.name,
            "labels": list(self.data.labels),
            "max_seq_length": self.max_seq_length,
            "do_lower_case": self.tokenizer.do_lower_case,
        }

    def training_examples(self) -> ExampleTable:
        """Tokenized now, or read from `train.tf_record`."""
        return self._cached("train", "train.tf_record")

    def epoch_size(self, table: ExampleTable) -> int:
        """All rows."""
        return len(table)

    def evaluation_examples(self) -> ExampleTable:
        """Tokenized now, or read from `eval.tf_record`; kept, for every score needs its labels."""
        if self._evaluated is None:
            self._evaluated = self._cached("dev", "eval.tf_record")
        return self._evaluated

    def _examples(self, split: str) -> Iterator[Example]:
        if split not in self.data.splits:
            flag = {"train": "--train_file", "dev": "--dev_file", "test": "--predict_file"}[split]
            raise ValueError(f"{flag} must name the examples, but is empty.")
        return self.data.splits[split]()

    def _featurizer(self) -> Featurizer:
        return Featurizer(self.tokenizer, self.max_seq_length, self.data.labels, self.stride)

    def _cached(self, split: str, name: str) -> ExampleTable:
        examples = self._examples(split)
        first = next(examples)  # A file that does not fit fails before anything is hashed.
        key = {
            "file": file_digest(self.data.paths[split]),
            "vocabulary": file_digest(self.vocab_file),
            "task": {**self.describe(), "name": str(self.data.paths[split].name)},
            "stride": self.stride,
        }

        def make() -> ExampleTable:
            featurizer = self._featurizer()
            table = featurizer.table(itertools.chain([first], examples))
            if said := featurizer.report():
                self.say(said)
            return table

        schema, _ = self.task(0).schema()
        return cached(self.directory / name, schema, SEQUENCES, key, make)

    def score(self, outputs: Outputs) -> dict[str, float]:
        """Loss and all metrics of the data set."""
        table = self.evaluation_examples()
        logits = self._of_examples(np.asarray(outputs["logits"]), table)
        gold = self._of_examples(table.columns["label_ids"], table)
        if not self.data.labels:
            values = logits[:, 0]
            loss = float(np.mean(np.square(values - gold)))
            return {**metrics.score(self.data.metrics, gold, values), "eval_loss": loss}
        gold = gold.astype(np.int64)
        likely = np.log(np.maximum(self._probabilities(logits), 1e-30))
        loss = float(-np.mean(likely[np.arange(len(gold)), gold]))
        predicted = np.argmax(logits, axis=1)
        return {
            **metrics.score(self.data.metrics, gold, predicted),
            "eval_loss": loss,
            "loss": loss,
        }

    def _of_examples(self, rows: Array, table: ExampleTable) -> Array:
        """Rows of windows averaged to rows of examples."""
        if not self.stride:
            return rows
        owners = table.columns["example_ids"].astype(np.int64)
        owners = owners - owners.min()
        sums = np.zeros((owners.max() + 1, *rows.shape[1:]))
        np.add.at(sums, owners, rows)
        counts = np.bincount(owners).reshape(-1, *[1] * (rows.ndim - 1))
        return sums / counts

    @staticmethod
    def _probabilities(logits: Array) -> Array:
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """Nothing beside `eval_results.txt`."""

    def report(self, outputs: Outputs) -> Findings:
        """Of classes or of numbers, whichever the labels are."""
        table = self.evaluation_examples()
        logits = self._of_examples(np.asarray(outputs["logits"]), table)
        gold = self._of_examples(table.columns["label_ids"], table)
        shown = (
            classes.Shown(each.identifier, [text for text in (each.text_a, each.text_b) if text])
            for each in self._examples("dev")
        )
        if self.data.labels:
            shares, numbers = self._probabilities(logits), gold.astype(np.int64)
            sections = classes.sections(self.data.labels, numbers, shares, shown)
        else:
            sections = values.sections(gold, logits[:, 0], shown)
        what = "Classification" if self.data.labels else "Regression"
        title = f"{what}: {self.data.name}"
        return Findings(title, str(self.data.paths["dev"]), len(gold), sections)

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """Chunks of the test split."""
        self._chunks: list[tuple[list[Example], ExampleTable]] = []
        examples, featurizer = self._examples("test"), self._featurizer()
        while chunk := list(itertools.islice(examples, CHUNK)):
            # What labels a file to predict has, and whether they are known, does not matter.
            plain = (Example(e.identifier, e.text_a, e.text_b, None, e.where) for e in chunk)
            table = featurizer.table(plain)
            self._chunks.append((chunk, table))
            yield table
        if said := featurizer.report():
            self.say(said)

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> None:
        """`test_results.tsv` as the original's, `predictions.jsonl`, and a submission for GLUE."""
        labels, submission = self.data.labels, self.data.submission
        with (
            files.writing(directory / "test_results.tsv") as results,
            files.writing(directory / "predictions.jsonl") as lines,
            files.writing(directory / (submission or "predictions.tsv")) as answers,
        ):
            answers.write("index\tprediction\n")
            index = 0
            for each in outputs:
                examples, table = self._chunks.pop(0)
                rows = self._of_examples(np.asarray(each["logits"]), table)
                values = self._probabilities(rows.astype(np.float32)) if labels else rows[:, :1]
                for example, row in zip(examples, values.astype(np.float32), strict=True):
                    results.write("\t".join(str(value) for value in row) + "\n")
                    answer, said = self._answer(row)
                    lines.write(json.dumps({"id": example.identifier, **said}) + "\n")
                    answers.write(f"{index if submission else example.identifier}\t{answer}\n")
                    index += 1
        self.say(f"Predicted {index} examples: {directory / 'predictions.jsonl'}")

    def _answer(self, row: Array) -> tuple[str, dict[str, object]]:
        if not self.data.labels:
            return f"{row[0]:.3f}", {"value": float(row[0])}
        label = self.data.labels[int(np.argmax(row))]
        probabilities = {
            name: float(value) for name, value in zip(self.data.labels, row, strict=True)
        }
        return label, {"label": label, "probabilities": probabilities}
