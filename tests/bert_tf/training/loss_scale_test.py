"""The loss scale: halves after an overflow, doubles after many good steps, never below one."""

import tensorflow as tf

from bert_tf.training import loss_scale
from bert_tf.training.loss_scale import LossScale


def test_inactive_scale_is_one_and_saves_nothing():
    scale = LossScale(active=False)
    scale.update(tf.constant(False))
    assert float(scale.value) == 1.0
    assert scale.state == {}


def test_halves_and_doubles(monkeypatch):
    monkeypatch.setattr(loss_scale, "GROWTH_STEPS", 3)
    scale = LossScale(active=True)
    seen = []
    for finite in (True, True, False, True, True, True, True):
        scale.update(tf.constant(finite))
        seen.append(float(scale.value) / loss_scale.INITIAL_SCALE)
    # The overflow starts the count of good steps anew.
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.5, 1.0, 1.0]
    assert scale.state.keys() == {"bert_tf/loss_scale", "bert_tf/loss_scale_steps"}


def test_never_below_one():
    scale = LossScale(active=True)
    for _ in range(30):
        scale.update(tf.constant(False))
    assert float(scale.value) == loss_scale.SMALLEST_SCALE == 1.0
