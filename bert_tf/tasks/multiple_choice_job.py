"""What run_swag does with its files."""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf import files
from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable, cached, file_digest
from bert_tf.reporting import choices
from bert_tf.reporting.page import Findings
from bert_tf.tasks.job import Outputs
from bert_tf.tasks.multiple_choice import (
    SEQUENCES,
    ChoiceColumns,
    ChoiceExample,
    ChoiceFeaturizer,
    MultipleChoiceTask,
    read_choices,
    schema,
)
from bert_tf.tasks.task import PredictingTask
from bert_tf.tokenization import FullTokenizer

CHUNK = 1024


@dataclass
class MultipleChoiceJob:
    """See `tasks.job.Job`.

    Attributes:
        paths: `train`, `dev` and `test` to files, those that are given.
        columns: Their columns.
        config: The model's sizes.
        tokenizer: Of its vocabulary.
        vocab_file: The vocabulary, for the key of the cache.
        directory: Where tokenized examples are kept.
        max_seq_length: T.
        say: Tells the person at the terminal something.
    """

    paths: Mapping[str, Path]
    columns: ChoiceColumns
    config: BertConfig
    tokenizer: FullTokenizer
    vocab_file: Path
    directory: Path
    max_seq_length: int
    say: Callable[[str], None] = lambda _: None
    _evaluated: ExampleTable | None = None
    _chunks: list[list[ChoiceExample]] = field(default_factory=list)

    @property
    def metric(self) -> str:
        """Accuracy decides."""
        return "eval_accuracy"

    def _examples(self, split: str) -> Iterator[ChoiceExample]:
        path = self.paths.get(split)
        if path is None:
            flag = {"train": "train", "dev": "dev", "test": "predict"}[split]
            raise ValueError(f"--{flag}_file must name the questions, but is empty.")
        return read_choices(path, self.columns, labelled=split != "test")

    def _choices(self) -> int:
        """C of the first row of any file."""
        split = next(iter(self.paths))
        path = self.paths[split]
        return len(next(read_choices(path, self.columns, labelled=False)).choices)

    def task(self, seed: int) -> PredictingTask:
        """The task."""
        return MultipleChoiceTask(self.config, self.max_seq_length, self._choices(), seed)

    def describe(self) -> dict[str, object]:
        """Task, choices, lengths."""
        return {
            "task": "multiple_choice",
            "choices": self._choices(),
            "max_seq_length": self.max_seq_length,
            "do_lower_case": self.tokenizer.do_lower_case,
        }

    def _cached(self, split: str, name: str) -> ExampleTable:
        examples = self._examples(split)
        first = next(examples)
        key = {
            "file": file_digest(self.paths[split]),
            "vocabulary": file_digest(self.vocab_file),
            "task": self.describe(),
            "columns": str(self.columns),
        }

        def make() -> ExampleTable:
            featurizer = ChoiceFeaturizer(self.tokenizer, self.max_seq_length)
            table = featurizer.table(itertools.chain([first], examples))
            if said := featurizer.report():
                self.say(said)
            return table

        made = schema(self.max_seq_length, len(first.choices))
        return cached(self.directory / name, made, SEQUENCES, key, make)

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
        gold = self.evaluation_examples().columns["label_ids"]
        best = np.argmax(np.asarray(outputs["logits"]), axis=1)
        return {"eval_accuracy": float(np.mean(best == gold))}

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """Nothing beside `eval_results.txt`."""

    def report(self, outputs: Outputs) -> Findings:
        """By the places of the choices, and the worst mistakes."""
        gold = self.evaluation_examples().columns["label_ids"].astype(np.int64)
        shown = (
            choices.ShownQuestion(each.identifier, each.context, each.choices)
            for each in self._examples("dev")
        )
        shares = probabilities(np.asarray(outputs["logits"]))
        sections = choices.sections(gold, shares, shown)
        return Findings("Multiple choice", str(self.paths["dev"]), len(gold), sections)

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """Chunks of the file to predict."""
        examples = self._examples("test")
        featurizer = ChoiceFeaturizer(self.tokenizer, self.max_seq_length)
        while chunk := list(itertools.islice(examples, CHUNK)):
            self._chunks.append(chunk)
            yield featurizer.table(chunk)
        if said := featurizer.report():
            self.say(said)

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> None:
        """`test_results.tsv` with a probability for each choice, and `predictions.jsonl`."""
        count = 0
        with (
            files.writing(directory / "test_results.tsv") as results,
            files.writing(directory / "predictions.jsonl") as lines,
        ):
            for each in outputs:
                shares = probabilities(np.asarray(each["logits"]))
                for example, row in zip(self._chunks.pop(0), shares, strict=True):
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
        self.say(f"Predicted {count} questions: {directory / 'predictions.jsonl'}")


def probabilities(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Softmax of the choices' logits [N, C]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
