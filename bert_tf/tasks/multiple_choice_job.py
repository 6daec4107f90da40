"""What run_swag does with its files."""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bert_tf import files
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.windows import mean_of_windows
from bert_tf.reporting import choices
from bert_tf.reporting.page import Findings
from bert_tf.tasks.job import Outputs, Setting, path_of
from bert_tf.tasks.metrics import softmax
from bert_tf.tasks.multiple_choice import (
    ChoiceColumns,
    ChoiceExample,
    ChoiceFeaturizer,
    MultipleChoiceTask,
    read_choices,
)
from bert_tf.tasks.task import PredictingTask

CHUNK = 1024


@dataclass
class MultipleChoiceJob:
    """See `tasks.job.Job`. The logits of an example are the mean of those of its windows.

    Attributes:
        paths: `train`, `dev` and `test` to files, those that are given.
        columns: Their columns.
        setting: What every job is given.
    """

    paths: Mapping[str, Path]
    columns: ChoiceColumns
    setting: Setting
    _evaluated: ExampleTable | None = None
    _chunks: list[tuple[list[ChoiceExample], ExampleTable]] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """Accuracy decides."""
        return "eval_accuracy"

    def _examples(self, split: str) -> Iterator[ChoiceExample]:
        path = path_of(self.paths, split, "questions")
        return read_choices(path, self.columns, labelled=split != "test")

    def _choices(self) -> int:
        """C of the first row of any file."""
        path = next(iter(self.paths.values()))
        return len(next(read_choices(path, self.columns, labelled=False)).choices)

    def task(self, seed: int) -> PredictingTask:
        """The task."""
        setting, windows = self.setting, bool(self.setting.stride)
        return MultipleChoiceTask(
            setting.config, setting.max_seq_length, self._choices(), windows, seed
        )

    def describe(self) -> dict[str, object]:
        """Task, choices, whether something stands before each of them, lengths."""
        return {
            "task": "multiple_choice",
            "choices": self._choices(),
            "start": self.columns.question is not None,
            "doc_stride": self.setting.stride,
            **self.setting.describe(),
        }

    def _featurizer(self) -> ChoiceFeaturizer:
        setting = self.setting
        return ChoiceFeaturizer(setting.tokenizer, setting.max_seq_length, setting.stride)

    def _cached(self, split: str, name: str) -> ExampleTable:
        examples = self._examples(split)
        schema, _ = self.task(0).schema()
        key = {"task": self.describe(), "columns": str(self.columns)}
        path = self.paths[split]
        return self.setting.tokenized(name, path, schema, key, examples, self._featurizer())

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

    def score(self, outputs: Outputs) -> dict[str, float]:
        """Share of right answers."""
        table = self.evaluation_examples()
        best = np.argmax(self._logits(outputs, table), axis=1)
        gold = self._of_questions(table.columns["label_ids"], table)
        return {"eval_accuracy": float(np.mean(best == gold))}

    def _logits(self, outputs: Outputs, table: ExampleTable) -> np.ndarray:
        return self._of_questions(np.asarray(outputs["logits"]), table)

    def _of_questions(self, rows: np.ndarray, table: ExampleTable) -> np.ndarray:
        """Rows of windows averaged to rows of questions."""
        return mean_of_windows(rows, table.columns["example_ids"]) if self.setting.stride else rows

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """Nothing beside `eval_results.txt`."""

    def report(self, outputs: Outputs) -> Findings:
        """By the places of the choices, and the worst mistakes."""
        table = self.evaluation_examples()
        gold = self._of_questions(table.columns["label_ids"], table).astype(np.int64)
        shown = (
            choices.ShownQuestion(each.identifier, each.context, each.choices)
            for each in self._examples("dev")
        )
        shares = softmax(self._logits(outputs, table))
        sections = choices.sections(gold, shares, shown)
        return Findings("Multiple choice", str(self.paths["dev"]), len(gold), sections)

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """Chunks of the file to predict."""
        examples = self._examples("test")
        featurizer = self._featurizer()
        while chunk := list(itertools.islice(examples, CHUNK)):
            table = featurizer.table(chunk)
            self._chunks.append((chunk, table))
            yield table
        self.setting.report(featurizer)

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> None:
        """`test_results.tsv` with a probability for each choice, and `predictions.jsonl`."""
        count = 0
        with (
            files.writing(directory / "test_results.tsv") as results,
            files.writing(directory / "predictions.jsonl") as lines,
        ):
            for each in outputs:
                examples, table = self._chunks.pop(0)
                shares = softmax(self._logits(each, table).astype(np.float32))
                for example, row in zip(examples, shares, strict=True):
                    results.write("\t".join(str(value) for value in row) + "\n")
                    best = int(np.argmax(row))
                    said = {
                        "id": example.identifier,
                        "choice": best,
                        "text": example.choices[best],
                        "probabilities": row.tolist(),
                    }
                    lines.write(json.dumps(said, ensure_ascii=False) + "\n")
                    count += 1
        self.setting.say(f"Predicted {count} questions: {directory / 'predictions.jsonl'}")
