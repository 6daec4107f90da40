"""Converts between checkpoints of the 2018 release and Keras model files, both ways.

    python -m bert_tf.convert_checkpoint --bert_config_file=bert_config.json \\
      --input=uncased_L-12_H-768_A-12/bert_model.ckpt --output=bert.keras
    python -m bert_tf.convert_checkpoint --input=bert.keras --output=converted/bert_model.ckpt

A name that ends in .keras is a Keras file, anything else the prefix of a checkpoint. Weights
arrive bit for bit; a table says what went where. BERT-Base takes half a minute.
"""

import sys
from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.conversion.keras_files import KERAS_SUFFIX, checkpoint_to_keras, keras_to_checkpoint


def define_flags() -> None:
    """All flags of this command."""
    absl_flags.DEFINE_string("input", None, "Checkpoint or .keras file to read.", required=True)
    absl_flags.DEFINE_string("output", None, "Checkpoint or .keras file to write.", required=True)
    absl_flags.DEFINE_string(
        "bert_config_file", None, "Sizes of the model; needed to read a checkpoint."
    )


def main() -> None:
    """Converts in the direction that the names ask for."""
    source, target = flags.FLAGS.input, flags.FLAGS.output
    if source.endswith(KERAS_SUFFIX) == target.endswith(KERAS_SUFFIX):
        raise ValueError(
            f"One of --input and --output must end in {KERAS_SUFFIX} and the other must not, but "
            f"they are {source} and {target}."
        )
    if source.endswith(KERAS_SUFFIX):
        table = keras_to_checkpoint(Path(source), target)
    else:
        if not flags.FLAGS.bert_config_file:
            raise ValueError(
                f"--bert_config_file is needed to read the checkpoint {source}: it says how the "
                "model is built."
            )
        table = checkpoint_to_keras(flags.config_from_flags(), source, Path(target))
    width = max(map(len, table))
    for name, path in table.items():
        sys.stdout.write(f"{name:<{width}}  <->  {path}\n")
    sys.stdout.write(f"{len(table)} weights: {source} -> {target}\n")


if __name__ == "__main__":
    flags.launch(define_flags, main)
