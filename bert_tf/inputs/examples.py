"""Tokenized examples in memory, and batches of them that are only as long as their longest.

Fine-tuning sets have sentences of every length: padded to 128, nine tenths of a short one are
padding. Examples of similar length are therefore put into one batch, and the batch is cut to its
longest. Which examples meet in batch `s` is a function of (seed, s): nothing needs saving.

Shapes: N examples, B batch, T tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.inputs.records import (
    Manifest,
    RecordError,
    RecordSchema,
    RecordWriter,
    read_manifest,
    verify_count,
)

# Batches whose examples are sorted by length together: enough that lengths in a batch are close,
# few enough that batches stay random draws of the set.
BATCHES_SORTED_TOGETHER = 64
MASK = "input_mask"
_RECORDS_AT_ONCE = 1024
_EPOCHS, _BATCHES = 0, 1  # streams of random numbers
_KEY, _LENGTH = "key", "sequence_length"  # in the manifest

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class ExampleTable:
    """Examples as columns.

    Attributes:
        columns: Name to array [N, ...]; sequence columns have T as their last axis.
        lengths: int32 [N], tokens of an example's longest sequence.
        sequences: Names of the columns that are cut to the longest sequence of a batch.
    """

    columns: Mapping[str, Array]
    lengths: npt.NDArray[np.int32]
    sequences: frozenset[str]

    def __len__(self) -> int:
        return len(self.lengths)

    @classmethod
    def build(
        cls, columns: Mapping[str, Sequence[Any] | Array], sequences: Iterable[str]
    ) -> ExampleTable:
        """A table whose lengths are read from `input_mask`; integers are stored small.

        Raises:
            RecordError: If the columns differ in N, or there is no `input_mask`.
        """
        arrays = {name: _small(np.asarray(values)) for name, values in columns.items()}
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) != 1 or MASK not in arrays:
            raise RecordError(
                f"All columns must have one number of examples, and {MASK} be among them, but "
                f"there are {counts}."
            )
        mask = arrays[MASK]
        used = np.arange(1, mask.shape[-1] + 1) * (mask != 0)  # of the last token, from 1
        lengths = used.max(axis=tuple(range(1, used.ndim)), initial=1).astype(np.int32)
        return cls(arrays, lengths, frozenset(sequences))

    def take(self, indices: Array) -> ExampleTable:
        """The examples with these numbers, in this order."""
        columns = {name: values[indices] for name, values in self.columns.items()}
        return ExampleTable(columns, self.lengths[indices], self.sequences)

    @staticmethod
    def concatenate(tables: Sequence[ExampleTable]) -> ExampleTable:
        """One table after the other; ValueError for none."""
        if not tables:
            raise ValueError("At least one table of examples is needed, but there is none.")
        columns = {
            name: np.concatenate([table.columns[name] for table in tables])
            for name in tables[0].columns
        }
        lengths = np.concatenate([table.lengths for table in tables])
        return ExampleTable(columns, lengths, tables[0].sequences)

    def longest(self) -> int:
        """T of the columns, to which nothing is ever padded further."""
        return int(self.columns[MASK].shape[-1])

    def batch(self, indices: Array, length: int) -> dict[str, Array]:
        """Columns of a batch, int32 or float32; sequence columns are cut to `length`."""
        cut = {}
        for name, values in self.columns.items():
            rows = values[indices]
            rows = rows[..., :length] if name in self.sequences else rows
            cut[name] = rows.astype(np.float32 if rows.dtype.kind == "f" else np.int32)
        return cut

    def fingerprint(self) -> str:
        """Says which examples these are, as a digest."""
        digest = hashlib.sha256()
        for name in sorted(self.columns):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.columns[name]).tobytes())
        return f"{digest.hexdigest()[:8]} ({len(self)} examples)"


def _small(values: Array) -> Array:
    """Floats as float32; integers in the smallest type that holds them: a fifth of the memory."""
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    kind = np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high))
    return values.astype(kind)


def batch_length(lengths: Array, multiple: int, longest: int) -> int:
    """T of a batch: its longest example, rounded up to a multiple, at most `longest`."""
    return min(-(-int(lengths.max()) // multiple) * multiple, longest)


class TrainingOrder:
    """Which examples a training batch holds, as a function of its number.

    Epochs follow each other in one endless row of examples, each epoch in an order of its own; a
    batch may reach across the end of one. Every `BATCHES_SORTED_TOGETHER` batches of the row are
    sorted by length and their batches mixed. Without shuffling, examples come as they are.

    Args:
        table: The examples.
        batch_size: B.
        shuffle: Whether examples change their order every epoch.
        seed: Seed of the order.
    """

    def __init__(self, table: ExampleTable, batch_size: int, *, shuffle: bool, seed: int) -> None:
        self._table, self._batch_size = table, batch_size
        self._shuffle, self._seed = shuffle, seed
        self._newest: tuple[int, Array] | None = None

    def batch(self, step: int) -> Array:
        """Numbers of the examples of batch `step`, counted from 0: [B]."""
        if not self._shuffle:
            begin = step * self._batch_size
            return np.arange(begin, begin + self._batch_size) % len(self._table)
        group, place = divmod(step, BATCHES_SORTED_TOGETHER)
        if self._newest is None or self._newest[0] != group:
            self._newest = (group, self._group(group))
        return self._newest[1][place]

    def _group(self, group: int) -> Array:
        """The batches of a group: [BATCHES_SORTED_TOGETHER, B]."""
        size = BATCHES_SORTED_TOGETHER * self._batch_size
        row = _row(len(self._table), group * size, size, self._seed)
        random = np.random.default_rng([self._seed, _BATCHES, group])
        # Equal lengths in random order, so that sorting does not undo the shuffle.
        order = np.lexsort((random.random(size), self._table.lengths[row]))
        return random.permutation(row[order].reshape(-1, self._batch_size))


def _row(count: int, begin: int, size: int, seed: int) -> Array:
    """Places [begin, begin + size) of the endless row of shuffled epochs over `count` examples."""
    first, last = begin // count, (begin + size - 1) // count
    epochs = [
        np.random.default_rng([seed, _EPOCHS, epoch]).permutation(count)
        for epoch in range(first, last + 1)
    ]
    return np.concatenate(epochs)[begin - first * count :][:size]


def evaluation_order(table: ExampleTable) -> Array:
    """All examples, the longest first: what does not fit into memory fails at once. [N]"""
    return np.argsort(-table.lengths, kind="stable")


def cached(
    path: Path,
    schema: RecordSchema,
    sequences: Iterable[str],
    key: Mapping[str, object],
    make: Callable[[], ExampleTable],
) -> ExampleTable:
    """Examples from a record file that was made with the same key, or made now and written there.

    Args:
        path: As in the original: `train.tf_record` or `eval.tf_record` of the output directory.
        schema: What a record holds; columns of several sequences are written flat.
        sequences: Names of the sequence columns.
        key: Everything the examples depend on: digests of files, options.
        make: Tokenizes.

    Raises:
        RecordError: If the file is there with the same key, but damaged.
    """
    wanted = json.loads(json.dumps(dict(key), sort_keys=True))
    manifest = read_manifest(path) if path.exists() else None
    if manifest is not None and manifest.flags.get(_KEY) == wanted and manifest.schema == schema:
        verify_count(path)
        return _read(path, schema, frozenset(sequences), int(manifest.flags[_LENGTH]))
    table = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = {_KEY: wanted, _LENGTH: table.longest()}
    with RecordWriter(path, Manifest(schema, flags=flags)) as writer:
        for begin in range(0, len(table), _RECORDS_AT_ONCE):
            part = table.take(np.arange(begin, min(begin + _RECORDS_AT_ONCE, len(table))))
            for record in schema.encode_rows(_flat(part.columns, schema)):
                writer.write(record)
    return table


def _read(path: Path, schema: RecordSchema, sequences: frozenset[str], length: int) -> ExampleTable:
    """All records of a file that `cached` wrote."""
    # Imported here: a table needs no TensorFlow, but its parser is a hundred times as fast.
    import tensorflow as tf

    kinds = {"int64": tf.int64, "float": tf.float32}
    features = {f.name: tf.io.FixedLenFeature([f.length], kinds[f.kind]) for f in schema.features}
    parts: dict[str, list[Array]] = {f.name: [] for f in schema.features}
    for serialized in tf.data.TFRecordDataset(str(path)).batch(_RECORDS_AT_ONCE):
        for name, values in tf.io.parse_example(serialized, features).items():
            parts[name].append(_small(values.numpy()))
    columns = {name: np.concatenate(values) for name, values in parts.items()}
    return ExampleTable.build(
        {name: _shaped(v, length if name in sequences else 1) for name, v in columns.items()},
        sequences,
    )


def _shaped(values: Array, length: int) -> Array:
    """[N, n * length] -> [N, n, length], without an axis of one."""
    shaped = values.reshape(len(values), -1, length)
    if length == 1:
        shaped = shaped[..., 0]
    return shaped[:, 0] if shaped.shape[1] == 1 else shaped


def _flat(columns: Mapping[str, Array], schema: RecordSchema) -> dict[str, Array]:
    return {f.name: columns[f.name].reshape(len(columns[f.name]), -1) for f in schema.features}


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file, for the key of `cached`."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
