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

from bert_tf import flags
from bert_tf.modeling import bilstm
from bert_tf.tasks.ner import DOCUMENT, SENTENCE
from bert_tf.tasks.ner_job import NerJob
from bert_tf.training import finetuning, reports, runtime

_FILES = {"train": "eng.train", "dev": "eng.testa", "test": "eng.testb"}


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_vocabulary()
    flags.define_training()
    flags.define_finetuning(max_seq_length=256)
    flags.define_runtime()
    absl_flags.DEFINE_string("data_dir", None, "Directory of eng.train, eng.testa, eng.testb.")
    absl_flags.DEFINE_string("train_file", None, "Column file to train on.")
    absl_flags.DEFINE_string("dev_file", None, "Column file to evaluate on.")
    absl_flags.DEFINE_string("predict_file", None, "Column file or .txt to predict.")
    absl_flags.DEFINE_enum(
        "context", DOCUMENT, [DOCUMENT, SENTENCE], "What sentences are read with."
    )
    absl_flags.DEFINE_enum(
        "feature_based", None, bilstm.FEATURES, "Train a BiLSTM on these features of a frozen BERT."
    )
    absl_flags.adopt_module_key_flags(flags)  # so that --help shows them


def _paths() -> dict[str, Path]:
    values = flags.FLAGS
    given = {"train": values.train_file, "dev": values.dev_file, "test": values.predict_file}
    folder = Path(values.data_dir) if values.data_dir else None
    paths = {split: Path(name) for split, name in given.items() if name}
    if folder:
        paths = {split: folder / name for split, name in _FILES.items()} | paths
    return paths


def main() -> None:
    """Trains, evaluates, predicts, as the flags say."""
    options, values = flags.finetuning_from_flags(), flags.FLAGS
    directory = options.training.output_dir
    known = finetuning.read_task(directory) if not values.do_train else {}
    job = NerJob(
        _paths(),
        flags.config_from_flags(),
        flags.tokenizer_from_flags(),
        flags.vocab_file_from_flags()[0],
        directory,
        values.max_seq_length,
        values.context,
        values.feature_based,
        tuple(known["labels"]) if "labels" in known else None,
        reports.say,
    )
    if values.feature_based:  # Only the tagger on top is trained.
        frozen = dataclasses.replace(options.training, freeze_layers=job.config.num_hidden_layers)
        options = dataclasses.replace(options, training=frozen)
    finetuning.run(job, runtime.start(options.training.runtime), options)


if __name__ == "__main__":
    flags.launch(define_flags, main)
