"""Record files as tf.data pipelines whose position is a function of the step.

Nothing of a pipeline needs saving: batch `s` holds the same records in the same order in every
run with the same files, seed and batch size, and a pipeline can start at any `s` by skipping
records before they are parsed. Every worker walks the same global batches and parses its share.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from bert_tf.inputs.dynamic_masking import DynamicMasking, remask
from bert_tf.inputs.records import (
    RecordError,
    RecordSchema,
    find_record_files,
    read_manifest,
    read_records,
    verify_count,
)
from bert_tf.inputs.source import EXAMPLE_WEIGHT, Batch, count_batches, prefetch

# Records that are mixed in memory. The generator shuffles whole corpora already; this makes epochs
# differ. (The original's buffer holds 100.)
SHUFFLE_BUFFER = 10_000
_FILES_AT_ONCE = 4  # as the original's cycle_length


@dataclass(frozen=True)
class RecordSource:
    """Record files that belong together, checked and counted.

    Attributes:
        files: Paths, in the order given.
        counts: Records of each file.
        schema: What every record holds.
        limits: For features that hold ids: the number of ids, so that 0 <= id < limit.
        masking: How training masks records anew; None leaves them as they are.
    """

    files: tuple[str, ...]
    counts: tuple[int, ...]
    schema: RecordSchema
    limits: Mapping[str, int]
    masking: DynamicMasking | None = None

    @property
    def size(self) -> int:
        """Number of records."""
        return sum(self.counts)

    def fingerprint(self) -> str:
        """Says which records these are: names and counts of the files, in order, as a digest."""
        files = zip(self.files, self.counts, strict=True)
        text = "".join(f"{Path(path).name}\t{count}\n" for path, count in files)
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        masked = f", masked anew ({self.masking.probability:g})" if self.masking else ""
        return f"{digest} ({self.size} in {len(self.files)} files{masked})"

    def masked_anew(self, vocab_file: str | Path, probability: float, seed: int) -> "RecordSource":
        """The same records with masks that change from epoch to epoch, see `dynamic_masking`.

        Raises:
            RecordError: If the records were made with another vocabulary.
            FileNotFoundError, MissingTokenError, ValueError: See `DynamicMasking.for_records`.
        """
        masking = DynamicMasking.for_records(self.schema, vocab_file, probability, seed)
        masking.check(vocab_file, self.files, self.limits["input_ids"])
        return replace(self, masking=masking)

    def find_fault(self) -> RecordError | None:
        """See `Source`."""
        for path in self.files:
            try:
                for index, record in enumerate(read_records(path)):
                    _check_record(path, index, record, self)
            except RecordError as error:
                return error
        return None

    def training(
        self,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int,
        first_batch: int,
        context: tf.distribute.InputContext,
    ) -> tf.data.Dataset:
        """See `Source`; `training_batches` says which records meet."""
        batches = training_batches(
            self, batch_size, shuffle=shuffle, seed=seed, first_batch=first_batch
        )
        return share_of_worker(batches, self, context, first_batch)

    def evaluation(
        self, batch_size: int, max_batches: int | None, context: tf.distribute.InputContext
    ) -> tf.data.Dataset:
        """See `Source`; records come in file order."""
        return share_of_worker(evaluation_batches(self, batch_size, max_batches), self, context)

    def evaluation_batches(self, batch_size: int, max_batches: int | None) -> int:
        """See `Source`."""
        return count_batches(self.size, batch_size, max_batches)


def open_records(
    patterns: str | Sequence[str], schema: RecordSchema, limits: Mapping[str, int]
) -> RecordSource:
    """Finds and counts record files, and checks the first record of each.

    Args:
        patterns: Comma-separated paths and globs.
        schema: What every record must hold.
        limits: See `RecordSource`.

    Raises:
        RecordError: If a pattern matches nothing, a file is empty, torn or shorter than its
            manifest says, or its first record does not fit the schema.
    """
    files = find_record_files(patterns)
    counts = tuple(verify_count(path) for path in files)
    source = RecordSource(tuple(files), counts, schema, limits)
    _check_vocabulary(source)
    for path in files:
        _check_record(path, 0, next(read_records(path)), source)
    return source


def _check_vocabulary(source: RecordSource) -> None:
    """Compares what the manifests, where there are any, say of the vocabulary."""
    manifests = {path: read_manifest(path) for path in source.files}
    known = {path: manifest for path, manifest in manifests.items() if manifest is not None}
    hashes = {
        manifest.vocab_sha256: path for path, manifest in known.items() if manifest.vocab_sha256
    }
    if len(hashes) > 1:
        raise RecordError(
            "All records of a run must be made with one vocabulary, but these were not: "
            f"{', '.join(sorted(hashes.values()))}. Make them anew, or name fewer."
        )
    limit = source.limits.get("input_ids")
    for path, manifest in known.items():
        if limit and manifest.vocab_size and manifest.vocab_size > limit:
            raise RecordError(
                f"{path} was made with a vocabulary of {manifest.vocab_size} entries, but the "
                f"config's vocab_size is {limit}. Use the config that belongs to the vocabulary."
            )


def _check_record(path: str, index: int, record: bytes, source: RecordSource) -> None:
    try:
        values = source.schema.decode(record)
    except RecordError as error:
        raise RecordError(f"{path}, record {index}: {error}") from None
    for name, limit in source.limits.items():
        wrong = values[name][(values[name] < 0) | (values[name] >= limit)]
        if len(wrong):
            raise RecordError(
                f"{path}, record {index}: {name} must be in [0, {limit}), but holds "
                f"{int(wrong[0])}. Use the config and vocabulary that the records were made with."
            )


def parse_batch(serialized: tf.Tensor, source: RecordSource) -> Batch:
    """Parses serialized examples, string [B], into int32 and float32 tensors [B, length].

    An id outside its limits raises InvalidArgumentError: compiled code would read the last row
    of a table without a word.
    """
    kinds = {"int64": tf.int64, "float": tf.float32}
    features = {
        feature.name: tf.io.FixedLenFeature([feature.length], kinds[feature.kind])
        for feature in source.schema.features
    }
    parsed = tf.io.parse_example(serialized, features)
    checks = []
    for name, limit in source.limits.items():
        message = f"{name} must be in [0, {limit})"
        checks.append(tf.debugging.assert_non_negative(parsed[name], message=message))
        checks.append(
            tf.debugging.assert_less(parsed[name], tf.constant(limit, tf.int64), message=message)
        )
    with tf.control_dependencies([check for check in checks if check is not None]):
        return {
            name: tf.cast(value, tf.int32) if value.dtype == tf.int64 else tf.identity(value)
            for name, value in parsed.items()
        }


def training_batches(
    source: RecordSource, batch_size: int, *, shuffle: bool, seed: int, first_batch: int
) -> tf.data.Dataset:
    """Global batches of serialized examples, string [batch_size], without end.

    Args:
        source: The records.
        batch_size: Examples of a global batch.
        shuffle: Whether files and records change their order every epoch; batches then run across
            the ends of epochs. Without it, records come in file order, batch after batch, and
            what does not fill a batch at the end of the files is left out.
        seed: Seed of the order.
        first_batch: Number of the batch to begin with.

    Raises:
        RecordError: If there are fewer records than a batch needs, without shuffling.
    """
    if not shuffle:
        if source.size < batch_size:
            raise RecordError(
                f"Without shuffling, a training batch takes {batch_size} records "
                f"(--train_batch_size) from one epoch, but the input holds only {source.size}. "
                "Lower the batch size, make more records, or shuffle."
            )
        in_epoch = source.size // batch_size
        records = tf.data.TFRecordDataset(list(source.files))
        batches = records.take(in_epoch * batch_size).batch(batch_size, drop_remainder=True)
        done = first_batch % in_epoch
        rest = records.take(in_epoch * batch_size).skip(done * batch_size)
        return rest.batch(batch_size, drop_remainder=True).concatenate(batches.repeat())
    first_epoch, done = divmod(first_batch * batch_size, source.size)

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        files = tf.random.experimental.stateless_shuffle(list(source.files), seeds)
        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            tf.data.TFRecordDataset,
            cycle_length=min(_FILES_AT_ONCE, len(source.files)),
        )
        mixing = tf.random.stateless_uniform([], seeds, minval=None, maxval=None, dtype=tf.int64)
        return records.shuffle(SHUFFLE_BUFFER, seed=mixing, reshuffle_each_iteration=False)

    numbers = tf.data.Dataset.range(first_epoch, np.iinfo(np.int64).max)
    return numbers.flat_map(epoch).skip(done).batch(batch_size, drop_remainder=True)


def share_of_worker(
    batches: tf.data.Dataset,
    source: RecordSource,
    context: tf.distribute.InputContext,
    first_batch: int | None = None,
) -> tf.data.Dataset:
    """The replicas' parts of the global batches that this worker computes, parsed, in turn.

    Args:
        batches: Global batches, string [B].
        source: The records.
        context: Of `strategy.distribute_datasets_from_function`.
        first_batch: In training, the number of the first batch.

    Returns:
        For every global batch and replica of this worker a `Batch` of [B / replicas, length],
        with `EXAMPLE_WEIGHT` 0.0 where an empty string filled up the last batch.
    """
    local = context.num_replicas_in_sync // context.num_input_pipelines
    global_size = batches.element_spec.shape[0]
    size = global_size // context.num_replicas_in_sync
    begin = context.input_pipeline_id * local * size
    filler = tf.constant(next(read_records(source.files[0])))
    masking = None if first_batch is None else source.masking

    def shares(number: tf.Tensor, batch: tf.Tensor) -> tf.data.Dataset:
        numbers = number * global_size + tf.range(global_size, dtype=tf.int64)
        mine = [
            tf.reshape(values[begin : begin + local * size], [local, size])
            for values in (batch, numbers)
        ]
        return tf.data.Dataset.from_tensor_slices(tuple(mine))

    def parsed(serialized: tf.Tensor, numbers: tf.Tensor) -> Batch:
        real = tf.not_equal(serialized, "")
        batch = parse_batch(tf.where(real, serialized, filler), source)
        if masking is not None:
            batch = remask(batch, numbers, masking)
        return {**batch, EXAMPLE_WEIGHT: tf.cast(real, tf.float32)}

    batches = batches.enumerate(first_batch or 0)
    # Nothing tunes it (`prefetch`): one call for each core.
    parts = batches.flat_map(shares).map(parsed, num_parallel_calls=tf.data.AUTOTUNE)
    return prefetch(parts)


def evaluation_batches(
    source: RecordSource, batch_size: int, max_batches: int | None
) -> tf.data.Dataset:
    """Batches of serialized examples in file order, each example once.

    The last batch is filled up with empty strings; `share_of_worker` gives them no weight.
    """
    count = source.evaluation_batches(batch_size, max_batches)
    records = tf.data.TFRecordDataset(list(source.files)).take(count * batch_size)
    fill = tf.data.Dataset.from_tensors(tf.constant("")).repeat(-source.size % batch_size)
    if count * batch_size > source.size:
        records = records.concatenate(fill)
    return records.batch(batch_size, drop_remainder=True)
