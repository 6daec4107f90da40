"""Evaluation and prediction: every example once, under the strategy of the run."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orbit
import tensorflow as tf

from bert_tf.conversion import tf1
from bert_tf.inputs.batches import TableSource
from bert_tf.inputs.examples import evaluation_order
from bert_tf.inputs.source import EXAMPLE_WEIGHT, Source
from bert_tf.tasks.job import Outputs
from bert_tf.tasks.task import Batch, Predictable, Sums, Task
from bert_tf.training import reports
from bert_tf.training.options import TrainingOptions
from bert_tf.training.replicas import explain, first, quietly, summed
from bert_tf.training.runtime import Runtime
from bert_tf.training.state import State


def _on_next(state: State, function: Callable[[Batch], Sums], iterator: Iterator[Batch]) -> Sums:
    """What every replica makes of the next batch, taken in the caller's `tf.function`.

    Outside of it, every length of a batch would be traced anew.
    """
    strategy = state.runtime.strategy
    return first(strategy, strategy.run(function, args=(next(iterator),)))


class Evaluator(orbit.AbstractEvaluator):
    """Orbit's evaluation by sums.

    Args:
        task: The task.
        state: The run's state, restored.
        source: The examples.
        progress: Moves on with every batch.
        max_batches: Most batches to evaluate; None for all.
    """

    def __init__(
        self,
        task: Task,
        state: State,
        source: Source,
        progress: reports.Progress,
        max_batches: int | None,
    ) -> None:
        self.task, self.state, self._progress = task, state, progress
        size = state.options.eval_batch_size
        self._iterator = state.runtime.iterate(
            lambda context: source.evaluation(size, max_batches, context)
        )

    def evaluate(self, num_steps: tf.Tensor) -> dict[str, float]:
        """Evaluates `num_steps` batches; returns the task's metrics and the mean batch loss."""
        totals: dict[str, float] = {}
        for _ in range(int(num_steps)):
            sums = self._batch(self._iterator)
            for name, value in sums.items():
                totals[name] = totals.get(name, 0.0) + float(value)
            self._progress.update(1)
        return {"loss": totals["loss"] / int(num_steps), **self.task.metrics(totals)}

    @tf.function(autograph=False)
    def _batch(self, iterator: Iterator[Batch]) -> Sums:
        return _on_next(self.state, self._replica_batch, iterator)

    def _replica_batch(self, batch: Batch) -> Sums:
        context = tf.distribute.get_replica_context()
        totals = summed(context, self.task.totals(batch))
        loss, sums = self.task.loss(self.state.model, batch, totals, None)
        return summed(context, {"loss": loss, **sums})


def evaluate(
    task: Task, runtime: Runtime, options: TrainingOptions, source: Source
) -> dict[str, Any]:
    """Evaluates the newest checkpoint of `output_dir`, or else `init_checkpoint`.

    Returns:
        The metrics, which are also written to `eval_results.txt`.

    Raises:
        ValueError: If there is nothing to evaluate, or batches do not divide.
        RecordError: If a record does not fit the task.
        CheckpointError: If a checkpoint does not fit the model.
    """
    options.check_evaluation(runtime.replicas)
    state = State(task, runtime, options)
    state.check_something_to_restore()
    reports.make_directory(options.output_dir)
    start = state.restore()
    size = options.eval_batch_size
    count = source.evaluation_batches(size, options.max_eval_steps)
    seen = min(count * size, source.size)
    if runtime.is_chief:
        reports.say(f"Evaluating {seen} of {source.size} records, {start}.")
    progress = reports.Progress("evaluate", count, visible=runtime.is_chief)
    controller = orbit.Controller(
        global_step=state.step,
        strategy=runtime.strategy,
        evaluator=Evaluator(task, state, source, progress, count),
        eval_summary_dir=str(options.output_dir / "eval") if runtime.is_chief else None,
    )
    with explain(source), contextlib.closing(progress):
        results = quietly(controller.evaluate, count)
    results.pop("steps_per_second", None)
    results = {name: str(np.float32(value)) for name, value in results.items()}
    results[tf1.GLOBAL_STEP] = int(state.step.numpy())
    if runtime.is_chief:
        path = reports.write_eval_results(options.output_dir, results)
        reports.say(path.read_text(encoding="utf-8").rstrip())
    return results


class Predictor:
    """A task's outputs for every example of a table, in the table's order.

    Args:
        task: The task.
        state: The run's state, restored; training may go on with it in between.
    """

    def __init__(self, task: Predictable, state: State) -> None:
        self.task, self.state = task, state

    def run(self, source: TableSource, batch_size: int, progress: reports.Progress) -> Outputs:
        """Predicts all examples.

        Args:
            source: The examples.
            batch_size: Examples of a batch, over all replicas.
            progress: Moves on with every example.

        Returns:
            See `tasks.job.Outputs`.
        """
        iterator = self.state.runtime.iterate(
            lambda context: source.evaluation(batch_size, None, context)
        )
        order = evaluation_order(source.table)
        gathered: dict[str, list[np.ndarray]] = {}
        with explain(source):
            for number in range(source.evaluation_batches(batch_size, None)):
                outputs = self._batch(iterator)
                real = min(batch_size, source.size - number * batch_size)
                for name, values in outputs.items():
                    rows = gathered.setdefault(name, [])
                    rows.extend(values.numpy()[:real])
                progress.update(real)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        lengths = source.table.lengths
        outputs_in_order: Outputs = {}
        for name, rows in gathered.items():
            if name in self.task.token_outputs:
                outputs_in_order[name] = [rows[at][: lengths[i]] for i, at in enumerate(place)]
            else:
                outputs_in_order[name] = np.stack(rows)[place]
        return outputs_in_order

    @tf.function(autograph=False)
    def _batch(self, iterator: Iterator[Batch]) -> Sums:
        return _on_next(self.state, self._replica_batch, iterator)

    def _replica_batch(self, batch: Batch) -> Sums:
        context = tf.distribute.get_replica_context()
        inputs = {name: values for name, values in batch.items() if name != EXAMPLE_WEIGHT}
        outputs = self.task.predict(self.state.model, inputs)
        if context.num_replicas_in_sync == 1:
            return outputs
        return {name: context.all_gather(values, axis=0) for name, values in outputs.items()}
