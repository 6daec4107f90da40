"""Converts between checkpoints of the 2018 release, Keras files and Hugging Face folders.

    python -m bert_tf.convert_checkpoint --bert_config_file=bert_config.json \\
      --input=uncased_L-12_H-768_A-12/bert_model.ckpt --output=bert.keras
    python -m bert_tf.convert_checkpoint --input=all-MiniLM-L6-v2 --output=minilm/bert_model.ckpt
    python -m bert_tf.convert_checkpoint --bert_config_file=bert_config.json \\
      --vocab_file=vocab.txt --input=model.ckpt-1000 --output=for_transformers \\
      --output_format=huggingface

A name that ends in .keras is a Keras file, a folder with a config.json is Hugging Face's, one with
a saved_model.pb is TF Hub's (and only read), anything else the prefix of a checkpoint. Weights
arrive bit for bit, heads included, and the labels of a task.json beside them become a folder's
id2label; a table says what went where. BERT-Base takes half a minute.
"""

import sys
from pathlib import Path
from typing import cast

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.config import BertConfig
from bert_tf.conversion import convert, initialize
from bert_tf.tasks.job import find_task


def define_flags() -> None:
    """All flags of this command."""
    define = absl_flags.DEFINE_string
    define("input", None, "Checkpoint, .keras file or folder to read.", required=True)
    define("output", None, "What to write.", required=True)
    absl_flags.DEFINE_enum(
        "output_format", None, convert.FORMS, "Form of --output; default: what its name says."
    )
    define("bert_config_file", None, "Sizes of the model, to read a checkpoint of the release.")
    define("vocab_file", None, "Vocabulary to put into a Hugging Face folder.")
    absl_flags.DEFINE_bool("do_lower_case", True, "Of that vocabulary.")


def _config(source: str, source_form: str, target_form: str) -> BertConfig | None:
    """The model's sizes, from where they are; None where they are not needed."""
    if form := initialize.form_at(source):
        return cast(BertConfig, form.read_config(source))
    if source_form == target_form or (source_form, target_form) == (convert.KERAS, convert.TF1):
        return None
    if not flags.FLAGS.bert_config_file:
        raise ValueError(
            f"--bert_config_file is needed to read the checkpoint {source}: it says how the "
            "model is built."
        )
    return BertConfig.from_json_file(flags.FLAGS.bert_config_file)


def main() -> None:
    """Converts in the direction that the names ask for, and prints the table."""
    values = flags.FLAGS
    source, target = values.input, values.output
    target_form = values.output_format or convert.form_of(target)
    config = _config(source, convert.form_of(source), target_form)
    vocab_file = Path(values.vocab_file) if values.vocab_file else None
    known = find_task(source)
    labels = known.labels if known else ()
    table = convert.convert(
        source, target, target_form, config, vocab_file, values.do_lower_case, labels
    )
    width = max(map(len, table))
    for name, path in table.items():
        sys.stdout.write(f"{name:<{width}}  <->  {path}\n")
    sys.stdout.write(f"{len(table)} weights: {source} -> {target}\n")


if __name__ == "__main__":
    flags.launch(define_flags, main)
