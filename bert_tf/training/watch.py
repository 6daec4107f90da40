"""What happens between the inner loops of training: pace, progress, checkpoints, signals."""

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping

from bert_tf.training import reports
from bert_tf.training.state import State

SECONDS_PER_LOOP = 1.0  # how often the progress line moves
STEPS_PER_LOOP_OF_WORKERS = 10  # workers must agree, and their clocks do not


class Terminated(SystemExit):
    """SIGTERM arrived; the state has been saved. Exit status 143, as the shell's convention."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class Watch:
    """Looks after a run between inner loops: pace, progress, checkpoints, signals."""

    def __init__(self, state: State, done: int) -> None:
        self.terminated = False
        self._state = state
        options, chief = state.options, state.runtime.is_chief
        self._progress = reports.Progress("train", options.num_train_steps, done, chief)
        self._log = reports.MetricsLog(options.output_dir, done) if chief else None
        self._pace = 1
        self._last = (done, time.perf_counter())

    def __enter__(self) -> "Watch":
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
        if self.terminated:
            self._progress.close()
            if state.runtime.is_chief:
                reports.warn(f"SIGTERM: saved step {step}; the same command resumes.")
            raise Terminated

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
