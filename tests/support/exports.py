"""Small fine-tuned models as a run leaves them, and what is exported of them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from bert_tf.config import BertConfig
from bert_tf.conversion import tf1
from bert_tf.conversion.weight_map import named_variables
from saved_models.building import Request
from tests.support import commands, small

CONFIG = BertConfig.from_json_file(small.CONFIG)
LENGTH = 24
STEP = 7


def run_folder(folder: Path, model: keras.Model, **task: Any) -> Path:
    """The output directory of a run: the pretrained encoder below the model's own, large, head."""
    folder.mkdir()
    tf1.load_weights(model, small.CHECKPOINT)
    weights = {name: np.asarray(value) for name, value in named_variables(model).items()}
    weights |= {
        name: value * 30 for name, value in weights.items() if name.endswith("output_weights")
    }
    tf1.write_checkpoint(str(folder / f"model.ckpt-{STEP}"), weights)
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "model.ckpt-{STEP}"\n')
    (folder / "bert_config.json").write_bytes(small.CONFIG.read_bytes())
    (folder / "vocab.txt").write_bytes(small.VOCAB.read_bytes())
    told = {"max_seq_length": LENGTH, "do_lower_case": True, **task}
    (folder / "task.json").write_text(json.dumps(told))
    return folder


def export(run: Path | str, export_dir: Path, export_type: str, **changes: Any) -> Path:
    """Runs the command; the folder that it wrote."""
    values = {"init_checkpoint": run, "export_dir": export_dir, "export_type": export_type}
    commands.run("saved_models.export", **{**values, **changes})
    return export_dir


def request(export_type: str, run: Path | str, **changes: Any) -> Request:
    """What the command makes of its flags, in short."""
    values = {"checkpoint": str(run), "config": CONFIG, **changes}
    length = values.pop("max_seq_length", LENGTH)
    return Request(export_type, small.VOCAB, True, length, **values)


def call(model: Any, signature: str = "serving_default", **inputs: Any) -> dict[str, Any]:
    """What a signature of a loaded model answers, in numpy."""
    tensors = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: each.numpy() for name, each in model.signatures[signature](**tensors).items()}


def serialized(**features: list) -> list[bytes]:
    """tf.Examples of columns of strings, or of lists of strings."""
    rows = zip(*features.values(), strict=True)
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    name: tf.train.Feature(
                        bytes_list=tf.train.BytesList(
                            value=[
                                text.encode()
                                for text in (value if isinstance(value, list) else [value])
                            ]
                        )
                    )
                    for name, value in zip(features, row, strict=True)
                }
            )
        ).SerializeToString()
        for row in rows
    ]


def specs(model: Any, signature: str) -> tuple[dict[str, str], dict[str, str]]:
    """Types of the inputs and outputs of a signature, by name."""
    function = model.signatures[signature]
    sides = (function.structured_input_signature[1], function.structured_outputs)
    inputs, outputs = ({name: s.dtype.name for name, s in side.items()} for side in sides)
    return inputs, outputs


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def compiled_operations(folder: Path) -> set[str]:
    """The operations in those functions of a SavedModel that XLA must compile."""
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    functions = model.meta_graphs[0].graph_def.library.function
    compiled = [each for each in functions if each.attr["_XlaMustCompile"].b]
    return {node.op for each in compiled for node in each.node_def}
