"""What both TensorFlow contenders do alike."""

from collections.abc import Callable

import tensorflow as tf

from benchmarks.peers.protocol import Case


def set_threads(case: Case) -> None:
    """Holds TensorFlow to the case's threads; call it before anything else."""
    tf.config.threading.set_intra_op_parallelism_threads(case.threads)
    tf.config.threading.set_inter_op_parallelism_threads(case.threads)


def matrix_product(case: Case, size: int) -> Callable[[], object]:
    """A product of two square matrices in the case's precision."""
    dtype = tf.dtypes.as_dtype(case.precision)
    left, right = (tf.cast(tf.random.normal([size, size]), dtype) for _ in range(2))
    return lambda: tf.matmul(left, right).numpy()[0]
