"""Fine-tunes BERT to choose: SWAG's endings, or any table of questions with choices.

    python -m bert_tf.run_swag --data_dir=swag --vocab_file=vocab.txt \\
      --bert_config_file=bert_config.json --init_checkpoint=bert_model.ckpt --do_train --do_eval \\
      --train_batch_size=16 --learning_rate=2e-5 --output_dir=swag_model

    python -m bert_tf.run_swag --train_file=exam.csv --context=text --question=question \\
      --choices=a,b,c --label=right --init_checkpoint=model --do_train --output_dir=exam

BERT-Base should reach an accuracy of 81.6 on SWAG's development set (arXiv 1810.04805, table 4),
in a few hours on a GPU.
"""

from pathlib import Path

from absl import flags as absl_flags

from bert_tf import flags, task_flags
from bert_tf.inputs.packing import WINDOW
from bert_tf.tasks.multiple_choice import SWAG, ChoiceColumns
from bert_tf.tasks.multiple_choice_job import MultipleChoiceJob
from bert_tf.training import finetuning, runtime

_FILES = {"train": "train.csv", "dev": "val.csv", "test": "test.csv"}


def define_flags() -> None:
    """All flags of this command."""
    flags.define_finetuning()
    task_flags.define_files(
        "SWAG's train.csv, val.csv and test.csv", "Your table (.csv, .tsv, .jsonl)"
    )
    task_flags.define_long_texts(WINDOW)
    define = absl_flags.DEFINE_string
    define("context", None, "Column of the text that every choice is read with.")
    define("question", None, "Column of what stands before each choice.")
    absl_flags.DEFINE_list("choices", [], "Columns of the choices, or one with a JSON list.")
    define("label", None, "Column of the right choice: number, letter or text.")
    define("id", None, "Column that names the questions.")
    for module in (flags, task_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def _data() -> tuple[dict[str, Path], ChoiceColumns]:
    values = flags.FLAGS
    if values.data_dir:
        return {split: Path(values.data_dir) / name for split, name in _FILES.items()}, SWAG
    paths = task_flags.files_from_flags()
    if not paths or not values.context or not values.choices:
        raise ValueError(
            "The questions are given by --data_dir (SWAG), or by your own --train_file, --dev_file "
            "or --predict_file with their columns in --context and --choices."
        )
    if (values.do_train or values.do_eval) and not values.label:
        raise ValueError("--label must name the column of the right choice, but is empty.")
    columns = ChoiceColumns(
        values.context, values.question, tuple(values.choices), values.label, values.id
    )
    return paths, columns


def main() -> None:
    """Trains, evaluates, predicts, as the flags say."""
    options = flags.finetuning_from_flags()
    setting = task_flags.setting_from_flags(task_flags.stride_from_flags())
    job = MultipleChoiceJob(*_data(), setting)
    finetuning.run(job, runtime.start(options.training.runtime), options)


if __name__ == "__main__":
    flags.launch(define_flags, main)
