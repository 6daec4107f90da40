"""bert_tf: the trainer that `run_pretraining` runs, reading records from a file."""

# ruff: noqa: E402
import tempfile
from pathlib import Path

from bert_tf.memory import keep_freed_memory

keep_freed_memory()  # before TensorFlow is imported, as the commands do

import keras
import tensorflow as tf

from benchmarks.peers import tensorflow_setup
from benchmarks.peers.batches import PREDICTIONS, pretraining_batches
from benchmarks.peers.protocol import Case, Contender, serve
from bert_tf.config import named_config
from bert_tf.inputs import datasets
from bert_tf.inputs.record_files import RecordWriter
from bert_tf.tasks.pretraining import PretrainingTask
from bert_tf.training import runtime
from bert_tf.training.loop import Trainer
from bert_tf.training.options import TrainingOptions
from bert_tf.training.state import State

MATRIX_SIZE = 2048


def build(case: Case) -> Contender:
    """The trainer, its state and its input."""
    tensorflow_setup.set_threads(case)
    folder = Path(tempfile.mkdtemp(prefix="bert_tf_benchmark_"))
    config = named_config(case.model)
    task = PretrainingTask(config, case.length, min(PREDICTIONS, case.length - 2), seed=1)
    options = TrainingOptions(
        output_dir=folder / "out",
        train_batch_size=case.batch_size,
        learning_rate=1e-4,
        num_warmup_steps=100,
        shuffle=False,
        runtime=runtime.RuntimeOptions(precision=case.precision),
    )
    records = folder / "records.tfrecord"
    schema, limits = task.schema()
    with RecordWriter(records) as writer:
        for batch in pretraining_batches(config, case.batch_size, case.length):
            for record in schema.encode_rows(batch):
                writer.write(record)
    state = State(task, runtime.start(options.runtime), options)
    optimizer = state.prepare_training()
    source = datasets.open_records(str(records), schema, limits)
    trainer = Trainer(task, state, optimizer, source)
    return Contender(
        steps=lambda count: trainer.train(tf.constant(count))["loss"],
        matrix_product=tensorflow_setup.matrix_product(case, MATRIX_SIZE),
        matrix_flops=2.0 * MATRIX_SIZE**3,
        versions=f"tensorflow {tf.__version__}, keras {keras.__version__}",
    )


if __name__ == "__main__":
    serve(build)
