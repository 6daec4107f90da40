"""Between the inner loops: how many steps to the next look, and what SIGTERM does."""

import contextlib
import signal
from types import SimpleNamespace

import pytest
import tensorflow as tf

from bert_tf.training.watch import STEPS_PER_LOOP_OF_WORKERS, Terminated, Watch, stop_on_sigterm
from tests.support import small


@contextlib.contextmanager
def watching(folder, name="one_device", chief=True, done=0, **changes):
    saved = []
    step = tf.Variable(done, dtype=tf.int64)
    state = SimpleNamespace(
        options=small.options(folder, **changes),
        runtime=SimpleNamespace(name=name, is_chief=chief),
        step=step,
        saved=saved,
        save=lambda: saved.append(int(step.numpy())),
    )
    with Watch(state, done) as watch:
        yield watch, state


def test_first_look_comes_after_one_step(tmp_path):
    with watching(tmp_path, iterations_per_loop=100, save_checkpoints_steps=1000) as (watch, _):
        assert watch.steps_per_loop(0) == 1


@pytest.mark.parametrize(
    ("name", "rate", "pace"),
    [
        ("one_device", 7.4, 7),
        ("one_device", 0.1, 1),
        ("mirrored", 1e6, 300),
        ("multi_worker_mirrored", 1e6, STEPS_PER_LOOP_OF_WORKERS),
        ("multi_worker_mirrored", 0.1, STEPS_PER_LOOP_OF_WORKERS),
        ("tpu", 0.1, 300),
    ],
)
def test_pace(tmp_path, name, rate, pace):
    chosen = {"iterations_per_loop": 300, "save_checkpoints_steps": 1000}
    with watching(tmp_path, name, **chosen) as (watch, _):
        watch._set_pace(rate)
        assert watch.steps_per_loop(0) == pace
        assert watch.steps_per_loop(998) == min(pace, 2)  # not past a checkpoint
        assert watch.steps_per_loop(1000) == pace


@pytest.mark.parametrize("step", [3, 10], ids=["midway", "last_loop"])
@pytest.mark.parametrize("chief", [True, False])
def test_sigterm_ends_the_run_after_a_save(tmp_path, capsys, step, chief):
    with watching(tmp_path, chief=chief, num_train_steps=10) as (watch, state):
        with stop_on_sigterm(watch):
            signal.raise_signal(signal.SIGTERM)
        state.step.assign(step)
        with pytest.raises(Terminated) as end:
            watch.after_loop({})
        assert end.value.code == 143
        assert state.saved == [step]
        said = f"SIGTERM: saved step {step}; the same command resumes." in capsys.readouterr().err
        assert said == chief


def test_saves_on_time_and_at_the_end(tmp_path):
    run = {"num_train_steps": 12, "save_checkpoints_steps": 5}
    with watching(tmp_path, **run) as (watch, state):
        for step in range(1, 13):
            state.step.assign(step)
            watch.after_loop({"loss": 1.0})
    assert state.saved == [5, 10, 12]
