"""Flags of the commands that read people's texts: files, long texts, what a model knows already.

As in `flags`, nothing is defined on import.
"""

from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.conversion import huggingface
from bert_tf.inputs.packing import TRUNCATE, WINDOW
from bert_tf.tasks.job import (
    FLAGS_OF_SPLITS,
    KnownTask,
    Setting,
    find_task,
    holds_weights,
    read_task,
)
from bert_tf.training import reports


def define_files(published: str, kind: str) -> None:
    """Where examples come from: a directory of published files, or the user's own.

    Args:
        published: What --data_dir is a directory of.
        kind: What the user's own files are.
    """
    absl_flags.DEFINE_string("data_dir", None, f"Directory of {published}.")
    purposes = ("to train on", "to evaluate on", "to predict")
    for flag, purpose in zip(FLAGS_OF_SPLITS.values(), purposes, strict=True):
        absl_flags.DEFINE_string(flag.removeprefix("--"), None, f"{kind} {purpose}.")


def define_long_texts(default: str | None = TRUNCATE) -> None:
    """What is done with texts that are too long."""
    absl_flags.DEFINE_enum(
        "long_texts", default, [TRUNCATE, WINDOW], "What to do with texts that are too long."
    )
    absl_flags.DEFINE_integer(
        "doc_stride",
        None,
        "Tokens from one window over a long text to the next; default: half of --max_seq_length.",
    )


def files_from_flags() -> dict[str, Path]:
    """The user's own files by `train`, `dev` and `test`, those that are given."""
    given = {
        split: flags.FLAGS[flag.removeprefix("--")].value for split, flag in FLAGS_OF_SPLITS.items()
    }
    return {split: Path(name) for split, name in given.items() if name}


def stride_from_flags() -> int:
    """Tokens between windows over long texts; 0 to cut them."""
    values = flags.FLAGS
    return stride_of(values.long_texts, values.max_seq_length, values.doc_stride)


def stride_of(long_texts: str, length: int, stride: int | None) -> int:
    """The same of texts that are too long for `length` tokens, and what is done with them.

    Args:
        long_texts: `TRUNCATE` or `WINDOW`.
        length: Of an input, in tokens.
        stride: --doc_stride; None for its default.

    Raises:
        ValueError: The stride leaves text out, or is that of windows where there are none.
    """
    if long_texts == TRUNCATE:
        if stride is not None:
            raise ValueError(
                f"--doc_stride is the step from one window over a long text to the next, but it is "
                f"{stride} with --long_texts={TRUNCATE}, which cuts such texts. Give "
                f"--long_texts={WINDOW}, or leave --doc_stride out."
            )
        return 0
    if stride is None:
        return max(length // 2, 1)
    if not 1 <= stride < length:
        raise ValueError(
            f"--doc_stride must be at least 1 and below --max_seq_length = {length}, so that "
            f"windows overlap, but is {stride}."
        )
    return stride


def known_task_from_flags() -> KnownTask | None:
    """What the model was fine-tuned for: by --output_dir, if it holds the weights and they are not
    trained now, or else by --init_checkpoint; None where neither says it."""
    directory = Path(flags.FLAGS.output_dir)
    own = not flags.FLAGS.do_train and holds_weights(directory)
    found = read_task(directory) if own else None
    if found is None and flags.FLAGS.init_checkpoint:
        found = known_task_of(flags.FLAGS.init_checkpoint)
    return found


def known_task_of(checkpoint: str) -> KnownTask | None:
    """What a checkpoint was fine-tuned for, by its task.json or a Hugging Face folder's labels."""
    if not huggingface.is_folder(checkpoint):
        return find_task(checkpoint)
    labels = huggingface.read_labels(checkpoint)
    source = f"id2label in {Path(checkpoint) / huggingface.CONFIG}"
    return KnownTask(labels, len(labels) == 1, source, {}) if labels else None


def setting_from_flags(stride: int = 0) -> Setting:
    """What every fine-tuning job is given, with the stride of windows over long texts."""
    return Setting(
        flags.config_from_flags(),
        flags.tokenizer_from_flags(),
        flags.vocab_file_from_flags()[0],
        Path(flags.FLAGS.output_dir),
        flags.FLAGS.max_seq_length,
        stride,
        reports.say,
    )
