"""Fine-tunes BERT to answer questions on SQuAD 1.1 or 2.0, predicts answers, and scores them.

    python -m bert_tf.run_squad --vocab_file=vocab.txt --bert_config_file=bert_config.json \\
      --init_checkpoint=bert_model.ckpt --do_train --train_file=train-v1.1.json \\
      --do_predict --predict_file=dev-v1.1.json --train_batch_size=12 --learning_rate=3e-5 \\
      --num_train_epochs=2.0 --max_seq_length=384 --doc_stride=128 --output_dir=squad

All flags of the 2018 release keep name, default and meaning. BERT-Base should reach an F1 of 88.5
and an exact match of 81 on the development set of version 1.1; it takes a GPU some two hours.
--pad_to_batch is twice as fast; without it, padding counts in every softmax as in the original.
Of version 2.0, --do_eval finds the threshold of the best F1 and keeps it with the model;
predictions take it, unless --null_score_diff_threshold is given.
"""

from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags, task_flags
from bert_tf.tasks.job import find_task
from bert_tf.tasks.squad_answers import AnswerFinder
from bert_tf.tasks.squad_job import THRESHOLD, SquadJob, SquadOptions
from bert_tf.training import finetuning, runtime


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
        THRESHOLD,
        None,
        "Odds of no answer above which there is none; default: the best of an evaluation with "
        "--do_eval, which is kept with the model, or else 0.0.",
    )
    for module in (flags, task_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def main() -> None:
    """Trains, evaluates, predicts, as the flags say."""
    options, values = flags.finetuning_from_flags(), flags.FLAGS
    setting = task_flags.setting_from_flags(values.doc_stride)
    known = find_task(values.init_checkpoint) if values.init_checkpoint else None
    version_2 = values.version_2_with_negative
    job = SquadJob(
        SquadOptions(
            Path(values.train_file) if values.train_file else None,
            Path(values.predict_file) if values.predict_file else None,
            version_2,
            values[THRESHOLD].value,
            known.content.get(THRESHOLD) if known and not values.do_train else None,
            values.init_checkpoint,
            values.max_query_length,
            options.pad_to_batch,
        ),
        setting,
        AnswerFinder(setting.tokenizer, values.n_best_size, values.max_answer_length, version_2),
    )
    finetuning.run(job, runtime.start(options.training.runtime), options)


if __name__ == "__main__":
    flags.launch(define_flags, main)
