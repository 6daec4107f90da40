"""Fine-tunes BERT to find named entities, evaluates it, and predicts.

    python -m bert_tf.run_ner --data_dir=conll2003 --vocab_file=vocab.txt \\
      --bert_config_file=bert_config.json --init_checkpoint=bert_model.ckpt --nodo_lower_case \\
      --do_train --do_eval --learning_rate=5e-5 --max_seq_length=256 --output_dir=ner

Files have a word a line and its tag in the last column; --predict_file takes plain text (.txt, a
sentence a line) as well. Cased BERT-Base should reach an F1 of 96.4 on the development set of
CoNLL-2003 (arXiv 1810.04805, table 7). --feature_based=concat_last_four and the like leave BERT as
it is and train a two-layer BiLSTM on its layers, with --learning_rate=1e-3: 96.1 there.
"""

import dataclasses
from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags, task_flags
from bert_tf.modeling import bilstm
from bert_tf.tasks.ner import DOCUMENT, SENTENCE
from bert_tf.tasks.ner_job import NerJob
from bert_tf.training import finetuning, runtime

_FILES = {"train": "eng.train", "dev": "eng.testa", "test": "eng.testb"}


def define_flags() -> None:
    """All flags of this command."""
    flags.define_finetuning(max_seq_length=256)
    task_flags.define_files("eng.train, eng.testa, eng.testb", "Column file (or .txt to predict)")
    absl_flags.DEFINE_enum(
        "context", DOCUMENT, [DOCUMENT, SENTENCE], "What sentences are read with."
    )
    absl_flags.DEFINE_enum(
        "feature_based", None, bilstm.FEATURES, "Train a BiLSTM on these features of a frozen BERT."
    )
    for module in (flags, task_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def _paths() -> dict[str, Path]:
    folder = flags.FLAGS.data_dir
    published = {split: Path(folder) / name for split, name in _FILES.items()} if folder else {}
    return published | task_flags.files_from_flags()


def _job() -> NerJob:
    values, known = flags.FLAGS, task_flags.known_task_from_flags()
    job = NerJob(_paths(), task_flags.setting_from_flags(), values.context, values.feature_based)
    # Trained now, a model learns the tags of its file; of the same ones, the order is kept.
    if known and known.labels and (not values.do_train or set(job.tags) == set(known.labels)):
        job.known_tags, job.tags_from = known.labels, known.source
    return job


def main() -> None:
    """Trains, evaluates, predicts, as the flags say."""
    options, job = flags.finetuning_from_flags(), _job()
    if flags.FLAGS.feature_based:  # Only the tagger on top is trained.
        layers = job.setting.config.num_hidden_layers
        frozen = dataclasses.replace(options.training, freeze_layers=layers)
        options = dataclasses.replace(options, training=frozen)
    finetuning.run(job, runtime.start(options.training.runtime), options)


if __name__ == "__main__":
    flags.launch(define_flags, main)
