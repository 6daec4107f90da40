"""Adds words to a vocabulary, and rows for them to a checkpoint.

    python -m bert_tf.extend_vocab \\
      --init_checkpoint=uncased_L-12_H-768_A-12/bert_model.ckpt --vocab_file=vocab.txt \\
      --bert_config_file=bert_config.json --words=lidar,radome,##sonde --output_dir=with_words

Words take the [unused] entries first, whose ids stay, and are appended when there are none left
(--nofill_unused appends all). A new row, in the word embeddings, in the bias of the masked LM and
in the optimizer's slots, is the mean of the rows of the pieces that spelt the word before. Writes
bert_model.ckpt, vocab.txt and bert_config.json into --output_dir; what was read stays as it is.
BERT-Base takes a few seconds.
"""

import sys
from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.conversion.grown_rows import extend_model
from bert_tf.inputs.extended_vocabulary import extend_vocabulary


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_vocabulary()
    absl_flags.DEFINE_list("words", [], "New words, comma-separated.")
    absl_flags.DEFINE_string("words_file", None, "New words, one a line.")
    absl_flags.DEFINE_bool("fill_unused", True, "Put words in the place of [unused] entries first.")
    absl_flags.DEFINE_string("output_dir", None, "New folder for the model.", required=True)
    absl_flags.adopt_module_key_flags(flags)  # so that --help shows them


def main() -> None:
    """Finds places, grows the checkpoint, and says what was done."""
    values = flags.FLAGS
    if flags.huggingface_folder() or not values.init_checkpoint:
        raise ValueError(
            "--init_checkpoint must name a checkpoint of the release's form (a prefix or a "
            f"directory), but is {values.init_checkpoint}. bert_tf.convert_checkpoint makes one "
            "of a Hugging Face folder."
        )
    words = list(values.words)
    if values.words_file:
        words += Path(values.words_file).read_text(encoding="utf-8").split()
    tokenizer = flags.tokenizer_from_flags()
    config, target = flags.config_from_flags(), Path(values.output_dir)
    extended = extend_vocabulary(tokenizer, words, values.fill_unused)
    size, old_size = len(extended.tokens), len(tokenizer.vocab)
    grown = extend_model(
        values.init_checkpoint, target, config, extended.tokens, old_size, extended.pieces
    )
    appended = size - old_size
    sys.stdout.write(
        f"{len(extended.pieces) - appended} words in the place of [unused] entries, {appended} "
        f"appended, {len(extended.known)} known already; {size} tokens in {target}\n"
        f"new rows in {', '.join(grown)}\n"
    )


if __name__ == "__main__":
    flags.launch(define_flags, main)
