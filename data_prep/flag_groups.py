"""Flags that commands of this folder have beside those of the 2018 script."""

from __future__ import annotations

from absl import flags

from data_prep.mixing import Mixture, corpora_of
from data_prep.options import NEXT_SENTENCE, GenerationOptions
from data_prep.readers import DOCUMENT_ENDS, INPUT_FORMATS, Reading


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


def define_second_phase() -> None:
    """Records of longer sequences from the same text, for the end of the training."""
    flags.DEFINE_string(
        "second_output_file",
        None,
        "TFRecord files of longer sequences, comma-separated: for --second_input_file of "
        "run_pretraining.",
    )
    flags.DEFINE_integer("second_max_seq_length", 512, "Tokens of an example in them.")
    flags.DEFINE_integer(
        "second_max_predictions_per_seq", 77, "Masked tokens of an example in them at most."
    )


def define_reading() -> None:
    """What the input files hold, and how often they are read."""
    defaults = Reading()
    flags.DEFINE_string(
        "input_file",
        None,
        "Names or globs, comma-separated: text, JSON lines, WikiExtractor's JSON, Parquet; text "
        "and JSON also packed with gzip or zstd.",
    )
    flags.DEFINE_enum(
        "input_format", defaults.input_format, INPUT_FORMATS, "auto: by name and content."
    )
    flags.DEFINE_string(
        "text_field", defaults.text_field, "Name of the text in JSON lines and Parquet."
    )
    flags.DEFINE_string(
        "sentence_splitter",
        defaults.sentence_splitter,
        "Language of running text, such as en: lines are split into sentences.",
    )
    flags.DEFINE_enum(
        "document_end",
        defaults.document_end,
        DOCUMENT_ENDS,
        "What ends a document of a text file; a row of JSON lines or Parquet is one anyway.",
    )
    flags.DEFINE_list(
        "weights", [], "How often to read what each pattern of --input_file names, e.g. 1,0.5,3."
    )
    flags.DEFINE_float(
        "sampling_exponent",
        None,
        "Makes small patterns of --input_file weigh more: share p of the text becomes p ** this "
        "(0.7 in the multilingual models).",
    )


def reading_from(values: flags.FlagValues) -> Reading:
    """Options of `define_reading`, apart from the files; DataError where they are wrong."""
    return Reading(
        values.input_format, values.text_field, values.sentence_splitter, values.document_end
    )


def files_from(values: flags.FlagValues, seed: int) -> tuple[list[str], Mixture | None]:
    """The files of `define_reading` and their mixture (errors as `mixing.corpora_of`)."""
    return corpora_of(values.input_file, values.weights, values.sampling_exponent, seed)
