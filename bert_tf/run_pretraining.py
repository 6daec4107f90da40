"""Pretrains BERT on records, and evaluates it: masked language model and next sentence.

    python -m bert_tf.run_pretraining \\
      --input_file=records/*.tfrecord --output_dir=model \\
      --bert_config_file=bert_config.json --do_train --do_eval \\
      --train_batch_size=32 --num_train_steps=20 --num_warmup_steps=10 --learning_rate=2e-5

All flags of the 2018 release keep name, default and meaning. The same command again resumes a run
that was stopped or killed. With --second_input_file, the last tenth of the steps reads records of
longer sequences; --dynamic_masking draws masks anew in every epoch. BERT-Base makes about 3
sequences of 128 tokens a second on two CPU cores; the two layers of `make demo` make 300.
"""

from absl import flags as absl_flags

from bert_tf import flags, pretraining_flags
from bert_tf.training import evaluation, loop, runtime


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_training()
    flags.define_pretraining()
    pretraining_flags.define_dynamic_masking()
    pretraining_flags.define_second_phase()
    flags.define_runtime()
    for module in (flags, pretraining_flags):
        absl_flags.adopt_module_key_flags(module)  # so that --help shows them


def main() -> None:
    """Trains, evaluates, or both, as the flags say; evaluates on the last phase's records."""
    phases = pretraining_flags.phases_from_flags()
    last = phases[-1]
    started = runtime.start(last.options.runtime)
    if flags.FLAGS.do_eval:  # Better refused now than after the training.
        last.options.check_evaluation(started.replicas)
    sources = [phase.records() for phase in phases]
    if flags.FLAGS.do_train:
        for phase, source in zip(phases, sources, strict=True):
            loop.train(phase.task, started, phase.options, source)
    if flags.FLAGS.do_eval:
        evaluation.evaluate(last.task, started, last.options, sources[-1])


if __name__ == "__main__":
    flags.launch(define_flags, main)
