"""Fine-tunes BERT to classify sentences and pairs, evaluates it, and predicts.

    python -m bert_tf.run_classifier --task_name=MRPC --data_dir=glue/MRPC \\
      --vocab_file=vocab.txt --bert_config_file=bert_config.json \\
      --init_checkpoint=bert_model.ckpt --do_train --do_eval --max_seq_length=128 \\
      --learning_rate=2e-5 --output_dir=mrpc

    python -m bert_tf.run_classifier --train_file=train.csv --dev_file=dev.csv --text_a=review \\
      --label=stars --init_checkpoint=all-MiniLM-L6-v2 --do_train --do_eval --output_dir=reviews

The first line is the 2018 release's: BERT-Base should reach an accuracy of 0.84 to 0.88 on MRPC.
The second takes any table; its classes are learned. The six layers of all-MiniLM-L6-v2 take MRPC in
six to eight minutes on two shared CPU cores (F1 0.85, 3 epochs, batch 32, rate 5e-5).
"""

from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags
from bert_tf.tasks.classification import TRUNCATE, WINDOW
from bert_tf.tasks.classifier_job import ClassifierJob, TextData, glue_data, own_data
from bert_tf.tasks.text_tables import Columns
from bert_tf.training import finetuning, reports, runtime


def define_flags() -> None:
    """All flags of this command."""
    flags.define_model()
    flags.define_vocabulary()
    flags.define_training()
    flags.define_finetuning()
    flags.define_runtime()
    define = absl_flags.DEFINE_string
    define("data_dir", None, "Directory of the published files of --task_name.")
    define("task_name", None, "A task of GLUE, or XNLI.")
    define("xnli_language", "zh", "Language of XNLI.")
    define("train_file", None, "Your table to train on: .tsv, .csv or .jsonl.")
    define("dev_file", None, "Your table to evaluate on.")
    define("predict_file", None, "Your table to predict.")
    define("text_a", None, "Column of the text.")
    define("text_b", None, "Column of the second text, for pairs.")
    define("label", None, "Column of the label.")
    define("id", None, "Column that names the examples.")
    absl_flags.DEFINE_bool("regression", False, "Whether labels are numbers to be predicted.")
    absl_flags.DEFINE_enum(
        "long_texts", TRUNCATE, [TRUNCATE, WINDOW], "What to do with texts that are too long."
    )
    absl_flags.DEFINE_integer("doc_stride", 64, "Tokens between windows of --long_texts=window.")
    absl_flags.adopt_module_key_flags(flags)  # so that --help shows them


def data_from_flags(output_dir: Path) -> TextData:
    """The published task of --task_name, or the user's own files."""
    values = flags.FLAGS
    if values.task_name:
        if not values.data_dir:
            raise ValueError(f"--task_name={values.task_name} needs its files: give --data_dir.")
        return glue_data(values.task_name, Path(values.data_dir), values.xnli_language)
    given = {"train": values.train_file, "dev": values.dev_file, "test": values.predict_file}
    if not any(given.values()) or not values.text_a:
        raise ValueError(
            "The examples are given by --task_name and --data_dir, or by your own --train_file, "
            "--dev_file or --predict_file and the name of their column in --text_a."
        )
    columns = Columns(values.text_a, values.text_b, values.label, values.id)
    paths = {split: Path(name) for split, name in given.items() if name}
    known = finetuning.read_task(output_dir) if not values.do_train else {}
    regression = values.regression or known.get("task") == "regression"
    labels = known.get("labels")
    return own_data(paths, columns, tuple(labels) if labels is not None else None, regression)


def main() -> None:
    """Trains, evaluates, predicts, as the flags say."""
    options = flags.finetuning_from_flags()
    values, directory = flags.FLAGS, options.training.output_dir
    job = ClassifierJob(
        data_from_flags(directory),
        flags.config_from_flags(),
        flags.tokenizer_from_flags(),
        flags.vocab_file_from_flags()[0],
        directory,
        values.max_seq_length,
        values.doc_stride if values.long_texts == WINDOW else 0,
        reports.say,
    )
    finetuning.run(job, runtime.start(options.training.runtime), options)


if __name__ == "__main__":
    flags.launch(define_flags, main)
