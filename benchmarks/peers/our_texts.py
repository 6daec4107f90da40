"""bert_tf: the trainer and the predictor of run_classifier, on examples grouped by length."""

# ruff: noqa: E402
import tempfile
from pathlib import Path

from bert_tf.memory import keep_freed_memory

keep_freed_memory()  # before TensorFlow is imported, as the commands do

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers import tensorflow_setup
from benchmarks.peers.protocol import Case, Contender, serve
from benchmarks.peers.text_batches import PREDICT, PREDICT_BATCH, SEED, TextBatches
from bert_tf.config import named_config
from bert_tf.inputs.batches import TableSource
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.packing import SEQUENCES
from bert_tf.tasks.classification import ClassificationTask
from bert_tf.training import reports, runtime
from bert_tf.training.evaluation import Predictor
from bert_tf.training.loop import Trainer
from bert_tf.training.options import TrainingOptions
from bert_tf.training.state import State

MATRIX_SIZE = 2048


def build(case: Case, padded: bool = False) -> Contender:
    """Trainer or predictor; padded, every sequence has the case's length."""
    tensorflow_setup.set_threads(case)
    data = TextBatches.load(case.data)
    columns = {name: getattr(data, name) for name in (*SEQUENCES, "label_ids")}
    table = ExampleTable.build(columns, SEQUENCES)
    task = ClassificationTask(named_config(case.model), case.length, 2, seed=1)
    options = TrainingOptions(
        Path(tempfile.mkdtemp(prefix="bert_tf_benchmark_")),
        train_batch_size=data.training.shape[1],
        num_warmup_steps=0,
        learning_rate=1e-5,
        runtime=runtime.RuntimeOptions(distribution_strategy="one_device", seed=SEED),
    )
    started = runtime.start(options.runtime)
    source = TableSource(table, 0 if padded else started.length_multiple)
    state = State(task, started, options)
    trainer = Trainer(task, state, state.prepare_training(source), source)
    predictor = Predictor(task, state)

    def train(count: int) -> float:
        return trainer.train(tf.constant(count))["loss"]

    def predict(count: int) -> float:
        logits = np.zeros(1)
        for _ in range(count):
            silent = reports.Progress("predict", None, visible=False)
            logits = np.asarray(predictor.run(source, PREDICT_BATCH, silent)["logits"])
        return float(np.abs(logits).mean())

    return Contender(
        steps=predict if case.work == PREDICT else train,
        matrix_product=tensorflow_setup.matrix_product(case, MATRIX_SIZE),
        matrix_flops=2.0 * MATRIX_SIZE**3,
        versions=f"tensorflow {tf.__version__}, keras {keras.__version__}",
    )


if __name__ == "__main__":
    serve(build)
