"""Fine-tuning on GLUE beside PyTorch: same weights, batch, rate and epochs, several seeds.

    python -m benchmarks.glue --data ../glue --model all-MiniLM-L6-v2 --tasks MRPC CoLA \\
      --torch_python venv/bin/python

`--data` holds a directory for each task, `--model` is a Hugging Face folder, and the interpreter
of `--torch_python` has torch and transformers. For each task and seed both sides train in turn;
then a line tells mean and deviation of the task's metric on the development set, and how many
times as fast ours was. A task takes half an hour on two cores with MiniLM.
"""

from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import finetuning
from benchmarks.finetuning import Outcome, Settings
from bert_tf.tasks import metrics
from bert_tf.tasks.glue import GLUE, GlueTask, read_split
from bert_tf.tasks.text_tables import as_number


def gold_of(task: GlueTask, data: Path) -> np.ndarray:
    """Labels of the development set, as numbers."""
    examples = read_split(data, task.dev, "en")
    if not task.labels:
        return np.array([as_number(example) for example in examples])
    return np.array([task.labels.index(example.label or "") for example in examples])


def ours(name: str, data: Path, settings: Settings, seed: int) -> Outcome:
    """The task through `run_classifier`."""
    flags = [f"--task_name={name}", f"--data_dir={data}", "--do_eval"]
    with finetuning.trained("run_classifier", flags, settings, seed) as (folder, seconds):
        scores = finetuning.read_scores(folder / "eval_results.txt")
    metric = GLUE[name.lower()].metrics[0]
    return Outcome({metric: 100.0 * scores[metric]}, seconds)


def torchs(name: str, data: Path, settings: Settings, seed: int) -> Outcome:
    """The task with PyTorch."""
    task = GLUE[name.lower()]
    layout = task.train
    if layout is None:
        raise SystemExit(f"{name} has nothing to train on.")
    order = {
        "labels": list(task.labels),
        "train": str(data / layout.file),
        "dev": str(data / (task.dev or layout).file),
        "columns": {
            "text_a": layout.text_a,
            "text_b": layout.text_b,
            "label": layout.label,
            "header": layout.header,
        },
    }
    answer = finetuning.ask_torch("torch_glue", order, settings, seed)
    logits = np.array(answer["logits"])
    said = np.argmax(logits, axis=1) if task.labels else logits[:, 0]
    score = metrics.METRICS[task.metrics[0]](gold_of(task, data), said)
    return Outcome({task.metrics[0]: 100.0 * score}, answer["seconds"])


def main() -> None:
    """Prints the table."""
    parser = finetuning.parser_of(__doc__, batch_size=32, rate=5e-5, epochs=3.0, length=128)
    parser.add_argument("--tasks", nargs="+", default=["MRPC", "RTE", "STS-B", "CoLA"])
    options = parser.parse_args()
    settings, outcomes = finetuning.settings_of(options), {}
    for name in options.tasks:
        data = options.data.resolve() / name
        outcomes[name] = finetuning.compare(
            name,
            partial(ours, name, data, settings),
            partial(torchs, name, data, settings),
            settings,
        )
    finetuning.print_table(outcomes)


if __name__ == "__main__":
    main()
