"""Training and evaluation under Orbit's Controller; the only place that calls `strategy.run`.

A run starts in one of three ways, tried in this order:

1. `output_dir` holds checkpoints: everything is resumed from the newest one that is whole.
2. `init_checkpoint` is given: weights come from there; slots and step start at zero.
3. Otherwise: weights are drawn from the seed.

Resuming is exact. Weights, slots and step are restored; the order of the data and the dropout
masks are functions of the seed and the step, so there is no other state.
"""

import contextlib
import io
import json
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orbit
import tensorflow as tf

from bert_tf.conversion import tf1
from bert_tf.conversion.weight_map import named_variables
from bert_tf.inputs import datasets
from bert_tf.modeling.dropout import keep_all
from bert_tf.optimization import Optimizer, Schedule, global_norm
from bert_tf.tasks.task import Batch, Sums, Task
from bert_tf.training import reports
from bert_tf.training.checkpoints import CheckpointStore
from bert_tf.training.loss_scale import SMALLEST_SCALE, LossScale
from bert_tf.training.options import TrainingOptions
from bert_tf.training.runtime import Runtime
from bert_tf.training.step import accumulate, fold_seed, gradient_function

FINGERPRINT = "bert_tf/run"
_SECONDS_PER_LOOP = 1.0  # how often the progress line moves
_STEPS_PER_LOOP_OF_WORKERS = 10  # workers must agree, and their clocks do not
_NO_STEP = -1


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, why, and what to try."""


class Terminated(SystemExit):
    """SIGTERM arrived; the state has been saved. Exit status 143, as the shell's convention."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class State:
    """Everything that training changes, and its checkpoints.

    Args:
        task: The task.
        runtime: The started runtime.
        options: The run's options.
    """

    def __init__(self, task: Task, runtime: Runtime, options: TrainingOptions) -> None:
        self.runtime, self.options = runtime, options
        options.check_replicas(runtime.replicas)
        schedule = Schedule(
            options.learning_rate, options.num_train_steps, options.num_warmup_steps
        )
        with runtime.strategy.scope():
            self.model = task.build_model()
            self.weights = named_variables(self.model)
            self.step = orbit.utils.create_global_step()
        self.schedule = schedule
        self.optimizer: Optimizer | None = None
        self.loss_scale = LossScale(active=False)
        self.store = CheckpointStore(options.output_dir, options.keep_checkpoint_max)

    def prepare_training(self) -> None:
        """Creates what only training needs: optimizer slots and the loss scale."""
        with self.runtime.strategy.scope():
            variables = {name: variable.value for name, variable in self.weights.items()}
            self.optimizer = Optimizer(variables, self.options.optimizer, self.schedule)
            self.loss_scale = LossScale(self.runtime.options.precision == "float16")

    def tensors(self) -> dict[str, Any]:
        """Checkpoint name to variable, of all that is saved and restored."""
        slots = self.optimizer.slots if self.optimizer else {}
        weights = {name: variable.value for name, variable in self.weights.items()}
        return {**weights, **slots, **self.loss_scale.state, tf1.GLOBAL_STEP: self.step}

    def fingerprint(self) -> dict[str, Any]:
        """What must not change for a resumed run to be bit-identical."""
        options, runtime = self.options, self.runtime
        return {
            "seed": runtime.options.seed,
            "precision": runtime.options.precision,
            "jit_compile": runtime.jit_compile,
            "replicas": runtime.replicas,
            "train_batch_size": options.train_batch_size,
            "gradient_accumulation_steps": options.gradient_accumulation_steps,
            "optimizer": options.optimizer,
            "learning_rate": options.learning_rate,
            "num_train_steps": options.num_train_steps,
            "num_warmup_steps": options.num_warmup_steps,
            "shuffle": options.shuffle,
        }

    def save(self) -> None:
        """Saves a checkpoint of the current step, on the chief only."""
        if not self.runtime.is_chief:
            return
        tensors = {name: tf.convert_to_tensor(value) for name, value in self.tensors().items()}
        tensors[FINGERPRINT] = tf.constant(json.dumps(self.fingerprint(), sort_keys=True))
        self.store.save(int(self.step.numpy()), tensors)

    def restore(self) -> str:
        """Starts the run in one of the three ways; returns a line that says which."""
        if self.runtime.is_chief:
            self.store.clean()
        tensors = self.tensors()
        found = self.store.latest(tensors)
        if found:
            step, values = found
            self._assign(tensors, values, self.store.prefix(step))
            return f"resumed from {self.store.prefix(step)}{self._differences(values)}"
        if self.options.init_checkpoint:
            return f"started from {tf1.load_weights(self.model, self.options.init_checkpoint)}"
        return f"started from weights drawn with seed {self.runtime.options.seed}"

    def _assign(
        self, tensors: Mapping[str, Any], values: Mapping[str, np.ndarray], path: str
    ) -> None:
        wrong = [name for name in tensors if tuple(tensors[name].shape) != values[name].shape]
        if wrong:
            name = wrong[0]
            raise tf1.CheckpointError(
                f"The config does not fit the checkpoint {path}: {name} is "
                f"{list(values[name].shape)} in the checkpoint and {list(tensors[name].shape)} in "
                "the model. Use the config that the run was started with, or another --output_dir."
            )
        with self.runtime.strategy.scope():
            for name, variable in tensors.items():
                variable.assign(tf.cast(values[name], variable.dtype))

    def _differences(self, values: Mapping[str, np.ndarray]) -> str:
        if FINGERPRINT not in values:
            return " (written by another program)"
        before = json.loads(values[FINGERPRINT].item())
        changed = [
            f"{name} {before.get(name)} -> {value}"
            for name, value in self.fingerprint().items()
            if before.get(name) != value
        ]
        return f"; not bit-identical, since changed: {', '.join(changed)}" if changed else ""


class Trainer(orbit.AbstractTrainer):
    """Orbit's inner loop: a number of training steps inside one tf.function.

    Args:
        task: The task.
        state: The run's state, restored.
        source: The records.
    """

    def __init__(self, task: Task, state: State, source: datasets.RecordSource) -> None:
        self.task, self.state = task, state
        strategy, options = state.runtime.strategy, state.options
        batches = datasets.training_batches(
            source,
            options.train_batch_size,
            shuffle=options.shuffle,
            seed=state.runtime.options.seed,
            first_batch=int(state.step.numpy()),
        )
        distributed = strategy.distribute_datasets_from_function(
            lambda context: datasets.share_of_worker(batches, source, context)
        )
        self._iterator = iter(distributed)
        self._sum_names = ("loss", *task.sum_names)
        self._compute = gradient_function(
            task,
            state.model,
            list(state.weights.values()),
            jit_compile=state.runtime.jit_compile,
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
                f"The loss of step {first_bad} is not a finite number; nothing was saved after it. "
                "Try a lower --learning_rate, more --num_warmup_steps, or --precision=float32; "
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
            parts, fine = strategy.run(self._replica_step, args=(next(iterator),))
            added = strategy.reduce("SUM", parts, axis=None)
            fine = strategy.reduce("MEAN", fine, axis=None)
            sums = {name: sums[name] + added[name] for name in self._sum_names}
            bad = (fine < 1.0) & (first_bad == _NO_STEP)
            first_bad = tf.where(bad, tf.cast(step, tf.int64), first_bad)
            step.assign_add(1)
        return first_bad, sums

    def _replica_step(self, batch: Batch) -> tuple[Sums, tf.Tensor]:
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
            _summed(context, self.task.totals(batch)),
            lambda micro_batch: tf.random.fold_in(step_seed, micro_batch),
            scale,
            accumulation,
            self._sum_names,
        )
        # Summed first, clipped after: the norm is that of the global batch's gradient.
        gradients = context.all_reduce("SUM", gradients)
        return sums, self._update(gradients, sums["loss"], scale, step)

    def _update(
        self, gradients: list[tf.Tensor], loss: tf.Tensor, scale: tf.Tensor, step: tf.Tensor
    ) -> tf.Tensor:
        """Applies the gradients; returns 1.0, or 0.0 where training must stop."""
        loss_scale, optimizer = self.state.loss_scale, self.state.optimizer
        assert optimizer is not None  # `train` has prepared it.
        if not loss_scale.active:
            optimizer.apply(gradients, step)
            return tf.cast(tf.math.is_finite(loss), tf.float32)
        finite = tf.math.is_finite(global_norm(gradients))
        unscaled = [gradient / scale for gradient in gradients]
        tf.cond(finite, lambda: _and_nothing(optimizer.apply(unscaled, step)), _and_nothing)
        loss_scale.update(finite)
        # An overflow is no failure as long as the scale can still shrink.
        return tf.cast(finite | (scale > SMALLEST_SCALE), tf.float32)


class Evaluator(orbit.AbstractEvaluator):
    """Orbit's evaluation: every example once.

    Args:
        task: The task.
        state: The run's state, restored.
        source: The records.
        progress: Moves on with every batch.
    """

    def __init__(
        self,
        task: Task,
        state: State,
        source: datasets.RecordSource,
        progress: reports.Progress,
        batches: tf.data.Dataset,
    ) -> None:
        self.task, self.state, self._progress = task, state, progress
        strategy = state.runtime.strategy
        distributed = strategy.distribute_datasets_from_function(
            lambda context: datasets.share_of_worker(batches, source, context)
        )
        self._iterator = iter(distributed)

    def evaluate(self, num_steps: tf.Tensor) -> dict[str, float]:
        """Evaluates `num_steps` batches; returns the task's metrics and the mean batch loss."""
        totals: dict[str, float] = {}
        for _ in range(int(num_steps)):
            sums = self._batch(next(self._iterator))
            for name, value in sums.items():
                totals[name] = totals.get(name, 0.0) + float(value)
            self._progress.update(1)
        return {"loss": totals["loss"] / int(num_steps), **self.task.metrics(totals)}

    @tf.function
    def _batch(self, batch: Batch) -> Sums:
        strategy = self.state.runtime.strategy
        return strategy.reduce("SUM", strategy.run(self._replica_batch, args=(batch,)), axis=None)

    def _replica_batch(self, batch: Batch) -> Sums:
        totals = _summed(tf.distribute.get_replica_context(), self.task.totals(batch))
        loss, sums = self.task.loss(self.state.model, batch, totals, keep_all)
        return {"loss": loss, **sums}


def _summed(context: tf.distribute.ReplicaContext, totals: Sums) -> Sums:
    names = list(totals)
    summed = context.all_reduce("SUM", [totals[name] for name in names])
    return dict(zip(names, summed, strict=True))


def _and_nothing(*_: Any) -> tf.Tensor:
    return tf.constant(0)


def train(task: Task, runtime: Runtime, options: TrainingOptions) -> None:
    """Trains up to `num_train_steps`, saving and reporting on the way.

    Raises:
        TrainingError: If a loss is not finite.
        RecordError: If the records do not fit the task.
        CheckpointError: If a checkpoint does not fit the model.
        Terminated: After SIGTERM, with everything saved.
    """
    source = datasets.open_records(options.input_file, *task.schema())
    options.output_dir.mkdir(parents=True, exist_ok=True)
    state = State(task, runtime, options)
    state.prepare_training()
    start = state.restore()
    done = int(state.step.numpy())
    if runtime.is_chief:
        print(f"Training on {runtime.describe()}: {source.size} records, {start}.", flush=True)
    if done >= options.num_train_steps:
        print(f"All {options.num_train_steps} steps are done already.", flush=True)
        return
    watch = _Watch(state, done)
    controller = orbit.Controller(
        global_step=state.step,
        strategy=runtime.strategy,
        trainer=Trainer(task, state, source),
        train_actions=[watch.after_loop],
        steps_per_loop=watch.steps_per_loop,
        summary_dir=str(options.output_dir) if runtime.is_chief else None,
    )
    with _stop_on_sigterm(watch), _explain(source), watch:
        _quietly(controller.train, options.num_train_steps)
    if runtime.is_chief:
        picture = reports.draw_curves(options.output_dir)
        saved = state.store.prefix(int(state.step.numpy()))
        print(f"Trained. Checkpoint: {saved}. Curves: {picture}.", flush=True)


def evaluate(task: Task, runtime: Runtime, options: TrainingOptions) -> dict[str, Any]:
    """Evaluates the newest checkpoint of `output_dir`, or else `init_checkpoint`.

    Returns:
        The metrics, which are also written to `eval_results.txt`.

    Raises:
        ValueError: If there is nothing to evaluate.
        RecordError, CheckpointError: As `train`.
    """
    source = datasets.open_records(options.input_file, *task.schema())
    state = State(task, runtime, options)
    if not state.store.steps() and not options.init_checkpoint:
        raise ValueError(
            f"There is nothing to evaluate: --output_dir={options.output_dir} holds no checkpoint "
            "and no --init_checkpoint is given."
        )
    options.output_dir.mkdir(parents=True, exist_ok=True)
    start = state.restore()
    size = options.eval_batch_size
    batches, count = datasets.evaluation_batches(source, size, options.max_eval_steps)
    seen = min(count * size, source.size)
    if runtime.is_chief:
        print(f"Evaluating {seen} of {source.size} records, {start}.", flush=True)
    progress = reports.Progress("evaluate", count, visible=runtime.is_chief)
    controller = orbit.Controller(
        global_step=state.step,
        strategy=runtime.strategy,
        evaluator=Evaluator(task, state, source, progress, batches),
        eval_summary_dir=str(options.output_dir / "eval") if runtime.is_chief else None,
    )
    with _explain(source), contextlib.closing(progress):
        results = _quietly(controller.evaluate, count)
    results.pop("steps_per_second", None)
    results = {name: str(np.float32(value)) for name, value in results.items()}
    results[tf1.GLOBAL_STEP] = int(state.step.numpy())
    if runtime.is_chief:
        path = reports.write_eval_results(options.output_dir, results)
        print(path.read_text(encoding="utf-8"), end="", flush=True)
    return results


class _Watch:
    """Looks after a run between inner loops: pace, progress, checkpoints, signals."""

    def __init__(self, state: State, done: int) -> None:
        self.terminated = False
        self._state = state
        options, chief = state.options, state.runtime.is_chief
        self._progress = reports.Progress("train", options.num_train_steps, done, chief)
        self._log = reports.MetricsLog(options.output_dir, done) if chief else None
        self._pace = 1
        self._last = (done, time.perf_counter())

    def __enter__(self) -> "_Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.close()

    def steps_per_loop(self, step: int) -> int:
        """Steps until the next look: about a second's worth, never past a checkpoint."""
        options = self._state.options
        every = options.save_checkpoints_steps
        return int(min(self._pace, options.iterations_per_loop, every - step % every))

    def after_loop(self, metrics: Mapping[str, float]) -> None:
        """Reports, saves if it is time, and stops if SIGTERM has come."""
        state, options = self._state, self._state.options
        step, now = int(state.step.numpy()), time.perf_counter()
        steps = step - self._last[0]
        self._set_pace(steps / (now - self._last[1]))
        self._last = (step, now)
        self._progress.update(steps, metrics)
        if self._log:
            self._log.append(step, metrics)
        at_end = step >= options.num_train_steps
        if self.terminated or at_end or step % options.save_checkpoints_steps == 0:
            state.save()
        if self.terminated and not at_end:
            self._progress.close()
            print(f"SIGTERM: saved step {step}; the same command resumes.", flush=True)
            raise Terminated

    def _set_pace(self, steps_per_second: float) -> None:
        name = self._state.runtime.name
        if name == "tpu":
            self._pace = self._state.options.iterations_per_loop
        elif name == "multi_worker_mirrored":
            self._pace = _STEPS_PER_LOOP_OF_WORKERS
        else:
            self._pace = max(1, round(steps_per_second * _SECONDS_PER_LOOP))


@contextlib.contextmanager
def _stop_on_sigterm(watch: _Watch) -> Iterator[None]:
    def stop(*_: object) -> None:
        watch.terminated = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _explain(source: datasets.RecordSource) -> Iterator[None]:
    """Turns a failure of the pipeline into the record that caused it, if one did."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        fault = datasets.find_fault(source)
        if fault is None:
            raise
        raise fault from error


def _quietly(function: Any, *arguments: Any) -> Any:
    """Calls without Orbit's own lines on standard output, which the progress line replaces."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)


