"""Writes an encoder or a classifier for LiteRT, with int8 weights: a quarter of the size.

    python -m saved_models.export_litert --export_type=classifier --init_checkpoint=mrpc/best \\
      --bert_config_file=bert_config.json --vocab_file=vocab.txt --max_seq_length=128 \\
      --export_dir=mrpc_lite

The folder holds `model.tflite`, the vocabulary and a card; `saved_models.litert_runner` runs it
with the tokenizer in Python, without TensorFlow. Inputs have a fixed length, so take the shortest
that your texts fit in. Labels are those of the run (`task.json`), of a Hugging Face folder, or
--labels. Before the folder gets its name, its vectors are compared with the model's. Takes half a
minute, for BERT-Base two.
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras
from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface, initialize
from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.task_heads import build_classifier
from bert_tf.tasks.job import find_task
from bert_tf.tokenization import FullTokenizer
from saved_models.litert import CLASSIFIER, ENCODER, export_litert
from saved_models.litert_runner import Card


def define_flags() -> None:
    """All flags of this command."""
    absl_flags.DEFINE_enum(
        "export_type", None, [ENCODER, CLASSIFIER], "What to write.", required=True
    )
    absl_flags.DEFINE_string("export_dir", None, "Folder to write; it must be new.", required=True)
    absl_flags.DEFINE_integer("max_seq_length", 128, "Tokens of every input, padding too.")
    absl_flags.DEFINE_list("labels", [], "Classes in the model's order; default: those of the run.")
    flags.define_model()
    flags.define_vocabulary()
    absl_flags.adopt_module_key_flags(flags)  # so that --help shows them


def labels_of(checkpoint: str, given: list[str]) -> tuple[str, ...]:
    """The names of the classes: those given, or those that lie beside the checkpoint.

    Raises:
      ValueError: there are none.
    """
    if given:
        return tuple(given)
    if huggingface.is_folder(checkpoint):
        labels = huggingface.read_labels(checkpoint)
    else:
        known = find_task(checkpoint)
        labels = known.labels if known else ()
    if not labels:
        raise ValueError(
            f"A classifier must have the names of its classes, but none lie beside {checkpoint}. "
            "Give --labels, in the order of the model's classes."
        )
    return labels


def load_model(
    kind: str, config: BertConfig, checkpoint: str, labels: tuple[str, ...]
) -> keras.Model:
    """The model with the checkpoint's weights, its head too.

    Raises:
      CheckpointError: the checkpoint is of another model.
      ValueError: it lacks the classifier's weights.
    """
    model = build_encoder(config) if kind == ENCODER else build_classifier(config, len(labels))
    report = initialize.load_weights(model, checkpoint)
    lacking = [name for name in report.initialized if kind == CLASSIFIER or "pooler" not in name]
    if lacking:
        raise ValueError(
            f"--export_type={kind} needs the weights {', '.join(lacking)}, but {checkpoint} lacks "
            "them. Give a checkpoint that was trained for it, or another --export_type."
        )
    return model


def main() -> None:
    """Exports what the flags name."""
    values = flags.FLAGS
    kind, checkpoint = values.export_type, values.init_checkpoint
    config = flags.config_from_flags()
    if not checkpoint:
        raise ValueError("--init_checkpoint must name the model to export, but is empty.")
    config.check_length(values.max_seq_length)
    vocab_file, do_lower_case = flags.vocab_file_from_flags()
    if len(FullTokenizer(vocab_file).vocab) > config.vocab_size:
        raise ValueError(
            f"--vocab_file must be the model's, of {config.vocab_size} tokens at most; "
            f"{vocab_file} has more. Name the one that lies beside the checkpoint."
        )
    labels = labels_of(checkpoint, values.labels) if kind == CLASSIFIER else ()
    model = load_model(kind, config, checkpoint, labels)
    card = Card(kind, do_lower_case, values.max_seq_length, labels)
    fidelity = export_litert(kind, model, Path(vocab_file), card, Path(values.export_dir))
    sys.stdout.write(f"{values.export_dir}: {fidelity}\n")


if __name__ == "__main__":
    flags.launch(define_flags, main)
