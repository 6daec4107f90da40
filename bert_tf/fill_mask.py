"""Fills each [MASK] of a sentence with the words that a pretrained BERT finds likeliest.

    python -m bert_tf.fill_mask --bert_config_file=bert_config.json --vocab_file=vocab.txt \\
      --init_checkpoint=model --sentence="The capital of France is [MASK]."

--init_checkpoint takes the prefix of a checkpoint, or a directory, whose newest is taken. Ten
seconds, most of them to start TensorFlow.
"""

import sys

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.conversion.tf1 import CheckpointError, load_weights
from bert_tf.modeling.heads import build_pretrainer
from bert_tf.tasks.fill_mask import MASK, Candidate, fill_mask
from bert_tf.tokenization import FullTokenizer, validate_case_matches_checkpoint

_BAR_WIDTH = 24


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_vocabulary()
    absl_flags.DEFINE_string("sentence", None, f"Text with {MASK} in it.", required=True)
    absl_flags.DEFINE_integer("top_k", 5, "Candidates for each [MASK].", lower_bound=1)
    absl_flags.adopt_module_key_flags(flags)  # so that --help shows them


def show(sentence: str, candidates: list[list[Candidate]]) -> str:
    """The sentence with the best words in place, and the candidates of each as bars."""
    text = sentence
    for ranked in candidates:
        text = text.replace(MASK, f"*{ranked[0].token}*", 1)
    lines = [text]
    for number, ranked in enumerate(candidates, start=1):
        lines.append(f"  {MASK} {number}")
        for candidate in ranked:
            bar = "█" * round(_BAR_WIDTH * candidate.probability)
            lines.append(f"    {candidate.probability:7.2%}  {candidate.token:<16} {bar}")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Loads the model and prints the candidates."""
    values = flags.FLAGS
    if not values.init_checkpoint:
        raise ValueError("--init_checkpoint must name a pretrained checkpoint, but is empty.")
    validate_case_matches_checkpoint(values.do_lower_case, values.init_checkpoint)
    tokenizer = FullTokenizer(values.vocab_file, values.do_lower_case)
    model = build_pretrainer(flags.config_from_flags())
    report = load_weights(model, values.init_checkpoint)
    lacking = [name for name in report.initialized if name.startswith("cls/predictions")]
    if lacking:
        raise CheckpointError(
            f"Filling masks needs the head of the masked language model, but {report.path} lacks "
            f"{', '.join(lacking)}. Use a pretrained checkpoint, not a fine-tuned one."
        )
    sys.stdout.write(
        show(values.sentence, fill_mask(model, tokenizer, values.sentence, values.top_k))
    )


if __name__ == "__main__":
    flags.launch(define_flags, main)
