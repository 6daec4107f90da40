"""Flags that commands of this folder have beside those of the 2018 script."""

from __future__ import annotations

from absl import flags

from data_prep.options import NEXT_SENTENCE, GenerationOptions


def define_choices() -> None:
    """What is masked and asked for; the defaults are the original's."""
    defaults = GenerationOptions()
    flags.DEFINE_float(
        "mask_share", defaults.mask_share, "Share of the predictions that [MASK] replaces."
    )
    flags.DEFINE_float(
        "random_share",
        defaults.random_share,
        "Share of the predictions that a random token replaces; the others stay as they are.",
    )
    flags.DEFINE_integer(
        "max_ngram",
        defaults.max_ngram,
        "Most tokens (with --do_whole_word_mask: words) that are masked together; n of them with "
        "a probability proportional to 1/n.",
    )
    flags.DEFINE_enum(
        "next_sentence",
        defaults.next_sentence,
        NEXT_SENTENCE,
        "random: the next sentence or one from elsewhere, as the original; order: two runs of "
        "sentences, half of them swapped (ALBERT); none: full sentences in one part (RoBERTa).",
    )
