"""Dynamic loss scaling for float16, whose smallest gradients would be rounded to zero."""

import tensorflow as tf

INITIAL_SCALE = 2.0**15
GROWTH_STEPS = 2000
SMALLEST_SCALE = 1.0


class LossScale:
    """A scale that halves after an overflow and doubles after 2,000 steps without one.

    Create it inside `strategy.scope()`.

    Args:
        active: False keeps the scale at 1.0, for precisions that need none.

    Attributes:
        state: Checkpoint name to variable; empty where not active.

    Source: arXiv 1710.03740, section 3.2.
    """

    def __init__(self, active: bool) -> None:
        self.active = active
        self.state: dict[str, tf.Variable] = {}
        if active:
            self.state = {
                "bert_tf/loss_scale": tf.Variable(INITIAL_SCALE, trainable=False),
                "bert_tf/loss_scale_steps": tf.Variable(0.0, trainable=False),
            }

    @property
    def value(self) -> tf.Tensor:
        """The scale, a scalar."""
        if not self.active:
            return tf.constant(1.0)
        return tf.convert_to_tensor(self.state["bert_tf/loss_scale"])

    def update(self, finite: tf.Tensor) -> None:
        """Adapts the scale to whether the gradients of this step were finite.

        Call it in a replica context, with the same value on every replica.
        """
        if not self.active:
            return
        scale, steps = self.state["bert_tf/loss_scale"], self.state["bert_tf/loss_scale_steps"]
        count = tf.where(finite, tf.convert_to_tensor(steps) + 1.0, 0.0)
        grow = count >= GROWTH_STEPS
        current = tf.convert_to_tensor(scale)
        smaller = tf.maximum(current / 2.0, SMALLEST_SCALE)
        updated = tf.where(finite, tf.where(grow, current * 2.0, current), smaller)
        tf.raw_ops.AssignVariableOp(resource=scale.handle, value=updated)
        tf.raw_ops.AssignVariableOp(resource=steps.handle, value=tf.where(grow, 0.0, count))
