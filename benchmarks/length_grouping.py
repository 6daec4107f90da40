"""Batches of similar lengths, padded to their longest, beside padding to the maximum.

    python -m benchmarks.length_grouping --data_dir ../glue/MRPC --vocab_file vocab.txt

Both sides run the same trainer and predictor on the same examples, in turns; a ratio is the
median over the rounds. The predictions of all examples are compared. Takes some three minutes.
"""

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bert_tf.memory import keep_freed_memory

keep_freed_memory()  # before TensorFlow is imported, as the commands do

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from bert_tf.config import named_config  # noqa: E402
from bert_tf.inputs.batches import TableSource  # noqa: E402
from bert_tf.inputs.examples import ExampleTable  # noqa: E402
from bert_tf.tasks.classification import ClassificationTask, Featurizer  # noqa: E402
from bert_tf.tasks.glue import GLUE, read_split  # noqa: E402
from bert_tf.tokenization import FullTokenizer  # noqa: E402
from bert_tf.training import reports, runtime  # noqa: E402
from bert_tf.training.evaluation import Predictor  # noqa: E402
from bert_tf.training.loop import Trainer  # noqa: E402
from bert_tf.training.options import TrainingOptions  # noqa: E402
from bert_tf.training.state import State  # noqa: E402

GROUPED, PADDED = "padded to the batch", "padded to the maximum"


def table_of(options: argparse.Namespace) -> ExampleTable:
    """The training examples of MRPC."""
    task = GLUE["mrpc"]
    featurizer = Featurizer(FullTokenizer(options.vocab_file), options.length, task.labels)
    return featurizer.table(read_split(options.data_dir, task.train, "en"))


def rate(work: Callable[[], int]) -> float:
    """Examples a second."""
    started = time.perf_counter()
    count = work()
    return count / (time.perf_counter() - started)


def main() -> None:
    """Prints a line for training, one for prediction, and the largest difference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--vocab_file", type=Path, required=True)
    parser.add_argument("--model", default="bert-mini")
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=64, help="training steps of a turn")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    table = table_of(options)
    config = named_config(options.model)
    task = ClassificationTask(config, options.length, 2, seed=1)
    started = runtime.start(runtime.RuntimeOptions(distribution_strategy="one_device"))
    folder = Path(tempfile.mkdtemp(prefix="bert_tf_benchmark_"))
    training = TrainingOptions(
        folder, train_batch_size=options.batch_size, num_warmup_steps=0, learning_rate=1e-9
    )
    sources = {GROUPED: TableSource(table, started.length_multiple), PADDED: TableSource(table, 0)}
    trainers, predictors = {}, {}
    for name, source in sources.items():
        state = State(task, started, dataclasses.replace(training))
        trainers[name] = Trainer(task, state, state.prepare_training(), source)
        predictors[name] = Predictor(task, state)

    def train(name: str) -> int:
        trainers[name].train(tf.constant(options.steps))
        return options.steps * options.batch_size

    def predict(name: str) -> np.ndarray:
        silent = reports.Progress("predict", None, visible=False)
        return np.asarray(predictors[name].run(sources[name], 64, silent)["logits"])

    outputs = {name: predict(name) for name in sources}
    for name in sources:
        trainers[name].train(tf.constant(2))  # traces and fills caches
    print(
        f"{options.model}, {len(table)} examples of {table.lengths.mean():.1f} tokens on average, "
        f"batches of {options.batch_size}"
    )
    speeds: dict[str, dict[str, list[float]]] = {"train": {}, "predict": {}}
    for _ in range(options.rounds):
        for name in sources:
            trained = rate(lambda name=name: train(name))  # type: ignore[misc]
            predicted = rate(lambda name=name: len(predict(name)))  # type: ignore[misc]
            speeds["train"].setdefault(name, []).append(trained)
            speeds["predict"].setdefault(name, []).append(predicted)
    for what, sides in speeds.items():
        ratio = np.median(np.divide(sides[GROUPED], sides[PADDED]))
        figures = ", ".join(f"{name} {np.median(row):.1f}/s" for name, row in sides.items())
        print(f"{what:8} {figures}: {ratio:.2f}x")
    difference = np.abs(outputs[GROUPED] - outputs[PADDED]).max()
    print(f"largest difference of a logit: {difference:.1e}")


if __name__ == "__main__":
    main()
