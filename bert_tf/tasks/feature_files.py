"""Files of vectors: the original's JSON lines, npz, TFRecords; each appears whole or not at all."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf import files
from bert_tf.inputs.records import RecordWriter
from bert_tf.tasks.features import TextChunk

JSONL, NPZ, TFRECORD, NPY = "jsonl", "npz", "tfrecord", "npy"
# Digits of the original's JSON.
_DIGITS = 6

Array = npt.NDArray[Any]
# Number of the text, its tokens (none where vectors are pooled), and by layer [T, H] or [H].
Row = tuple[int, list[str] | None, dict[str, Array]]


def rows(
    chunk: TextChunk,
    vectors: Mapping[str, Sequence[Array]],
    dtype: str,
    tokens: Mapping[int, str] | None = None,
) -> Iterator[Row]:
    """The rows of a chunk's texts.

    Args:
        chunk: The texts.
        vectors: By layer, those of each text.
        dtype: Type to write them in.
        tokens: Names of ids, where the vectors are of tokens.
    """
    ids = chunk.table.columns["input_ids"]
    for number, places in enumerate(chunk.places()):
        own = [tokens[int(each)] for each in ids[places]] if tokens is not None else None
        yield (
            chunk.first + number,
            own,
            {name: np.asarray(each[number]).astype(dtype) for name, each in vectors.items()},
        )


def _index(name: str) -> int | str:
    """A layer's number, or the name of a mix."""
    return int(name) if name.lstrip("-").isdigit() else name


def _json_row(row: Row) -> dict[str, Any]:
    number, tokens, vectors = row

    def layers(select: Callable[[Array], Array]) -> list[dict[str, Any]]:
        return [
            {
                "index": _index(name),
                "values": [round(value, _DIGITS) for value in select(values).tolist()],
            }
            for name, values in vectors.items()
        ]

    if tokens is None:
        return {"linex_index": number, "layers": layers(lambda values: values)}
    features = []
    for place, token in enumerate(tokens):
        own = layers(lambda values, place=place: values[place])  # type: ignore[misc]
        features.append({"token": token, "layers": own})
    return {"linex_index": number, "features": features}


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """The original's lines; pooled vectors have `layers` in place of `features`."""
    count = 0
    with files.writing(path) as file:
        for row in rows:
            file.write(json.dumps(_json_row(row)) + "\n")
            count += 1
    return count


def write_npz(path: Path, rows: Iterable[Row]) -> int:
    """Arrays `layer_NAME` [all tokens, H] or [N, H], `linex_index` [N], `offsets` [N + 1], tokens.

    The tokens of text i are rows `offsets[i]` to `offsets[i + 1]`.
    """
    numbers, tokens, lengths = [], [], []
    vectors: dict[str, list[Array]] = {}
    for number, own, layers in rows:
        numbers.append(number)
        tokens += own or []
        lengths.append(len(own) if own is not None else 1)
        for name, values in layers.items():
            vectors.setdefault(f"layer_{name}", []).append(np.atleast_2d(values))
    arrays = {name: np.concatenate(values) for name, values in vectors.items()}
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    with files.replacing(path) as partial, partial.open("wb") as file:
        arrays.update(linex_index=np.array(numbers), offsets=offsets, tokens=np.array(tokens))
        np.savez(file, allow_pickle=False, **arrays)
    return len(numbers)


def write_npy(path: Path, rows: Iterable[Row]) -> int:
    """One array [N, H] of pooled vectors of one layer or mix."""
    vectors = [next(iter(layers.values())) for _, _, layers in rows]
    with files.replacing(path) as partial, partial.open("wb") as file:
        np.save(file, np.stack(vectors))
    return len(vectors)


def write_tfrecord(path: Path, rows: Iterable[Row]) -> int:
    """A tf.train.Example a text: `linex_index`, `tokens`, `layer_NAME` (flat) and `shape`."""
    # Imported here: the other formats need no TensorFlow.
    import tensorflow as tf

    def integers(values: Iterable[int]) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    with RecordWriter(path) as writer:
        for number, tokens, layers in rows:
            shape = next(iter(layers.values())).shape
            features = {"linex_index": integers([number]), "shape": integers(shape)}
            if tokens is not None:
                encoded = [token.encode() for token in tokens]
                features["tokens"] = tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
            for name, values in layers.items():
                flat = values.astype(np.float32).ravel()
                features[f"layer_{name}"] = tf.train.Feature(
                    float_list=tf.train.FloatList(value=flat)
                )
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return writer.records


WRITERS: dict[str, Callable[[Path, Iterable[Row]], int]] = {
    JSONL: write_jsonl,
    NPZ: write_npz,
    TFRECORD: write_tfrecord,
    NPY: write_npy,
}


def shard_paths(path: Path, shards: int) -> list[Path]:
    """The output file, or the files NAME-00000-of-00003 and so on."""
    if shards == 1:
        return [path]
    width = 5
    return [
        path.with_name(f"{path.name}-{number:0{width}}-of-{shards:0{width}}")
        for number in range(shards)
    ]


def is_done(path: Path, key: dict[str, object]) -> bool:
    """Whether a finished shard was made with the same key."""
    described = _key_path(path)
    if not path.exists() or not described.exists():
        return False
    return described.read_text(encoding="utf-8") == _key_text(key)


def mark_done(path: Path, key: dict[str, object]) -> None:
    """Notes beside a finished shard what it was made with."""
    files.write_text(_key_path(path), _key_text(key))


def _key_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.key.json")


def _key_text(key: dict[str, object]) -> str:
    return json.dumps(key, indent=1, sort_keys=True) + "\n"
