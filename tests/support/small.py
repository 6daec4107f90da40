"""The small goldens, and helpers that train on them inside the test process.

Importing this module splits the CPU into two logical devices, so that one process can test one
replica and two; it must happen before TensorFlow's context starts, hence at import.
"""

import dataclasses
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import BertConfig
from bert_tf.inputs.datasets import RecordSource, open_records
from bert_tf.tasks import PretrainingTask
from bert_tf.training import evaluation, loop, runtime
from bert_tf.training.options import TrainingOptions
from bert_tf.training.reports import METRICS_FILE, read_metrics
from bert_tf.training.runtime import Runtime, RuntimeOptions

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "goldens"
LARGE = ROOT.parent / "shared" / "goldens"
CONFIG = GOLDENS / "bert_config.json"
NO_DROPOUT = GOLDENS / "bert_config_nodrop.json"
RECORDS = GOLDENS / "records" / "default.tfrecord"
CHECKPOINT = str(GOLDENS / "pretrained" / "model.ckpt-200")
VOCAB = GOLDENS / "vocab.txt"
LENGTH, PREDICTIONS = 64, 10
EXAMPLES = 196

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


def options(directory: Path, **changes: Any) -> TrainingOptions:
    """Options of a short run on the small records."""
    names = {field.name for field in dataclasses.fields(RuntimeOptions)}
    of_runtime = {name: changes.pop(name) for name in names & changes.keys()}
    defaults: dict[str, Any] = {
        "train_batch_size": 16,
        "eval_batch_size": 14,
        "learning_rate": 1e-3,
        "num_train_steps": 10,
        "num_warmup_steps": 4,
        "save_checkpoints_steps": 5,
        "iterations_per_loop": 1,
    }
    return TrainingOptions(
        output_dir=directory,
        runtime=RuntimeOptions(**{"deterministic": True, **of_runtime}),
        **{**defaults, **changes},
    )


@functools.cache
def mirrored() -> tf.distribute.Strategy:
    """The process's strategy over both devices: the collective keys of a second would collide."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@contextmanager
def started(chosen: RuntimeOptions) -> Iterator[Runtime]:
    """A started runtime whose dtype policy does not outlive it."""
    strategy = mirrored() if chosen.logical_cpus > 1 else None
    try:
        with mock.patch.object(tf.distribute, "MirroredStrategy", return_value=strategy):
            yield runtime.start(chosen)
    finally:
        keras.config.set_dtype_policy("float32")


def task(config: Path = CONFIG, length: int = LENGTH, predictions: int = PREDICTIONS, seed=1):
    return PretrainingTask(BertConfig.from_json_file(config), length, predictions, seed)


def records(path: Path = RECORDS, of: PretrainingTask | None = None) -> RecordSource:
    """The small records as a source."""
    return open_records(str(path), *(of or task()).schema())


def train(directory: Path, config: Path = CONFIG, **changes: Any) -> list[dict[str, float]]:
    """Trains in this process; the rows of the metrics file."""
    source = records(Path(changes.pop("input_file", RECORDS)), task(config))
    chosen = options(directory, **changes)
    with started(chosen.runtime) as running:
        loop.train(task(config), running, chosen, source)
    return read_metrics(directory / METRICS_FILE)


def evaluate(directory: Path, config: Path = CONFIG, **changes: Any) -> dict[str, Any]:
    source = records(Path(changes.pop("input_file", RECORDS)), task(config))
    chosen = options(directory, **changes)
    with started(chosen.runtime) as running:
        return evaluation.evaluate(task(config), running, chosen, source)


def tensors(prefix: str | Path) -> dict[str, np.ndarray]:
    """All tensors of a checkpoint."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def assert_same_bits(expected: str | Path, actual: str | Path) -> None:
    """Both checkpoints hold the same names and, bit for bit, the same values."""
    left, right = tensors(expected), tensors(actual)
    assert left.keys() == right.keys()
    different = [
        name
        for name in left
        if np.asarray(left[name]).tobytes() != np.asarray(right[name]).tobytes()
    ]
    assert not different, f"{len(different)} of {len(left)} tensors differ: {different[:5]}"


def batch(size: int = 4, length: int = 12, predictions: int = 3, vocab: int = 484, seed: int = 0):
    """A random batch with masks, of the inputs of a pretrainer."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(length // 2, length + 1, [size, 1])
    mask = (np.arange(length) < lengths).astype("int32")
    return {
        "input_word_ids": (draw.integers(5, vocab, [size, length]) * mask).astype("int32"),
        "input_mask": mask,
        "input_type_ids": (draw.integers(0, 2, [size, length]) * mask).astype("int32"),
        "masked_lm_positions": draw.integers(0, length // 2, [size, predictions]).astype("int32"),
    }
