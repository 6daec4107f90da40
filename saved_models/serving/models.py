"""Models from folders: versions, signatures, and what they compute.

A folder is a SavedModel, then version 1, or holds versions named 1/, 2/, ... as TensorFlow Serving
wants them. `model_card.json` beside saved_model.pb, if there is one, says what kind of model it is.
"""

from __future__ import annotations

import functools
import itertools
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the ops of the tokenizer
from google.protobuf.message import DecodeError

from saved_models.serving.batching import Run
from saved_models.serving.limits import Limits, RequestError, shown, too_much
from saved_models.serving.model_config import ModelConfig
from saved_models.serving.protocol import DEFAULT_SIGNATURE, Arrays, Request, Signature, encode
from saved_models.serving.tensors import Spec

EXAMPLES_SIGNATURE = "serve_examples"
SAVED_MODEL = "saved_model.pb"
MODEL_CARD = "model_card.json"
_NAME = re.compile(r"[\w.-]+", re.ASCII)
_WARM_UP = b"A first text to [MASK] everything."


@dataclass(frozen=True)
class Version:
    """One version of a model, ready to compute.

    Attributes:
      number: of the version.
      signatures: by name.
      run: signature name and inputs -> outputs.
      card: what model_card.json says; empty if there is none.
    """

    number: int
    signatures: Mapping[str, Signature]
    run: Run
    card: Mapping[str, Any]


@dataclass(frozen=True)
class Model:
    """A model: its versions, oldest first, and labels for them."""

    name: str
    versions: Mapping[int, Version]
    labels: Mapping[str, int]

    def version(self, number: str | None = None, label: str | None = None) -> Version:
        """The version of a number or a label; without either, the newest.

        Raises:
          RequestError: there is none.
        """
        if label is not None:
            if label not in self.labels:
                known = ", ".join(sorted(self.labels)) or "none"
                raise RequestError(
                    f"{self.name} has no label {shown(label)}; it has {known}. Labels are set in "
                    "--model_config_file.",
                    HTTPStatus.NOT_FOUND,
                )
            return self.versions[self.labels[label]]
        if number is None:
            return self.versions[max(self.versions)]
        found = [each for each in self.versions.values() if str(each.number) == number]
        if not found:
            raise RequestError(
                f"{self.name} has no version {shown(number)} that is served; it has "
                f"{', '.join(map(str, self.versions))}. Ask for one of them, or for none.",
                HTTPStatus.NOT_FOUND,
            )
        return found[0]


def parse_models(values: Sequence[str]) -> list[ModelConfig]:
    """The models of `--model NAME=FOLDER`.

    Raises:
      ValueError: a value has another form.
    """
    configs = []
    for value in values:
        name, equals, folder = value.partition("=")
        if not equals or not folder:
            raise ValueError(
                f"--model must be NAME=FOLDER; got {value!r}. NAME stands in the address, "
                "/v1/models/NAME:predict."
            )
        configs.append(ModelConfig(name, Path(folder)))
    return configs


def load_models(configs: Sequence[ModelConfig]) -> dict[str, Model]:
    """Loads models, by name.

    Raises:
      ValueError: none is named, a name is taken or has characters that addresses have not, a
        folder holds no SavedModel, or a version is not there.
    """
    if not configs:
        raise ValueError("At least one model must be named: --model NAME=FOLDER.")
    models: dict[str, Model] = {}
    for config in configs:
        if not _NAME.fullmatch(config.name) or config.name in models:
            raise ValueError(
                "Each model must have a name of its own, of letters, digits, '.', '_' and '-'; got "
                f"{config.name!r}. Rename it."
            )
        models[config.name] = _load_model(config)
    return models


def _load_model(config: ModelConfig) -> Model:
    folders = versions_of(config)
    if missing := sorted(set(config.labels.values()) - set(folders)):
        raise ValueError(
            f"The labels of {config.name} must stand for versions that are served, which are "
            f"{', '.join(map(str, folders))}; got {', '.join(map(str, missing))}. Serve it by "
            "model_version_policy, or move the label."
        )
    versions = {number: load_version(folder, number) for number, folder in folders.items()}
    return Model(config.name, versions, config.labels)


def versions_of(config: ModelConfig) -> dict[int, Path]:
    """The folders of the versions to serve, oldest first.

    Raises:
      ValueError: there is no SavedModel, not the version that is wanted, or one twice.
    """
    if (config.folder / SAVED_MODEL).is_file():
        found = {1: config.folder}
    else:
        found = {}
        for each in sorted(config.folder.glob(f"*/{SAVED_MODEL}")):
            name = each.parent.name
            if name.isdecimal() and found.setdefault(int(name), each.parent) != each.parent:
                raise ValueError(
                    f"{config.folder} must hold each version once; {found[int(name)].name} and "
                    f"{name} are the same number. Rename or remove one."
                )
    if not found:
        raise ValueError(
            f"{config.folder} must be a SavedModel, or hold versions of one named 1/, 2/, ...; no "
            f"{SAVED_MODEL} is in it. Write one with saved_models.export."
        )
    if missing := sorted(set(config.versions) - set(found)):
        raise ValueError(
            f"{config.folder} has the versions {', '.join(map(str, sorted(found)))}, not "
            f"{', '.join(map(str, missing))}, which model_version_policy names."
        )
    newest = sorted(found) if config.latest is None else sorted(found)[-config.latest :]
    return {number: found[number] for number in (sorted(config.versions) or newest)}


def load_version(folder: Path, number: int) -> Version:
    """Loads a SavedModel and computes once, so that the first request need not wait.

    Raises:
      ValueError: TensorFlow cannot load or compute it, or it has no signature, or its card is not
        what answers can show: an object of JSON, its numbers finite.
    """
    card = _read_card(folder / MODEL_CARD)
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # TensorFlow raises nearly any kind for a damaged folder
        raise ValueError(
            f"{folder} must hold a SavedModel that loads here; {_first_line(error)}. "
            "Export it anew."
        ) from None
    functions = dict(loaded.signatures)
    if not functions:
        raise ValueError(
            f"{folder} must have signatures to be served, but has none. Task models that "
            "saved_models.export writes have them."
        )

    # Functions do not keep alive the object that owns their variables: `loaded` is handed on.
    run = functools.partial(_run, loaded)
    signatures = {name: _signature(name, function) for name, function in functions.items()}
    version = Version(number, signatures, run, card)
    try:
        _warm_up(version)
    except Exception as error:  # likewise
        raise ValueError(
            f"{folder} must hold a SavedModel that computes here; {_first_line(error)}. Export it "
            "with this version of TensorFlow, for the devices of this machine."
        ) from None
    return version


def _first_line(error: Exception) -> str:
    if isinstance(error, tf.errors.OpError):
        return _reason(error)
    return f"{(str(error).splitlines() or [type(error).__name__])[0]:.300}"


def _read_card(path: Path) -> dict[str, Any]:
    """The card at a path; it is sent again and again, so whether it can be is seen now."""
    try:
        card = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        encode(card)
        if not isinstance(card, dict):
            raise ValueError(f"it is {shown(card)}")
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{MODEL_CARD} must hold a JSON object, its numbers finite; {path}: {error}. Export "
            "the model anew, or mend the file."
        ) from None
    return card


def _signature(name: str, function: Any) -> Signature:
    inputs = function.structured_input_signature[1]
    return Signature(
        name,
        {key: _spec(spec) for key, spec in sorted(inputs.items())},
        {key: _spec(spec) for key, spec in sorted(function.structured_outputs.items())},
    )


def _spec(spec: tf.TensorSpec) -> Spec:
    dtype = "object" if spec.dtype == tf.string else spec.dtype.as_numpy_dtype.__name__
    return Spec(dtype, None if spec.shape.rank is None else tuple(spec.shape.as_list()))


def _run(loaded: Any, signature: str, arrays: Arrays) -> Arrays:
    """Calls a signature; what the graph refuses is the sender's error.

    Raises:
      RequestError: an op finds the values wrong, or too large for the memory.
    """
    function = loaded.signatures[signature]
    specs = function.structured_input_signature[1]
    try:
        outputs = function(
            **{name: tf.constant(value, specs[name].dtype) for name, value in arrays.items()}
        )
        return {name: value.numpy() for name, value in outputs.items()}
    except tf.errors.ResourceExhaustedError as error:
        raise RequestError(
            f"The memory does not suffice for this request: {_reason(error)}. Send a smaller one.",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        ) from None
    except (tf.errors.InvalidArgumentError, tf.errors.OutOfRangeError) as error:
        raise RequestError(
            f"The model must be able to compute the values, but refuses them: "
            f"{_reason(error)}. Send others."
        ) from None


def check_examples(request: Request, limits: Limits) -> None:
    """Holds serialized tf.Examples to the same number of strings as lists of JSON.

    Raises:
      RequestError: a feature has more.
    """
    if request.signature.name != EXAMPLES_SIGNATURE:
        return
    for text in itertools.chain(*(array.flat for array in request.arrays.values())):
        try:
            features = tf.train.Example.FromString(text).features.feature
        except (DecodeError, TypeError):
            return  # the graph refuses what is no example
        for name, feature in features.items():
            if (strings := len(feature.bytes_list.value)) > limits.choices:
                raise too_much(
                    f"A feature of an example may hold {limits.choices} strings; {shown(name)} "
                    f"has {strings}. Send shorter lists."
                )


def _reason(error: tf.errors.OpError) -> str:
    """What the op says; around it, TensorFlow tells of nodes and files."""
    text = error.message.split("[[{{node")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return (lines or ["no reason given"])[-1][:300]


def _warm_up(version: Version) -> None:
    """Calls the default signature once, if it takes texts."""
    signature = version.signatures.get(DEFAULT_SIGNATURE)
    if signature is None or any(spec.dtype != "object" for spec in signature.inputs.values()):
        return
    arrays = {}
    for name, spec in signature.inputs.items():
        axes = [axis or 1 for axis in spec.shape or (1,)]
        arrays[name] = tf.fill(axes, _WARM_UP).numpy()
    try:
        version.run(signature.name, arrays)
    except RequestError as error:
        logging.getLogger(__name__).info("no warm-up: %s", error.message)
