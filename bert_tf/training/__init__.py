"""Training under tf.distribute: runtime, step, loop, checkpoints."""
