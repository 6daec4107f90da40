"""What all sources of batches share, whether record files or tables."""

from typing import Protocol

import tensorflow as tf

from bert_tf.inputs.records import RecordError

_BATCHES_AHEAD = 4

# Weight of an example in metrics: 0.0 for those that only fill up the last batch of an evaluation.
EXAMPLE_WEIGHT = "example_weight"

Batch = dict[str, tf.Tensor]


class Source(Protocol):
    """Where batches come from: record files (`datasets`), or examples in memory (`batches`).

    A replica batch is a `Batch` of [B / replicas, ...] with `EXAMPLE_WEIGHT`; those of one global
    batch follow each other.
    """

    @property
    def size(self) -> int:
        """Number of examples."""

    def fingerprint(self) -> str:
        """Says which examples these are: a resumed run compares it."""

    def find_fault(self) -> RecordError | None:
        """The first example that breaks a rule, searched for after a pipeline has failed."""

    def training(
        self,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        first_batch: int,
        context: tf.distribute.InputContext,
    ) -> tf.data.Dataset:
        """A worker's replica batches without end, from global batch `first_batch` on."""

    def evaluation(
        self, batch_size: int, max_batches: int | None, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """A worker's replica batches of all examples, each once; fillers have weight 0.0."""

    def evaluation_batches(self, batch_size: int, max_batches: int | None) -> int:
        """Number of global batches of `evaluation`."""


def prefetch(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Makes batches ahead of their use, in a pipeline that TensorFlow does not tune.

    Who lets go of an iterator waits for the thread that does, and it sleeps for 10 ms, then 20, 40,
    and so on: prediction would end after up to twice its time.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(_BATCHES_AHEAD).with_options(options)


def count_batches(examples: int, batch_size: int, most: int | None) -> int:
    """Global batches of an evaluation, of which the last is filled up; `most`, or all for None."""
    count = -(-examples // batch_size)
    return count if most is None else min(count, most)
