"""Encoders and classifiers for LiteRT (TensorFlow Lite), with weights in int8.

LiteRT runs on phones and small machines. Its converter stores each large matrix as int8 numbers and
their scales, and computes with them in int8 where the other factor is scaled as it comes (dynamic
range). Shapes are fixed. The tokenizer is the one in Python, on the host: `litert_runner` is that
host, and needs no TensorFlow.

Shapes: B batch, T tokens, H hidden size, C classes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.conversion.weight_map import named_variables
from bert_tf.files import new_folder, sync, write_text
from saved_models.building import check_new
from saved_models.litert_runner import CARD, MODEL, VOCABULARY, Card, LiteRunner
from saved_models.network import ENCODER_INPUTS

ENCODER, CLASSIFIER = "encoder", "classifier"
LEAST_COSINE = 0.99  # of vectors with int8 weights and with the model's own, on average
# Texts that an export is tried with: short, long, of several scripts, and none.
TEXTS = [
    "The keeper climbed the stairs of the lighthouse and lit the lamp.",
    "It rained.",
    "Nobody had told the engineers in Genève, 東京 or Москва why 40 % of the 1,200 valves leaked; "
    "by the time that they knew, the dam was empty and the villages below it were dry again.",
    "",
]


@dataclass(frozen=True)
class Fidelity:
    """What int8 weights cost and save.

    Attributes:
      cosine: between a vector of the model and that of the file, mean of all tried.
      lowest: the lowest of them.
      size: bytes of the file per byte of the model's weights in float32.
    """

    cosine: float
    lowest: float
    size: float

    def __str__(self) -> str:
        return (
            f"{self.size:.3f}x the size of float32 weights; cosine {self.cosine:.5f} on average, "
            f"{self.lowest:.5f} at least"
        )


def outputs_of(kind: str, model: keras.Model, inputs: dict[str, Any]) -> dict[str, Any]:
    """What a file of this kind puts out.

    `encoder`: `sequence_output` [B, T, H] and `pooled_output` [B, H]. `classifier`: `logits` and
    `probabilities`, [B, C].
    """
    found = model(inputs, training=False)
    if kind == ENCODER:
        return {name: found[name] for name in ("sequence_output", "pooled_output")}
    return {"logits": found["logits"], "probabilities": tf.nn.softmax(found["logits"])}


def convert(kind: str, model: keras.Model, seq_length: int, batch_size: int = 1) -> bytes:
    """The file: one signature, `serving_default`, from the encoder's inputs, int32 [B, T]."""
    module = tf.Module()  # through which the converter finds the weights
    module.weights = [variable.value for variable in named_variables(model).values()]

    @tf.function(autograph=False)
    def serving_default(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return outputs_of(kind, model, inputs)

    shape = [batch_size, seq_length]
    function = serving_default.get_concrete_function(
        **{name: tf.TensorSpec(shape, tf.int32, name=name) for name in ENCODER_INPUTS}
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def compare(kind: str, model: keras.Model, runner: LiteRunner, texts: Sequence[str]) -> Fidelity:
    """The file's answers beside the model's."""
    cosines = []
    for packed in runner.packed(texts):
        with_int8 = runner.run(packed)
        own = outputs_of(kind, model, {name: tf.constant(value) for name, value in packed.items()})
        for name, value in own.items():
            vectors = np.asarray(value)
            # Vectors of padding mean nothing.
            kept = packed["input_mask"] > 0 if vectors.ndim == 3 else slice(None)
            cosines.append(_cosines(vectors[kept], with_int8[name][kept]))
    weights = sum(4 * int(np.prod(value.shape)) for value in named_variables(model).values())
    size = (runner.folder / MODEL).stat().st_size / weights
    found = np.concatenate(cosines)
    return Fidelity(float(found.mean()), float(found.min()), size)


def _cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    products = (one * other).sum(axis=-1)
    cosines = products / (np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1))
    return np.nan_to_num(cosines, nan=-1.0)


def export_litert(
    kind: str, model: keras.Model, vocab_file: Path, card: Card, export_dir: Path
) -> Fidelity:
    """Writes `model.tflite`, the vocabulary and the card into a new folder.

    Args:
      kind: `encoder` or `classifier`.
      model: a `BertEncoder` or a `BertClassifier` with its weights.
      vocab_file: of the model.
      card: what the runner has to know.
      export_dir: the folder.

    Raises:
      ValueError: the folder is there, or int8 weights change the model's vectors too much. Nothing
        was written.
    """
    check_new(export_dir)
    content = convert(kind, model, card.max_seq_length)
    with new_folder(export_dir) as partial:
        (partial / MODEL).write_bytes(content)
        shutil.copyfile(vocab_file, partial / VOCABULARY)
        _write_card(partial, card, content)
        fidelity = compare(kind, model, LiteRunner(partial), TEXTS)
        if fidelity.cosine < LEAST_COSINE:
            raise ValueError(
                f"Vectors with int8 weights must have a cosine of {LEAST_COSINE} with the model's "
                f"own, on average; got {fidelity.cosine:.4f}. Its weights do not bear it: export "
                "float32 with saved_models.export."
            )
        for path in partial.iterdir():
            sync(path)
    return fidelity


def _write_card(folder: Path, card: Card, content: bytes) -> None:
    shown = {**card.to_dict(), "weights_dtype": "int8", "size_bytes": len(content)}
    shown["model_sha256"] = hashlib.sha256(content).hexdigest()
    write_text(folder / CARD, json.dumps(shown, indent=1, ensure_ascii=False) + "\n")
