"""What happens between the inner loops of training: pace, progress, checkpoints, signals."""

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Protocol

from bert_tf.training import reports
from bert_tf.training.state import State

SECONDS_PER_LOOP = 1.0  # how often the progress line moves
_NEVER = 1 << 62
STEPS_PER_LOOP_OF_WORKERS = 10  # workers must agree, and their clocks do not


class Terminated(SystemExit):
    """SIGTERM arrived; the state has been saved. Exit status 143, as the shell's convention."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class StoppedEarly(Exception):  # noqa: N818  (not an error)
    """Evaluations get no better; the state has been saved."""


class Evaluation(Protocol):
    """What evaluates during training."""

    def after(self, step: int) -> bool:
        """Evaluates the state as it is after `step` updates; True ends the training."""


class Watch:
    """Looks after a run between inner loops: pace, progress, checkpoints, signals.

    Args:
        state: The run's state.
        done: Updates done before.
        evaluation: Called every `eval_every` steps and at the end.
    """

    def __init__(self, state: State, done: int, evaluation: Evaluation | None = None) -> None:
        self.terminated = False
        self._evaluation = evaluation
        self._state = state
        options, chief = state.options, state.runtime.is_chief
        self._progress = reports.Progress("train", options.num_train_steps, done, chief)
        self._log = reports.MetricsLog(options.output_dir, done) if chief else None
        # As far as no evaluation is wanted, the next one is never.
        self._every = options.eval_every if evaluation and options.eval_every else _NEVER
        self._pace = 1
        self._last = (done, time.perf_counter())

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.close()

    def steps_per_loop(self, step: int) -> int:
        """Steps until the next look: a second's worth, never past a checkpoint or evaluation."""
        options = self._state.options
        stops = [every - step % every for every in (options.save_checkpoints_steps, self._every)]
        return int(min(self._pace, options.iterations_per_loop, *stops))

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
        at_end = step >= options.end
        # Evaluated first: a run that is killed in between evaluates once more, never once less.
        stopped = self._evaluate(step, at_end)
        if self.terminated or at_end or stopped or step % options.save_checkpoints_steps == 0:
            state.save()
        if stopped and not at_end:
            self._progress.close()
            raise StoppedEarly
        if self.terminated:
            self._progress.close()
            if state.runtime.is_chief:
                reports.warn(f"SIGTERM: saved step {step}; the same command resumes.")
            raise Terminated

    def _evaluate(self, step: int, at_end: bool) -> bool:
        if self._evaluation is None or not (at_end or step % self._every == 0):
            return False
        stop = self._evaluation.after(step)
        self._last = (self._last[0], time.perf_counter())  # what it took is no pace of training
        return stop

    def _set_pace(self, steps_per_second: float) -> None:
        name = self._state.runtime.name
        if name == "tpu":
            self._pace = self._state.options.iterations_per_loop
        elif name == "multi_worker_mirrored":
            self._pace = STEPS_PER_LOOP_OF_WORKERS
        else:
            self._pace = max(1, round(steps_per_second * SECONDS_PER_LOOP))


@contextlib.contextmanager
def stop_on_sigterm(watch: Watch) -> Iterator[None]:
    """SIGTERM marks `watch.terminated`; the step under way is finished and saved first."""

    def stop(*_: object) -> None:
        watch.terminated = True

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
