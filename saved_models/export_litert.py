"""Writes an encoder or a classifier for LiteRT, with int8 weights: a quarter of the size.

    python -m saved_models.export_litert --export_type=classifier --init_checkpoint=mrpc/best \\
      --max_seq_length=64 --export_dir=mrpc_lite

The folder holds `model.tflite`, the vocabulary and a card; `saved_models.litert_runner` runs it
with the tokenizer in Python, without TensorFlow. Inputs have a fixed length, so take the shortest
that your texts fit in. What lies beside the checkpoint of a run need not be named. Before the
folder gets its name, its vectors are compared with the model's. Takes half a minute, for BERT-Base
two.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.task_heads import build_classifier
from saved_models import request_flags
from saved_models.building import Request
from saved_models.litert import CLASSIFIER, ENCODER, export_litert
from saved_models.litert_runner import Card


def define_flags() -> None:
    """All flags of this command."""
    request_flags.define_common([ENCODER, CLASSIFIER])
    for module in (flags, request_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def load_model(request: Request) -> tuple[keras.Model, Card]:
    """The model with the checkpoint's weights, its head or pooler too, and what the runner needs.

    Raises:
      CheckpointError: the checkpoint is of another model, or lacks weights.
      ValueError: the vocabulary is of another model, or the labels are not known.
    """
    labels: tuple[str, ...] = ()
    if request.export_type == CLASSIFIER:
        labels = request.classes
        model = build_classifier(request.sizes, len(labels))
    else:
        model = build_encoder(request.sizes)
    request.load(model)
    return model, Card(request.export_type, request.do_lower_case, request.max_seq_length, labels)


def main() -> None:
    """Exports what the flags name."""
    request = request_flags.common_request(fixed_length=True)
    export_dir = Path(flags.FLAGS.export_dir)
    model, card = load_model(request)
    fidelity = export_litert(request.export_type, model, request.vocab_file, card, export_dir)
    sys.stdout.write(f"{export_dir}: {fidelity}\n")


if __name__ == "__main__":
    flags.launch(define_flags, main)
