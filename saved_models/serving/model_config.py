"""The file of TensorFlow Serving's --model_config_file, so that one file serves both servers.

It is a text protocol buffer, `ModelServerConfig` of tensorflow_serving/config/
model_server_config.proto. The part of it that means something here is declared below, with the
field numbers of the original; anything else in a file is an error, not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

_PACKAGE = "bert_tf.serving"
_FieldType = descriptor_pb2.FieldDescriptorProto
# Message -> fields: name, number, type (a message's name, or a scalar's), repeated.
_MESSAGES: dict[str, list[tuple[str, int, Any, bool]]] = {
    "Latest": [("num_versions", 1, _FieldType.TYPE_UINT32, False)],
    "All": [],
    "Specific": [("versions", 1, _FieldType.TYPE_INT64, True)],
    "VersionPolicy": [
        ("latest", 100, "Latest", False),
        ("all", 101, "All", False),
        ("specific", 102, "Specific", False),
    ],
    "Label": [
        ("key", 1, _FieldType.TYPE_STRING, False),
        ("value", 2, _FieldType.TYPE_INT64, False),
    ],
    "ModelConfig": [
        ("name", 1, _FieldType.TYPE_STRING, False),
        ("base_path", 2, _FieldType.TYPE_STRING, False),
        ("model_platform", 4, _FieldType.TYPE_STRING, False),
        ("model_version_policy", 7, "VersionPolicy", False),
        ("version_labels", 8, "Label", True),
    ],
    "ModelConfigList": [("config", 1, "ModelConfig", True)],
    "ModelServerConfig": [("model_config_list", 1, "ModelConfigList", False)],
}
_ONE_OF = {"VersionPolicy": "policy_choice"}  # messages of which one field may be set
PLATFORM = "tensorflow"


@dataclass(frozen=True)
class ModelConfig:
    """A model to serve.

    Attributes:
      name: in addresses.
      folder: a SavedModel, or a folder of versions 1/, 2/, ...
      latest: how many of the newest versions are served; None for all.
      versions: those that are served, whatever `latest`; empty for no such list.
      labels: label -> version.
    """

    name: str
    folder: Path
    latest: int | None = 1
    versions: tuple[int, ...] = ()
    labels: Mapping[str, int] = field(default_factory=dict)


@cache
def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="bert_tf_serving.proto", package=_PACKAGE)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONE_OF:
            message.oneof_decl.add(name=_ONE_OF[name])
        for field_name, number, kind, repeated in fields:
            label = _FieldType.LABEL_REPEATED if repeated else _FieldType.LABEL_OPTIONAL
            entry = message.field.add(name=field_name, number=number, label=label)
            if name in _ONE_OF:
                entry.oneof_index = 0
            if isinstance(kind, str):
                entry.type, entry.type_name = _FieldType.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                entry.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"{_PACKAGE}.ModelServerConfig")
    return message_factory.GetMessageClass(found)


def read_model_config(path: str | Path) -> list[ModelConfig]:
    """The models of a file of TensorFlow Serving's --model_config_file.

    Raises:
      OSError: the file cannot be read.
      ValueError: it is no such file, or names something that is not served here.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        parsed = text_format.Parse(text, _message_class()())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ValueError(
            f"--model_config_file must be a text protocol buffer with model_config_list; {path}: "
            f"{error}. saved_models/serving/models.config is an example."
        ) from None
    configs = [_model(entry, path) for entry in parsed.model_config_list.config]
    if not configs:
        raise ValueError(
            f"--model_config_file must name at least one model; {path} names none. Add "
            'model_config_list { config { name: "..." base_path: "..." } }.'
        )
    return configs


def _model(entry: Any, path: str | Path) -> ModelConfig:
    if not entry.name or not entry.base_path or entry.model_platform not in ("", PLATFORM):
        raise ValueError(
            f"Each config must have name, base_path and the model_platform {PLATFORM!r}; {path} "
            f"has {text_format.MessageToString(entry, as_one_line=True)!r}. Complete it."
        )
    policy = entry.model_version_policy
    latest: int | None = policy.latest.num_versions or 1
    if policy.HasField("all"):
        latest = None
    versions = tuple(policy.specific.versions)
    labels = {label.key: label.value for label in entry.version_labels}
    return ModelConfig(entry.name, Path(entry.base_path), latest, versions, labels)
