"""Training under Orbit's Controller: the inner loop of steps, and what starts and ends it."""

import contextlib
import time
from collections.abc import Callable, Iterator

import orbit
import tensorflow as tf

from bert_tf.inputs.source import Source
from bert_tf.optimization import Optimizer, global_norm
from bert_tf.tasks.task import Batch, Sums, Task
from bert_tf.training import reports
from bert_tf.training.loss_scale import SMALLEST_SCALE
from bert_tf.training.options import TrainingOptions
from bert_tf.training.replicas import TrainingError, explain, first, quietly, summed
from bert_tf.training.runtime import Runtime
from bert_tf.training.state import State
from bert_tf.training.step import accumulate, fold_seed, gradient_function
from bert_tf.training.watch import Evaluation, StoppedEarly, Watch, stop_on_sigterm

_NO_STEP = -1
_FAULTS = "faults"  # replicas on which a number is not finite


class Trainer(orbit.AbstractTrainer):
    """Orbit's inner loop: a number of training steps inside one tf.function.

    Args:
        task: The task.
        state: The run's state, restored.
        optimizer: From `state.prepare_training`.
        source: The examples.
    """

    def __init__(self, task: Task, state: State, optimizer: Optimizer, source: Source) -> None:
        self.task, self.state, self._optimizer = task, state, optimizer
        options = state.options
        done = int(state.step.numpy())
        self._iterator = state.runtime.iterate(
            lambda context: source.training(
                options.train_batch_size,
                shuffle=options.shuffle,
                seed=state.runtime.options.seed,
                first_batch=done,
                context=context,
            )
        )
        self._sum_names = ("loss", *task.sum_names)
        self._compute = gradient_function(
            task,
            state.model,
            list(state.weights.values()),
            trained=state.trained,
            jit_compile=state.runtime.jit_compile,
            compile_chains=state.runtime.compile_chains,
        )

    def train(self, num_steps: tf.Tensor) -> dict[str, float]:
        """Runs steps; returns metrics averaged over them.

        Raises:
            TrainingError: If a loss is not finite.
        """
        started = time.perf_counter()
        first_bad, sums = self._steps(self._iterator, num_steps)
        first_bad = int(first_bad)
        if first_bad != _NO_STEP:
            raise TrainingError(
                f"The loss or gradient of step {first_bad} is not finite; nothing was saved after "
                "it. Try a lower --learning_rate, more --num_warmup_steps, or --precision=float32; "
                "the last checkpoint is whole and the next start resumes from it."
            )
        count = int(num_steps)
        values = {name: float(value) for name, value in sums.items()}
        elapsed = time.perf_counter() - started
        rate = float(self.state.schedule(self.state.step))  # of the last update
        return {
            "loss": values["loss"] / count,
            **self.task.metrics(values),
            "learning_rate": rate,
            "sequences_per_second": count * self.state.options.train_batch_size / elapsed,
        }

    @tf.function
    def _steps(self, iterator: Iterator[Batch], num_steps: tf.Tensor) -> tuple[tf.Tensor, Sums]:
        strategy, step = self.state.runtime.strategy, self.state.step
        sums = {name: tf.zeros([]) for name in self._sum_names}
        first_bad = tf.constant(_NO_STEP, tf.int64)
        for _ in tf.range(num_steps):
            added = first(strategy, strategy.run(self._replica_step, args=(next(iterator),)))
            sums = {name: sums[name] + added[name] for name in self._sum_names}
            bad = (added[_FAULTS] > 0.0) & (first_bad == _NO_STEP)
            first_bad = tf.where(bad, tf.cast(step, tf.int64), first_bad)
            step.assign_add(1)
        return first_bad, sums

    # Nothing below looks at a tensor's value in Python; AutoGraph takes seconds to rewrite all of
    # it, the model included.
    @tf.autograph.experimental.do_not_convert
    def _replica_step(self, batch: Batch) -> Sums:
        state, context = self.state, tf.distribute.get_replica_context()
        accumulation = state.options.gradient_accumulation_steps
        step = tf.convert_to_tensor(state.step)
        replica = tf.cast(context.replica_id_in_sync_group, tf.int32)
        step_seed = fold_seed(state.runtime.options.seed, step, replica)
        scale = state.loss_scale.value
        gradients, sums = accumulate(
            self._compute,
            [tf.convert_to_tensor(variable.value) for variable in state.weights.values()],
            batch,
            summed(context, self.task.totals(batch)),
            lambda micro_batch: tf.random.fold_in(step_seed, micro_batch),
            scale,
            accumulation,
            self._sum_names,
            state.trained,
        )
        # Summed first, clipped after: the norm is that of the global batch's gradient.
        gradients = context.all_reduce("SUM", gradients)
        faults = self._update(gradients, sums["loss"], scale, step)
        return summed(context, {**sums, _FAULTS: faults})

    def _update(
        self, gradients: list[tf.Tensor], loss: tf.Tensor, scale: tf.Tensor, step: tf.Tensor
    ) -> tf.Tensor:
        """Applies the gradients; returns 0.0, or 1.0 where training must stop."""
        loss_scale, optimizer = self.state.loss_scale, self._optimizer
        if not loss_scale.active:
            norm = optimizer.apply(gradients, step)
            # A bad gradient under a good loss would reach the next checkpoint otherwise.
            fine = tf.math.is_finite(loss) & tf.math.is_finite(norm)
            return tf.cast(~fine, tf.float32)
        finite = tf.math.is_finite(global_norm(gradients))
        unscaled = [gradient / scale for gradient in gradients]

        def apply() -> tf.Tensor:
            optimizer.apply(unscaled, step)
            return tf.constant(True)

        tf.cond(finite, apply, lambda: tf.constant(False))
        loss_scale.update(finite)
        # An overflow is no failure as long as the scale can still shrink.
        return tf.cast(~(finite | (scale > SMALLEST_SCALE)), tf.float32)


def train(
    task: Task,
    runtime: Runtime,
    options: TrainingOptions,
    source: Source,
    evaluation: Callable[[State], Evaluation] | None = None,
) -> None:
    """Trains up to the end of the options, saving and reporting on the way.

    Args:
        task: The task.
        runtime: The started runtime.
        options: The run's options.
        source: The examples.
        evaluation: Makes what evaluates every `eval_every` steps, and may end the training.

    Raises:
        TrainingError: If a loss is not finite.
        RecordError: If the records do not fit the task.
        CheckpointError: If a checkpoint does not fit the model.
        RuntimeError: If another run trains in `output_dir`.
        ValueError: If batches do not divide, or workers do not share `output_dir`.
        watch.Terminated: After SIGTERM, with everything saved.
    """
    options.check_training(runtime.replicas)
    reports.make_directory(options.output_dir)
    state = State(task, runtime, options)
    with state.store.locked() if runtime.is_chief else contextlib.nullcontext():
        _train(task, state, source, evaluation)


def _train(
    task: Task,
    state: State,
    source: Source,
    evaluation: Callable[[State], Evaluation] | None,
) -> None:
    runtime, options = state.runtime, state.options
    optimizer = state.prepare_training(source, task.unread)
    start = state.restore()
    if runtime.name == "multi_worker_mirrored":
        _check_agreement(state)
    done = int(state.step.numpy())
    if runtime.is_chief:
        reports.say(f"Training on {runtime.describe()}: {source.size} records, {start}.")
    if done >= options.end:
        if runtime.is_chief:
            reports.say(f"All {options.end} steps are done already.")
        return
    watch = Watch(state, done, evaluation(state) if evaluation else None)
    controller = orbit.Controller(
        global_step=state.step,
        strategy=runtime.strategy,
        trainer=Trainer(task, state, optimizer, source),
        train_actions=[watch.after_loop],
        steps_per_loop=watch.steps_per_loop,
        summary_dir=str(options.output_dir) if runtime.is_chief else None,
    )
    with stop_on_sigterm(watch), explain(source), watch, contextlib.suppress(StoppedEarly):
        quietly(controller.train, options.end)
    if runtime.is_chief:
        picture = reports.draw_curves(options.output_dir)
        saved = state.store.prefix(int(state.step.numpy()))
        curves = f" Curves: {picture}." if picture else ""
        reports.say(f"Trained. Checkpoint: {saved}.{curves}")


def _check_agreement(state: State) -> None:
    """Raises ValueError on every worker unless all have restored the same step."""
    strategy = state.runtime.strategy

    def distance() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        own = tf.cast(tf.convert_to_tensor(state.step), tf.float64)
        mean = context.all_reduce("SUM", own) / strategy.num_replicas_in_sync
        return context.all_reduce("SUM", tf.abs(own - mean))  # 0 only if all are the same

    found = tf.function(lambda: strategy.run(distance))()
    if float(strategy.experimental_local_results(found)[0]) > 0.0:
        raise ValueError(
            "--output_dir must be one directory that all workers share, but the workers found "
            f"different checkpoints there; the one of {state.options.output_dir} on this worker "
            f"is of step {int(state.step.numpy())}. Mount one directory on all of them, or copy "
            "the newest checkpoint to each."
        )
