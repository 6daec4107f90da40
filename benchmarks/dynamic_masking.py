"""Dynamic masking beside what a training step takes: does the input pipeline keep up?

    python -m benchmarks.dynamic_masking

Sequences per second of the pipeline (records read, parsed, masked anew, in replica batches), with
and without new masks, beside a training step of bert-tiny on this machine, all in one run, in
turns. Takes a minute.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.config import named_config
from bert_tf.inputs.datasets import RecordSource, open_records
from bert_tf.inputs.records import Manifest, RecordWriter
from bert_tf.tasks import PretrainingTask
from bert_tf.training import runtime
from bert_tf.training.loop import Trainer
from bert_tf.training.options import TrainingOptions
from bert_tf.training.state import State

LENGTH, PREDICTIONS, RECORDS = 128, 20, 20_000
WARM_UP = 5  # batches that are not timed


def make_records(path: Path, vocab_size: int) -> None:
    """Full records of random tokens, masked as the generator masks."""
    schema = PretrainingTask(named_config("bert-tiny"), LENGTH, PREDICTIONS).schema()[0]
    draw = np.random.default_rng(1)
    with RecordWriter(path, Manifest(schema)) as writer:
        for _ in range(RECORDS):
            ids = draw.integers(1000, vocab_size, LENGTH)
            ids[[0, 60, LENGTH - 1]] = 101, 102, 102
            places = draw.permutation(np.arange(1, 60))[:19]
            features: dict[str, Any] = {
                "input_ids": np.where(np.isin(np.arange(LENGTH), places), 103, ids),
                "input_mask": np.ones(LENGTH, np.int64),
                "segment_ids": (np.arange(LENGTH) > 60).astype(np.int64),
                "masked_lm_positions": np.append(places, 0),
                "masked_lm_ids": np.append(ids[places], 0),
                "masked_lm_weights": np.append(np.ones(19), 0.0).astype(np.float32),
                "next_sentence_labels": [0],
            }
            writer.write(schema.encode(features))


def make_vocabulary(path: Path, size: int) -> None:
    """As many lines as the config has ids, with the special tokens of the release."""
    tokens = [f"token{number}" for number in range(size)]
    tokens[100:104] = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")


def rate_of_batches(source: RecordSource, batch_size: int, batches: int) -> float:
    """Sequences a second that a pipeline hands out."""
    made: Iterator[Any] = iter(
        source.training(
            batch_size,
            shuffle=True,
            seed=1,
            first_batch=0,
            context=tf.distribute.InputContext(1, 0, 1),
        )
    )
    for _ in itertools.islice(made, WARM_UP):
        pass
    started = time.perf_counter()
    for _ in itertools.islice(made, batches):
        pass
    return batches * batch_size / (time.perf_counter() - started)


def step_rate(source: RecordSource, batch_size: int, folder: Path) -> Callable[[int], float]:
    """A function of a number of training steps: sequences a second."""
    task = PretrainingTask(named_config("bert-tiny"), LENGTH, PREDICTIONS, 1)
    options = TrainingOptions(folder, train_batch_size=batch_size)
    state = State(task, runtime.start(options.runtime), options)
    trainer = Trainer(task, state, state.prepare_training(source), source)
    trainer.train(tf.constant(WARM_UP))

    def rate(steps: int) -> float:
        return float(trainer.train(tf.constant(steps))["sequences_per_second"])

    return rate


def main() -> None:
    """Measures in turns and prints medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20, help="training steps of a turn")
    parser.add_argument("--batches", type=int, default=300, help="batches of a turn")
    arguments = parser.parse_args()
    vocab_size = named_config("bert-tiny").vocab_size
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_records(folder / "records", vocab_size)
        make_vocabulary(folder / "vocab.txt", vocab_size)
        task = PretrainingTask(named_config("bert-tiny"), LENGTH, PREDICTIONS)
        plain = open_records(str(folder / "records"), *task.schema())
        dynamic = plain.masked_anew(folder / "vocab.txt", 0.15, 1)
        step = step_rate(dynamic, arguments.batch_size, folder / "model")
        size, count = arguments.batch_size, arguments.batches
        rates: dict[str, list[float]] = {"training": [], "dynamic": [], "plain": []}
        for _ in range(arguments.turns):
            rates["training"].append(step(arguments.steps))
            rates["dynamic"].append(rate_of_batches(dynamic, size, count))
            rates["plain"].append(rate_of_batches(plain, size, count))
    middle = {kind: statistics.median(values) for kind, values in rates.items()}
    print(f"bert-tiny, batches of {size} x {LENGTH}, medians of {arguments.turns} turns")
    print(f"training step                 {middle['training']:10,.0f} sequences/s")
    print(f"pipeline, masks of the records{middle['plain']:10,.0f} sequences/s")
    print(f"pipeline, masks drawn anew    {middle['dynamic']:10,.0f} sequences/s")
    print(f"drawn anew / training step    {middle['dynamic'] / middle['training']:10.1f} x")


if __name__ == "__main__":
    main()
