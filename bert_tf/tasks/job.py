"""What a fine-tuning command hands to the loop: data, scores and files of one task.

`training.finetuning` runs a job: it trains on the training examples, evaluates, keeps the best
checkpoint by `metric`, and predicts. All that it knows of the task is here.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from bert_tf.inputs.examples import ExampleTable
from bert_tf.reporting.page import Findings
from bert_tf.tasks.task import PredictingTask

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
