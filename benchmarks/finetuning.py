"""Fine-tuning on GLUE beside PyTorch: same weights, batch, rate and epochs, several seeds.

    python -m benchmarks.finetuning --data ../glue --model all-MiniLM-L6-v2 --tasks MRPC CoLA \\
      --torch_python venv/bin/python

`--data` holds a directory for each task, `--model` is a Hugging Face folder, and the interpreter
of `--torch_python` has torch and transformers. For each task and seed both sides train in turn;
then a line tells mean and deviation of the task's metric on the development set, and how many
times as fast ours was. A task takes half an hour on two cores with MiniLM.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bert_tf.tasks import metrics
from bert_tf.tasks.glue import GLUE, GlueTask, read_split
from bert_tf.tasks.text_tables import as_number

ROOT = Path(__file__).parents[1]


def gold_of(task: GlueTask, data: Path) -> np.ndarray:
    """Labels of the development set, as numbers."""
    examples = read_split(data, task.dev, "en")
    if not task.labels:
        return np.array([as_number(example) for example in examples])
    return np.array([task.labels.index(example.label or "") for example in examples])


def ours(name: str, seed: int, options: argparse.Namespace) -> tuple[float, float]:
    """Metric and seconds of training through `run_classifier`."""
    with tempfile.TemporaryDirectory(prefix="bert_tf_finetuning_") as folder:
        command = [
            *(sys.executable, "-m", "bert_tf.run_classifier"),
            *(f"--task_name={name}", f"--data_dir={options.data / name}", f"--seed={seed}"),
            *(f"--init_checkpoint={options.model}", "--do_train", "--do_eval"),
            *(f"--train_batch_size={options.batch_size}", "--eval_batch_size=64"),
            *(f"--learning_rate={options.rate}", f"--num_train_epochs={options.epochs}"),
            *(f"--max_seq_length={options.length}", f"--output_dir={folder}/out"),
            "--save_checkpoints_steps=1000000",
        ]
        subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        lines = (Path(folder) / "out" / "eval_results.txt").read_text().splitlines()
        results = dict(line.split(" = ") for line in lines)
        rows = (Path(folder) / "out" / "metrics.jsonl").read_text().splitlines()
        times = [json.loads(row)["time"] for row in rows]
        steps = [json.loads(row)["step"] for row in rows]
        # The first look comes after the first step: what it took to compile is not in here.
        seconds = (times[-1] - times[0]) * steps[-1] / max(steps[-1] - steps[0], 1)
    return float(results[GLUE[name.lower()].metrics[0]]), seconds


def torchs(name: str, seed: int, options: argparse.Namespace) -> tuple[float, float]:
    """Metric and seconds of training with PyTorch."""
    task, data = GLUE[name.lower()], options.data / name
    layout = task.train
    if layout is None:
        raise SystemExit(f"{name} has nothing to train on.")
    message = {
        "model": str(options.model),
        "labels": list(task.labels),
        "train": str(data / layout.file),
        "dev": str(data / (task.dev or layout).file),
        "columns": {
            "text_a": layout.text_a,
            "text_b": layout.text_b,
            "label": layout.label,
            "header": layout.header,
        },
        "seed": seed,
        "threads": os.cpu_count(),
        "batch_size": options.batch_size,
        "rate": options.rate,
        "epochs": options.epochs,
        "length": options.length,
    }
    done = subprocess.run(
        [options.torch_python, str(ROOT / "benchmarks" / "peers" / "torch_finetuning.py")],
        input=json.dumps(message),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"PyTorch's side failed: {done.stderr[-2000:]}")
    answer = json.loads(done.stdout.splitlines()[-1])
    logits = np.array(answer["logits"])
    said = np.argmax(logits, axis=1) if task.labels else logits[:, 0]
    metric = metrics.METRICS[task.metrics[0]]
    return metric(gold_of(task, data), said), float(answer["seconds"])


def compare(name: str, options: argparse.Namespace) -> str:
    """Trains both sides with every seed, in turn; a line of the table."""
    scores: dict[str, list[float]] = {"ours": [], "torch": []}
    ratios = []
    for seed in options.seeds:
        seconds = {}
        for side, run in (("ours", ours), ("torch", torchs)):
            score, seconds[side] = run(name, seed, options)
            scores[side].append(score)
            print(
                f"{time.strftime('%H:%M')} {name} seed {seed} {side}: {score:.4f} "
                f"in {seconds[side]:.0f} s",
                flush=True,
            )
        ratios.append(seconds["torch"] / seconds["ours"])
    deviations = {side: np.std(row, ddof=1) if len(row) > 1 else 0 for side, row in scores.items()}
    texts = [f"{np.mean(row):.4f} ± {deviations[side]:.4f}" for side, row in scores.items()]
    metric = GLUE[name.lower()].metrics[0]
    return f"{name:6} {metric:22} {texts[0]:18} {texts[1]:18} {np.median(ratios):5.2f}x"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--torch_python", required=True)
    parser.add_argument("--tasks", nargs="+", default=["MRPC", "RTE", "STS-B", "CoLA"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--rate", type=float, default=5e-5)
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--length", type=int, default=128)
    options = parser.parse_args()
    options.data, options.model = options.data.resolve(), options.model.resolve()
    lines = [compare(name, options) for name in options.tasks]
    print(f"{'task':6} {'metric':22} {'ours':18} {'torch':18} speed")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
