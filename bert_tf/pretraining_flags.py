"""Flags of run_pretraining beside those of 2018: masks drawn anew, and a second phase.

As in `flags`, nothing is defined on import.
"""

import dataclasses
from dataclasses import dataclass

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.inputs.datasets import RecordSource, open_records
from bert_tf.tasks import PretrainingTask
from bert_tf.training.options import TrainingOptions


def define_dynamic_masking() -> None:
    """Whether masks are drawn in training, and what that needs to know."""
    absl_flags.DEFINE_bool(
        "dynamic_masking", False, "Draw masks anew in every epoch; evaluation keeps the records'."
    )
    absl_flags.DEFINE_float("masked_lm_prob", 0.15, "Share of the tokens --dynamic_masking masks.")
    absl_flags.DEFINE_string(
        "vocab_file", None, "Vocabulary of the records, for --dynamic_masking alone."
    )


def define_second_phase() -> None:
    """Longer sequences for the last steps, as the paper trains (its appendix A.2)."""
    absl_flags.DEFINE_string(
        "second_input_file", None, "Records of longer sequences; makes two phases of the training."
    )
    absl_flags.DEFINE_float(
        "first_phase", 0.9, "Share of --num_train_steps before --second_input_file is read."
    )
    absl_flags.DEFINE_integer("second_max_seq_length", 512, "Tokens of its records.")
    absl_flags.DEFINE_integer("second_max_predictions_per_seq", 77, "Predictions of its records.")
    absl_flags.DEFINE_integer(
        "second_train_batch_size", None, "Examples of a step then; default: --train_batch_size."
    )


@dataclass(frozen=True)
class Phase:
    """Steps of a training that read records of one length.

    Attributes:
        task: The task at this length.
        options: Of the loop; `first_step` and `last_step` are the phase's.
        input_file: Its records.
    """

    task: PretrainingTask
    options: TrainingOptions
    input_file: str

    def records(self) -> RecordSource:
        """The phase's records, checked.

        Raises:
            RecordError: See `open_records` and `RecordSource.masked_anew`.
            ValueError: If masks are to be drawn without a vocabulary.
        """
        source = open_records(self.input_file, *self.task.schema())
        values = flags.FLAGS
        if not values.dynamic_masking:
            return source
        if not values.vocab_file:
            raise ValueError(
                "--dynamic_masking needs --vocab_file: the vocabulary that the records were made "
                "with, since random words and [MASK] are drawn from it."
            )
        seed = self.options.runtime.seed
        return source.masked_anew(values.vocab_file, values.masked_lm_prob, seed)


def phases_from_flags() -> list[Phase]:
    """One phase, or two with --second_input_file, in order."""
    values, options = flags.FLAGS, flags.pretraining_from_flags()
    config = flags.config_from_flags()

    def task(length: int, predictions: int) -> PretrainingTask:
        return PretrainingTask(config, length, predictions, options.runtime.seed)

    first_task = task(values.max_seq_length, values.max_predictions_per_seq)
    if not values.second_input_file:
        return [Phase(first_task, options, values.input_file)]
    change = round(options.num_train_steps * values.first_phase)
    if not 0 < change < options.num_train_steps:
        raise ValueError(
            "--first_phase must leave at least one step to each phase, but is "
            f"{values.first_phase} of {options.num_train_steps} steps. Use a share such as 0.9."
        )
    batch_size = values.second_train_batch_size or options.train_batch_size
    first = dataclasses.replace(options, last_step=change)
    second = dataclasses.replace(options, first_step=change, train_batch_size=batch_size)
    second_task = task(values.second_max_seq_length, values.second_max_predictions_per_seq)
    return [
        Phase(first_task, first, values.input_file),
        Phase(second_task, second, values.second_input_file),
    ]
