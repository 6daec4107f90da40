"""A toy job: tells whether the first token of a sequence is even or odd."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.records import Feature, RecordSchema
from bert_tf.modeling.task_heads import build_classifier
from bert_tf.tasks.job import Outputs
from bert_tf.tasks.losses import correct, cross_entropy
from bert_tf.training import finetuning
from bert_tf.training.options import FinetuningOptions
from tests.support import small

LENGTH, VOCAB = 16, 40
CONFIG = BertConfig(
    vocab_size=VOCAB,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=LENGTH,
    type_vocab_size=2,
)


def examples(count: int, seed: int) -> ExampleTable:
    random = np.random.default_rng(seed)
    mask = (np.arange(LENGTH) < random.integers(2, LENGTH + 1, [count, 1])).astype(int)
    ids = random.integers(2, VOCAB, [count, LENGTH]) * mask
    columns = {"input_ids": ids, "input_mask": mask, "label_ids": ids[:, 0] % 2}
    return ExampleTable.build(columns, ("input_ids", "input_mask"))


class ToyTask:
    sum_names = ("loss_sum", "correct", "examples")
    unread = ()
    token_outputs = ("tokens",)

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def build_model(self) -> Any:
        return build_classifier(CONFIG, 2, self.seed)

    def schema(self) -> Any:
        features = [Feature(name, "int64", LENGTH) for name in ("input_ids", "input_mask")]
        return RecordSchema((*features, Feature("label_ids", "int64", 1))), {"input_ids": VOCAB}

    def totals(self, batch: Any) -> Any:
        return {"examples": ops.sum(batch["example_weight"])}

    def _logits(self, model: Any, batch: Any, dropout: Any) -> Any:
        inputs = {"input_word_ids": batch["input_ids"], "input_mask": batch["input_mask"]}
        return model(inputs, dropout=dropout)["logits"]

    def loss(self, model: Any, batch: Any, totals: Any, dropout: Any) -> Any:
        logits, weights = self._logits(model, batch, dropout), batch["example_weight"]
        loss = ops.sum(weights * cross_entropy(logits, batch["label_ids"]))
        return loss / totals["examples"], {
            "loss_sum": loss,
            "correct": ops.sum(weights * correct(logits, batch["label_ids"])),
            "examples": ops.sum(weights),
        }

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        return {"accuracy": sums["correct"] / max(sums["examples"], 1.0)}

    def predict(self, model: Any, batch: Any) -> Any:
        return {"logits": self._logits(model, batch, None), "tokens": batch["input_ids"]}


@dataclasses.dataclass
class ToyJob:
    """Keeps in lists what was asked of it."""

    metric: str = "accuracy"
    score_of: Any = None  # replaces the score, by the number of the evaluation
    scored: list[Outputs] = dataclasses.field(default_factory=list)
    predicted: list[Outputs] = dataclasses.field(default_factory=list)

    def task(self, seed: int) -> ToyTask:
        return ToyTask(seed)

    def training_examples(self) -> ExampleTable:
        return examples(256, 1)

    def epoch_size(self, table: ExampleTable) -> int:
        return len(table)

    def evaluation_examples(self) -> ExampleTable:
        return examples(45, 2)

    def score(self, outputs: Outputs) -> dict[str, float]:
        self.scored.append(outputs)
        if self.score_of:
            return {"accuracy": self.score_of(len(self.scored))}
        best = np.argmax(outputs["logits"], axis=-1)
        labels = self.evaluation_examples().columns["label_ids"]
        return {"accuracy": float(np.mean(best == labels))}

    def write_evaluation(self, outputs: Outputs, scores: Any, directory: Path) -> None:
        (directory / "scores.txt").write_text(str(scores["accuracy"]))

    def prediction_examples(self) -> Iterator[ExampleTable]:
        whole = self.evaluation_examples()
        yield whole.take(np.arange(30))
        yield whole.take(np.arange(30, 45))

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> None:
        self.predicted += outputs

    def describe(self) -> dict[str, object]:
        return {"task": "classifier", "labels": ["even", "odd"], "max_seq_length": LENGTH}


def run(directory: Path, job: ToyJob, **changes: Any) -> None:
    """Runs the job in this process; keyword arguments are options of any of the three classes."""
    names = {field.name for field in dataclasses.fields(FinetuningOptions)} - {"training"}
    own = {name: changes.pop(name) for name in names & changes.keys()}
    training = small.options(
        directory,
        **{
            "train_batch_size": 32,
            "eval_batch_size": 8,
            "learning_rate": 1e-2,
            "save_checkpoints_steps": 1000,
            **changes,
        },
    )
    with small.started(training.runtime) as running:
        finetuning.run(job, running, FinetuningOptions(training, **own))
