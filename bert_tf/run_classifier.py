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

from bert_tf import flags, task_flags
from bert_tf.tasks.classifier_job import ClassifierJob
from bert_tf.tasks.text_data import TextData, glue_data, own_data
from bert_tf.tasks.text_tables import Columns
from bert_tf.training import finetuning, runtime


def define_flags() -> None:
    """All flags of this command."""
    flags.define_finetuning()
    task_flags.define_files("the published files of --task_name", "Your table (.tsv, .csv, .jsonl)")
    task_flags.define_long_texts()
    define = absl_flags.DEFINE_string
    define("task_name", None, "A task of GLUE, or XNLI.")
    define("xnli_language", "zh", "Language of XNLI.")
    define("text_a", None, "Column of the text.")
    define("text_b", None, "Column of the second text, for pairs.")
    define("label", None, "Column of the label.")
    define("id", None, "Column that names the examples.")
    absl_flags.DEFINE_bool("regression", False, "Whether labels are numbers to be predicted.")
    for module in (flags, task_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def data_from_flags() -> TextData:
    """The published task of --task_name, or the user's own files."""
    values = flags.FLAGS
    known = task_flags.known_task_from_flags()
    if values.task_name:
        if not values.data_dir:
            raise ValueError(f"--task_name={values.task_name} needs its files: give --data_dir.")
        folder, language = Path(values.data_dir), values.xnli_language
        return glue_data(values.task_name, folder, language, known, values.do_train)
    paths = task_flags.files_from_flags()
    if not paths or not values.text_a:
        raise ValueError(
            "The examples are given by --task_name and --data_dir, or by your own --train_file, "
            "--dev_file or --predict_file and the name of their column in --text_a."
        )
    columns = Columns(values.text_a, values.text_b, values.label, values.id)
    return own_data(paths, columns, values.regression, known, values.do_train)


def main() -> None:
    """Trains, evaluates, predicts, as the flags say."""
    options = flags.finetuning_from_flags()
    setting = task_flags.setting_from_flags(task_flags.stride_from_flags())
    job = ClassifierJob(data_from_flags(), setting)
    finetuning.run(job, runtime.start(options.training.runtime), options)


if __name__ == "__main__":
    flags.launch(define_flags, main)
