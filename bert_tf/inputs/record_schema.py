"""What one record holds: a single description that both writes and parses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bert_tf.inputs import example_proto

Kind = Literal["int64", "float"]
_DTYPES: dict[str, type[np.generic]] = {"int64": np.int64, "float": np.float32}


class RecordError(ValueError):
    """A record or record file that breaks a rule; the message names it and the way out."""


@dataclasses.dataclass(frozen=True)
class Feature:
    """One named list of `length` values, int64 or float32."""

    name: str
    kind: Kind
    length: int

    def __post_init__(self) -> None:
        if self.kind not in _DTYPES:
            raise ValueError(
                f'Feature {self.name!r} has kind {self.kind!r}; use "int64" or "float".'
            )
        if self.length < 1:
            raise ValueError(
                f"Feature {self.name!r} has length {self.length}; it must be at least 1."
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """np.int64 or np.float32."""
        return np.dtype(_DTYPES[self.kind])


@dataclasses.dataclass(frozen=True)
class RecordSchema:
    """The features of a record, in the order in which they are written."""

    features: tuple[Feature, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.features))
        names = [feature.name for feature in self.features]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"A feature name may stand once in a schema; {twice} stand twice.")

    def __getitem__(self, name: str) -> Feature:
        """The feature called `name`; KeyError with all names where there is none."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(f"no feature {name!r}; there are {[f.name for f in self.features]}")

    def encode(self, values: Mapping[str, npt.ArrayLike]) -> bytes:
        """A serialized tf.train.Example.

        Args:
          values: for each feature a list of its length (any int64, or floats).

        Raises:
          RecordError: a feature is missing, unknown, of another length or not integer.
        """
        rows = {name: np.asarray(value)[None] for name, value in values.items()}
        return self.encode_rows(rows)[0]

    def encode_rows(self, columns: Mapping[str, npt.NDArray[Any]]) -> list[bytes]:
        """B serialized examples from one [B, length] array per feature (errors as `encode`)."""
        unknown = sorted(columns.keys() - {feature.name for feature in self.features})
        if unknown:
            raise RecordError(
                f"The schema has no feature {unknown}; it has "
                f"{[feature.name for feature in self.features]}."
            )
        fixed: list[npt.NDArray[np.uint8]] = []
        varying: list[list[bytes]] = []
        for feature in self.features:
            payload = _pack(feature, columns.get(feature.name))
            if isinstance(payload, list):
                varying.append(_entries(feature, payload))
            else:
                prefix = example_proto.feature_prefix(feature.name, feature.kind, payload.shape[1])
                start = np.broadcast_to(
                    np.frombuffer(prefix, np.uint8), (len(payload), len(prefix))
                )
                fixed += [start, payload]
        counts = sorted({len(column) for column in fixed} | {len(column) for column in varying})
        if len(counts) > 1:
            raise RecordError(f"All features need one number of rows; got {counts}.")
        return example_proto.join_entries(fixed, varying)

    def decode(self, record: bytes) -> dict[str, npt.NDArray[Any]]:
        """The arrays of one record by name (int64 or float32, [length]); for diagnosis.

        Features that the schema does not name are left out, as tf.io.parse_example does.

        Raises:
          RecordError: no Example, or a feature is missing, of another kind or length.
        """
        try:
            found = example_proto.parse_example(record)
        except example_proto.WireError as error:
            raise RecordError(f"The record is not a tf.train.Example: {error}.") from error
        return {feature.name: _checked(feature, found) for feature in self.features}

    def to_json(self) -> list[list[str | int]]:
        """[name, kind, length] of each feature."""
        return [[feature.name, feature.kind, feature.length] for feature in self.features]

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[Any]]) -> RecordSchema:
        """The inverse of `to_json`."""
        return cls(tuple(Feature(name, kind, int(length)) for name, kind, length in rows))


def pretraining_schema(max_seq_length: int, max_predictions_per_seq: int) -> RecordSchema:
    """Records of masked LM and next sentence prediction, under the original's names."""
    tokens, predictions = max_seq_length, max_predictions_per_seq
    return RecordSchema(
        (
            Feature("input_ids", "int64", tokens),
            Feature("input_mask", "int64", tokens),
            Feature("segment_ids", "int64", tokens),
            Feature("masked_lm_positions", "int64", predictions),
            Feature("masked_lm_ids", "int64", predictions),
            Feature("masked_lm_weights", "float", predictions),
            Feature("next_sentence_labels", "int64", 1),
        )
    )


def _entries(feature: Feature, payloads: list[bytes]) -> list[bytes]:
    prefixes = {
        size: example_proto.feature_prefix(feature.name, feature.kind, size)
        for size in set(map(len, payloads))
    }
    return [prefixes[len(payload)] + payload for payload in payloads]


def _pack(feature: Feature, column: npt.NDArray[Any] | None) -> npt.NDArray[np.uint8] | list[bytes]:
    if column is None:
        raise RecordError(
            f"Feature {feature.name!r} is missing; a record needs its {feature.length} "
            f"{feature.kind} values."
        )
    if column.ndim != 2 or column.shape[1] != feature.length:
        raise RecordError(
            f"Feature {feature.name!r} must hold {feature.length} values a record; got shape "
            f"{list(column.shape[1:])}. Pad or cut the values, or write with another length."
        )
    if feature.kind == "float":
        return example_proto.pack_float_rows(column)
    if not np.can_cast(column.dtype, np.int64, "safe"):
        raise RecordError(
            f"Feature {feature.name!r} must hold integers that fit int64; got {column.dtype}."
        )
    return example_proto.pack_int64_rows(column)


def _checked(
    feature: Feature, found: Mapping[str, tuple[str, npt.NDArray[Any] | list[bytes]]]
) -> npt.NDArray[Any]:
    if feature.name not in found:
        raise RecordError(
            f"The record has no feature {feature.name!r}; it has {sorted(found)}. "
            "Was it written for another task?"
        )
    kind, values = found[feature.name]
    if kind != feature.kind:
        raise RecordError(
            f"Feature {feature.name!r} must be of kind {feature.kind}; the record has {kind}."
        )
    if len(values) != feature.length:
        raise RecordError(
            f"Feature {feature.name!r} must hold {feature.length} values; the record has "
            f"{len(values)}. Read with the lengths that the file was written with."
        )
    return np.asarray(values, feature.dtype)
