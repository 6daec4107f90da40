"""Pretrains BERT on records, and evaluates it: masked language model and next sentence.

    python -m bert_tf.run_pretraining \\
      --input_file=records/*.tfrecord --output_dir=model \\
      --bert_config_file=bert_config.json --do_train --do_eval \\
      --train_batch_size=32 --num_train_steps=20 --num_warmup_steps=10 --learning_rate=2e-5

All flags of the 2018 release keep name, default and meaning. The same command again resumes a run
that was stopped or killed. BERT-Base makes about 3 sequences of 128 tokens a second on two CPU
cores; the two layers of `make demo` make 300.
"""

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.inputs.datasets import open_records
from bert_tf.tasks import PretrainingTask
from bert_tf.training import evaluation, loop, runtime


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_training()
    flags.define_pretraining()
    flags.define_runtime()
    absl_flags.adopt_module_key_flags(flags)  # so that --help shows them


def main() -> None:
    """Trains, evaluates, or both, as the flags say."""
    options = flags.pretraining_from_flags()
    task = PretrainingTask(
        flags.config_from_flags(),
        flags.FLAGS.max_seq_length,
        flags.FLAGS.max_predictions_per_seq,
        options.runtime.seed,
    )
    started = runtime.start(options.runtime)
    if flags.FLAGS.do_eval:  # Better refused now than after the training.
        options.check_evaluation(started.replicas)
    source = open_records(flags.FLAGS.input_file, *task.schema())
    if flags.FLAGS.do_train:
        loop.train(task, started, options, source)
    if flags.FLAGS.do_eval:
        evaluation.evaluate(task, started, options, source)


if __name__ == "__main__":
    flags.launch(define_flags, main)
