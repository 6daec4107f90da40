"""Fine-tunes BERT to answer questions on SQuAD 1.1 or 2.0, predicts answers, and scores them.

    python -m bert_tf.run_squad --vocab_file=vocab.txt --bert_config_file=bert_config.json \\
      --init_checkpoint=bert_model.ckpt --do_train --train_file=train-v1.1.json \\
      --do_predict --predict_file=dev-v1.1.json --train_batch_size=12 --learning_rate=3e-5 \\
      --num_train_epochs=2.0 --max_seq_length=384 --doc_stride=128 --output_dir=squad

All flags of the 2018 release keep name, default and meaning. BERT-Base should reach an F1 of 88.5
and an exact match of 81 on the development set of version 1.1; it takes a GPU some two hours.
--pad_to_batch is twice as fast; without it, padding counts in every softmax as in the original.
"""

from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.tasks.squad_answers import AnswerFinder
from bert_tf.tasks.squad_features import SquadFeaturizer
from bert_tf.tasks.squad_job import SquadJob, SquadOptions
from bert_tf.training import finetuning, reports, runtime


def define_flags() -> None:
    """All flags of this command."""
    flags.define_finetuning(max_seq_length=384, pad_to_batch=False)
    absl_flags.DEFINE_string("train_file", None, "SQuAD file to train on, .json or .json.gz.")
    absl_flags.DEFINE_string("predict_file", None, "SQuAD file to predict and to evaluate on.")
    absl_flags.DEFINE_integer("doc_stride", 128, "Tokens from one window to the next.")
    absl_flags.DEFINE_integer("max_query_length", 64, "Most tokens of a question.")
    absl_flags.DEFINE_integer("n_best_size", 20, "Answers in the n-best list of a question.")
    absl_flags.DEFINE_integer("max_answer_length", 30, "Most tokens of an answer.")
    absl_flags.DEFINE_bool("verbose_logging", False, "Accepted for old command lines.")
    absl_flags.DEFINE_bool("version_2_with_negative", False, "Questions may have no answer.")
    absl_flags.DEFINE_float(
        "null_score_diff_threshold", 0.0, "Odds of no answer above which there is none."
    )
    absl_flags.adopt_module_key_flags(flags)  # so that --help shows them


def main() -> None:
    """Trains, evaluates, predicts, as the flags say."""
    options, values = flags.finetuning_from_flags(), flags.FLAGS
    tokenizer = flags.tokenizer_from_flags()
    job = SquadJob(
        SquadOptions(
            Path(values.train_file) if values.train_file else None,
            Path(values.predict_file) if values.predict_file else None,
            values.version_2_with_negative,
            values.null_score_diff_threshold,
            options.training.output_dir,
            flags.vocab_file_from_flags()[0],
            options.pad_to_batch,
        ),
        flags.config_from_flags(),
        SquadFeaturizer(
            tokenizer, values.max_seq_length, values.doc_stride, values.max_query_length
        ),
        AnswerFinder(
            tokenizer, values.n_best_size, values.max_answer_length, values.version_2_with_negative
        ),
        reports.say,
    )
    finetuning.run(job, runtime.start(options.training.runtime), options)


if __name__ == "__main__":
    flags.launch(define_flags, main)
