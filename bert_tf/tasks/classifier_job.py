"""What run_classifier does for a data set: which examples, which scores, which files."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf import files
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.windows import mean_of_windows
from bert_tf.reporting import classes, values
from bert_tf.reporting.page import Findings
from bert_tf.tasks import metrics
from bert_tf.tasks.classification import ClassificationTask, Featurizer
from bert_tf.tasks.glue import Example
from bert_tf.tasks.job import Outputs, Setting
from bert_tf.tasks.metrics import softmax
from bert_tf.tasks.task import PredictingTask
from bert_tf.tasks.text_data import Split, TextData

CHUNK = 4096  # examples that are predicted at once
Array = npt.NDArray[Any]


@dataclass
class ClassifierJob:
    """See `tasks.job.Job`.

    Attributes:
        data: The data set.
        setting: What every job is given.
    """

    data: TextData
    setting: Setting
    _evaluated: list[ExampleTable] = field(default_factory=list)  # of each part
    _chunks: list[tuple[Split, list[Example], ExampleTable]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.data.remark:
            self.setting.say(self.data.remark)

    @property
    def metric(self) -> str:
        """The data set's first metric."""
        return self.data.metrics[0]

    def task(self, seed: int) -> PredictingTask:
        """The task."""
        length, windows = self.setting.max_seq_length, bool(self.setting.stride)
        return ClassificationTask(self.setting.config, length, len(self.data.labels), windows, seed)

    def describe(self) -> dict[str, object]:
        """Task, classes, whether texts come in pairs, lengths."""
        return {
            "task": "classifier" if self.data.labels else "regression",
            "data": self.data.name,
            "labels": list(self.data.labels),
            "pairs": self.data.pairs,
            "doc_stride": self.setting.stride,
            **self.setting.describe(),
        }

    def training_examples(self) -> ExampleTable:
        """Tokenized now, or read from `train.tf_record`."""
        (split,) = self.data.of("train")
        return self._cached(split, "train.tf_record")

    def epoch_size(self, table: ExampleTable) -> int:
        """All rows."""
        return len(table)

    def evaluation_examples(self) -> ExampleTable:
        """Tokenized now, or read from `eval.tf_record`; kept, for every score needs its labels."""
        tables = self._evaluation_tables()
        return tables[0] if len(tables) == 1 else ExampleTable.concatenate(tables)

    def _evaluation_tables(self) -> list[ExampleTable]:
        if not self._evaluated:
            splits = self.data.of("dev")
            self._say_lacking("dev")
            self._evaluated = [self._cached(each, each.named("eval.tf_record")) for each in splits]
        return self._evaluated

    def _say_lacking(self, split: str) -> None:
        if split in self.data.lacking:
            self.setting.say(f"There is no {self.data.lacking[split]}: that part is left out.")

    def _featurizer(self) -> Featurizer:
        setting, data = self.setting, self.data
        return Featurizer(
            setting.tokenizer,
            setting.max_seq_length,
            data.labels,
            setting.stride,
            data.labels_from,
        )

    def _cached(self, split: Split, name: str) -> ExampleTable:
        schema, _ = self.task(0).schema()
        key = {"task": self.describe(), "name": split.path.name, "columns": split.columns}
        return self.setting.tokenized(
            name, split.path, schema, key, split.read(), self._featurizer()
        )

    def score(self, outputs: Outputs) -> dict[str, float]:
        """Loss and all metrics of the data set, of each of its parts."""
        scores: dict[str, float] = {}
        for split, logits, gold in self._parts(outputs):
            own = self._scores(logits, gold)
            scores.update({split.named(name): value for name, value in own.items()})
        return scores

    def _parts(self, outputs: Outputs) -> Iterator[tuple[Split, Array, Array]]:
        """Each part of the development split, with logits and labels of its examples."""
        rows, begin = np.asarray(outputs["logits"]), 0
        for split, table in zip(self.data.of("dev"), self._evaluation_tables(), strict=True):
            logits = self._of_examples(rows[begin : begin + len(table)], table)
            begin += len(table)
            yield split, logits, self._of_examples(table.columns["label_ids"], table)

    def _scores(self, logits: Array, gold: Array) -> dict[str, float]:
        if not self.data.labels:
            values = logits[:, 0]
            loss = float(np.mean(np.square(values - gold)))
            return {**metrics.score(self.data.metrics, gold, values), "eval_loss": loss}
        gold = gold.astype(np.int64)
        likely = np.log(np.maximum(softmax(logits), 1e-30))
        loss = float(-np.mean(likely[np.arange(len(gold)), gold]))
        predicted = np.argmax(logits, axis=1)
        return {
            **metrics.score(self.data.metrics, gold, predicted),
            "eval_loss": loss,
            "loss": loss,
        }

    def _of_examples(self, rows: Array, table: ExampleTable) -> Array:
        """Rows of windows averaged to rows of examples."""
        if not self.setting.stride:
            return rows
        return mean_of_windows(rows, table.columns["example_ids"])

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """Nothing beside `eval_results.txt`."""

    def report(self, outputs: Outputs) -> Findings:
        """Of classes or of numbers, whichever the labels are; of all parts together."""
        splits, logits, gold = zip(*self._parts(outputs), strict=True)
        every, right = np.concatenate(logits), np.concatenate(gold)
        shown = (
            classes.Shown(each.identifier, [text for text in (each.text_a, each.text_b) if text])
            for split in splits
            for each in split.read()
        )
        if self.data.labels:
            numbers = right.astype(np.int64)
            sections = classes.sections(self.data.labels, numbers, softmax(every), shown)
        else:
            sections = values.sections(right, every[:, 0], shown)
        what = "Classification" if self.data.labels else "Regression"
        source = ", ".join(str(split.path) for split in splits)
        return Findings(f"{what}: {self.data.name}", source, len(right), sections)

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """Chunks of the test split, of one part after the other."""
        featurizer = self._featurizer()
        splits = self.data.of("test")
        self._say_lacking("test")
        for split in splits:
            examples = split.read()
            while chunk := list(itertools.islice(examples, CHUNK)):
                # What labels a file to predict has, and whether they are known, does not matter.
                plain = (Example(e.identifier, e.text_a, e.text_b, None, e.where) for e in chunk)
                table = featurizer.table(plain)
                self._chunks.append((split, chunk, table))
                yield table
        self.setting.report(featurizer)

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> None:
        """`test_results.tsv` as the original's, `predictions.jsonl`, and a submission for GLUE."""
        done = ((*self._chunks.pop(0), each) for each in outputs)
        for split, chunks in itertools.groupby(done, key=lambda item: item[0]):
            rows = (
                (example, row)
                for _, examples, table, each in chunks
                for example, row in zip(examples, self._answers(each, table), strict=True)
            )
            path = directory / split.named("predictions.jsonl")
            count = self._write(split, rows, directory)
            self.setting.say(f"Predicted {count} examples: {path}")

    def _answers(self, outputs: Outputs, table: ExampleTable) -> Array:
        """Probabilities [N, C], or values [N, 1], float32."""
        rows = self._of_examples(np.asarray(outputs["logits"]), table).astype(np.float32)
        return softmax(rows) if self.data.labels else rows[:, :1]

    def _write(self, split: Split, rows: Iterable[tuple[Example, Array]], directory: Path) -> int:
        """Writes the files of a part; returns the number of its examples."""
        names = ("test_results.tsv", "predictions.jsonl", "predictions.tsv")
        paths = [directory / split.named(name) for name in names]
        if split.submission:
            paths[2] = directory / split.submission
        count = 0
        with ExitStack() as stack:
            results, lines, answers = (stack.enter_context(files.writing(path)) for path in paths)
            answers.write("index\tprediction\n")
            for example, row in rows:
                results.write("\t".join(str(value) for value in row) + "\n")
                answer, said = self._answer(row)
                lines.write(json.dumps({"id": example.identifier, **said}) + "\n")
                number = count if split.submission else example.identifier
                answers.write(f"{number}\t{answer}\n")
                count += 1
        return count

    def _answer(self, row: Array) -> tuple[str, dict[str, object]]:
        if not self.data.labels:
            return f"{row[0]:.3f}", {"value": float(row[0])}
        label = self.data.labels[int(np.argmax(row))]
        probabilities = {
            name: float(value) for name, value in zip(self.data.labels, row, strict=True)
        }
        return label, {"label": label, "probabilities": probabilities}
