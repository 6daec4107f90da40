"""Hugging Face folders (`config.json`, `model.safetensors`) of BERT models: reading and writing.

PyTorch is not needed. Weights go by the names of the 2018 release, which every other conversion
knows (`huggingface_names`).
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from bert_tf.config import BertConfig
from bert_tf.conversion import tf1
from bert_tf.conversion.huggingface_names import (
    architecture_of,
    modern,
    names_of,
    to_huggingface,
    to_release,
)
from bert_tf.conversion.tf1 import CheckpointError, LoadReport
from bert_tf.files import new_folder, sync, write_text

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
_PICKLE = "pytorch_model.bin"

_WITH_LABELS = ("BertForSequenceClassification", "BertForTokenClassification")
# A copy of the word embeddings, and one of the output bias.
_TIED_TABLE, _TIED_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_POOLER = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias")

_TO_OUR_ACTIVATION = {
    "gelu": "gelu_exact",
    "gelu_python": "gelu_exact",
    "gelu_new": "gelu",
    "gelu_pytorch_tanh": "gelu",
    "gelu_fast": "gelu",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
_TO_THEIR_ACTIVATION = {
    "gelu_exact": "gelu",
    "gelu": "gelu_new",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
}
_DEFAULTS = {"vocab_size": 30522, "type_vocab_size": 2}  # where they differ from ours
_EPSILON = 1e-12


def is_folder(path: str | Path) -> bool:
    """Whether a path is a Hugging Face folder: one with a config.json."""
    return (Path(path) / CONFIG).is_file()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} must be JSON, but is not: {error}.") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} must be a JSON object, but is another value.")
    return content


def read_config(folder: str | Path) -> BertConfig:
    """The config of a folder; its "gelu" is the exact form, ours the tanh form.

    Raises:
        CheckpointError: If it is no BERT, or one that computes something else.
    """
    path = Path(folder) / CONFIG
    content = _read_json(path)
    for key, wanted in (
        ("model_type", "bert"),
        ("layer_norm_eps", _EPSILON),
        ("position_embedding_type", "absolute"),
        ("is_decoder", False),
        ("add_cross_attention", False),
    ):
        found = content.get(key, wanted)
        if found != wanted:
            raise CheckpointError(
                f"{path}: {key} must be {wanted!r}, but is {found!r}. Only models that compute "
                "what BERT does can be read."
            )
    act = content.get("hidden_act", "gelu")
    if act not in _TO_OUR_ACTIVATION:
        raise CheckpointError(
            f"{path}: hidden_act must be one of {', '.join(_TO_OUR_ACTIVATION)}, but is {act!r}."
        )
    names = [name for name in BertConfig.__dataclass_fields__ if name != "hidden_act"]
    values = {name: content[name] for name in names if name in content}
    try:
        return BertConfig(**{**_DEFAULTS, **values}, hidden_act=_TO_OUR_ACTIVATION[act])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_labels(folder: str | Path) -> tuple[str, ...]:
    """The names of a classifier's classes, in order (`id2label`); none where there are none.

    Raises:
        CheckpointError: If they do not number the classes from 0.
    """
    path = Path(folder) / CONFIG
    content = _read_json(path)
    names = content.get("id2label") or {}
    if not names and set(content.get("architectures") or ()) & set(_WITH_LABELS):
        names = {str(number): f"LABEL_{number}" for number in range(2)}  # what `transformers` takes
    numbers = [str(number) for number in range(len(names))] if isinstance(names, dict) else []
    if not isinstance(names, dict) or sorted(names) != sorted(numbers):
        raise CheckpointError(
            f'{path}: id2label must name classes 0 to N - 1, such as {{"0": "no", "1": "yes"}}, '
            f"but is {names!r}."
        )
    return tuple(str(names[number]) for number in numbers)


def find_vocabulary(folder: str | Path) -> tuple[Path, bool]:
    """The folder's vocab.txt, and whether its tokenizer lower-cases.

    Raises:
        CheckpointError: If there is none.
    """
    path = Path(folder) / "vocab.txt"
    if not path.is_file():
        raise CheckpointError(f"{folder} must hold vocab.txt, but does not. Give --vocab_file.")
    settings = Path(folder) / "tokenizer_config.json"
    lower = _read_json(settings).get("do_lower_case", True) if settings.is_file() else True
    return path, bool(lower)


def load_weights(model: keras.Model, folder: str | Path) -> LoadReport:
    """Loads the weights that a model shares with a folder; nothing is loaded on an error.

    Args:
        model: An encoder, or a model whose parts are named as in `weight_map`.
        folder: With config.json and safetensors weights of float32, float16 or bfloat16.

    Returns:
        What was loaded; a missing pooler (masked language models have none) stays as it is.

    Raises:
        CheckpointError: As `tf1.load_weights`.
    """
    tensors = read_tensors(folder)
    shapes = {name: value.shape for name, value in tensors.items()}
    return tf1.assign(model, str(folder), shapes, tensors.__getitem__, optional=_POOLER)


def read_tensors(folder: str | Path) -> dict[str, np.ndarray]:
    """All weights of a folder as float32, by the names of the 2018 release.

    Raises:
        CheckpointError: If they cannot be read, tied copies differ, or a name is not known.
    """
    folder = Path(folder)
    architectures = _read_json(folder / CONFIG).get("architectures") or [""]
    raw = {modern(name): value for name, value in _raw_tensors(folder)}
    _drop_tied(folder, raw)
    tensors: dict[str, np.ndarray] = {}
    unknown = []
    for name, value in raw.items():
        ours, transposed = to_release(name, str(architectures[0]))
        if ours is None:
            unknown.append(name)
        else:
            tensors[ours] = np.ascontiguousarray(value.T if transposed else value)
    if unknown:
        raise CheckpointError(
            f"Every tensor of {folder} must be one of BERT's, but {len(unknown)} are not: "
            f"{', '.join(sorted(unknown)[:6])}. The config's architectures say {architectures}."
        )
    return tensors


def _raw_tensors(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    files = [folder / WEIGHTS]
    if (folder / INDEX).is_file():
        names = _read_json(folder / INDEX).get("weight_map", {}).values()
        files = [folder / Path(str(name)).name for name in sorted(set(names))]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        pickled = (
            f" Its {_PICKLE} is a pickle, which can run any code and is not opened: load it with "
            "transformers and save it with save_pretrained."
        ) * (folder / _PICKLE).is_file()
        raise CheckpointError(f"{folder} must hold {', '.join(missing)}, but does not.{pickled}")
    for file in files:
        try:
            with safe_open(file, framework="numpy") as opened:
                for name in opened.keys():  # noqa: SIM118  (no mapping)
                    if not name.endswith(_BUFFERS):
                        yield name, _as_float32(opened.get_tensor(name))
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}. Copy it again.") from None


def _as_float32(value: np.ndarray) -> np.ndarray:
    if value.dtype == np.uint16:  # how loaders without the type hand bfloat16 over
        value = value.view(ml_dtypes.bfloat16)
    return value.astype(np.float32)


def _drop_tied(folder: Path, raw: dict[str, np.ndarray]) -> None:
    """Removes copies; one that is no copy would change the model in silence."""
    for copy, original in (
        (_TIED_TABLE, "bert.embeddings.word_embeddings.weight"),
        (_TIED_BIAS, "cls.predictions.bias"),
    ):
        value = raw.pop(copy, None)
        if value is None:
            continue
        if not np.array_equal(raw.setdefault(original, value), value):
            raise CheckpointError(
                f"{folder}: {copy} must equal {original}, for BERT shares them, but differs."
            )


def write_folder(
    folder: str | Path,
    config: BertConfig,
    tensors: Mapping[str, np.ndarray],
    vocab_file: str | Path | None = None,
    do_lower_case: bool = True,
    labels: Sequence[str] = (),
) -> dict[str, str]:
    """Writes a folder that `transformers` loads, whole or not at all.

    Args:
        folder: A new folder.
        config: The model's sizes.
        tensors: Weights by the names of the 2018 release.
        vocab_file: Copied beside them, if given.
        do_lower_case: Of the vocabulary.
        labels: Names of the classes of a classifier.

    Returns:
        Name of the release to name of Hugging Face, of all weights.

    Raises:
        CheckpointError: If the folder is there already, or a name is not known.
    """
    folder = Path(folder)
    if folder.exists():
        raise CheckpointError(f"{folder} must be a new folder, but exists. Name another.")
    names = names_of(tensors)
    weights = {}
    for name, theirs in names.items():
        value = np.asarray(tensors[name], np.float32)
        weights[theirs] = np.ascontiguousarray(value.T if to_huggingface(name)[1] else value)
    architecture = architecture_of(tensors)
    if architecture == "BertModel":  # It alone has no prefix.
        weights = {name.removeprefix("bert."): value for name, value in weights.items()}
    labels = _labels_of(weights, architecture, labels)
    with new_folder(folder) as partial:
        save_file(weights, partial / WEIGHTS, metadata={"format": "pt"})
        content = _their_config(config, architecture, labels)
        write_text(partial / CONFIG, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
        if vocab_file is not None:
            shutil.copyfile(vocab_file, partial / "vocab.txt")
            settings = {"do_lower_case": do_lower_case, "tokenizer_class": "BertTokenizer"}
            write_text(partial / "tokenizer_config.json", json.dumps(settings, indent=2) + "\n")
        sync(partial / WEIGHTS)
    return names


def _labels_of(
    weights: Mapping[str, np.ndarray], architecture: str, labels: Sequence[str]
) -> Sequence[str]:
    """The names of a classifier's classes, numbers where they have none."""
    head = weights.get("classifier.bias")
    if head is None or architecture not in _WITH_LABELS:
        return labels
    # Without names, `transformers` would build a head of two classes.
    labels = labels or [f"LABEL_{number}" for number in range(len(head))]
    if len(labels) != len(head):
        raise CheckpointError(
            f"There must be a label for each of the {len(head)} classes of the classifier, "
            f"but there are {len(labels)}: {', '.join(labels)}. Is the task.json that of "
            "another model?"
        )
    return labels


def _their_config(config: BertConfig, architecture: str, labels: Sequence[str]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "architectures": [architecture],
        "model_type": "bert",
        **config.to_dict(),
        "hidden_act": _TO_THEIR_ACTIVATION[config.hidden_act],
        "layer_norm_eps": _EPSILON,
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
    }
    if labels:
        content["id2label"] = {str(number): label for number, label in enumerate(labels)}
        content["label2id"] = {label: number for number, label in enumerate(labels)}
    return content
