"""What training and evaluation share around `strategy.run`."""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from bert_tf.inputs.source import Source
from bert_tf.tasks.task import Sums


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, why, and what to try."""


def summed(context: tf.distribute.ReplicaContext, values: Sums) -> Sums:
    """Sums over all replicas, the same on each of them."""
    names = list(values)
    totals = context.all_reduce("SUM", [values[name] for name in names])
    return dict(zip(names, totals, strict=True))


def first(strategy: tf.distribute.Strategy, values: Sums) -> Sums:
    """The values of one replica, where all have the same.

    `strategy.reduce` would do as well, but fails with one replica on each of several workers.
    """
    return {name: strategy.experimental_local_results(each)[0] for name, each in values.items()}


@contextlib.contextmanager
def explain(source: Source) -> Iterator[None]:
    """Turns a failure of the pipeline into the record that caused it, and of memory into advice."""
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        reason = (error.message.splitlines() or [""])[0]
        raise TrainingError(
            f"A step must fit into the memory of its device, but does not ({reason}). Lower "
            "--train_batch_size (--eval_batch_size in evaluation), or keep it and raise "
            "--gradient_accumulation_steps, or try --precision=bfloat16."
        ) from error
    except (tf.errors.InvalidArgumentError, tf.errors.DataLossError) as error:
        fault = source.find_fault()
        if fault is None:
            raise
        raise fault from error


def quietly(function: Any, *arguments: Any) -> Any:
    """Calls without Orbit's own lines on standard output, which the progress line replaces."""
    with contextlib.redirect_stdout(io.StringIO()):
        return function(*arguments)
