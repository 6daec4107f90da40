"""What the fine-tuning benchmarks share: two sides that train in turns, and the table of both.

Ours runs as a command of the project, PyTorch's as a module of `benchmarks.peers` in an interpreter
that has torch and transformers. Both get the same weights, examples, batch size, rate and epochs,
and by default the same rule of update: AdamW, which is PyTorch's, not the Adam of 2018.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import PATIENT_THREADS
from bert_tf.optimization import RULES

ROOT = Path(__file__).parents[1]
OURS, PYTORCH = "ours", "PyTorch"
EVAL_BATCH_SIZE = 64
# Nothing is saved before the end: what training takes is training.
NEVER = 1_000_000


@dataclass(frozen=True)
class Settings:
    """What both sides are told.

    Attributes:
        model: Hugging Face folder with the weights to start from.
        torch_python: Interpreter with torch and transformers; "" leaves PyTorch out.
        seeds: A run of each side for each of them.
        batch_size: Examples of a step.
        rate: Learning rate after the warm-up.
        epochs: Passes over the training examples.
        length: Most tokens of a sequence.
        optimizer: Rule of our updates.
    """

    model: Path
    torch_python: str
    seeds: tuple[int, ...]
    batch_size: int
    rate: float
    epochs: float
    length: int
    optimizer: str


@dataclass(frozen=True)
class Outcome:
    """Scores in percent on the development set, and seconds of training."""

    scores: Mapping[str, float]
    seconds: float


Side = Callable[[int], Outcome]  # trains and predicts with a seed


def parser_of(
    description: str | None, batch_size: int, rate: float, epochs: float, length: int
) -> argparse.ArgumentParser:
    """A command line with the flags of `Settings` and --data; arguments are the defaults."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder")
    parser.add_argument("--torch_python", default="", help="interpreter with torch; none: no peer")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--batch_size", type=int, default=batch_size)
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--epochs", type=float, default=epochs)
    parser.add_argument("--length", type=int, default=length)
    parser.add_argument(
        "--optimizer", default="adamw", choices=list(RULES), help="ours; adam is the rule of 2018"
    )
    return parser


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of a parsed command line."""
    return Settings(
        options.model.resolve(),
        options.torch_python,
        tuple(options.seeds),
        options.batch_size,
        options.rate,
        options.epochs,
        options.length,
        options.optimizer,
    )


# --- ours ---


@contextlib.contextmanager
def trained(
    command: str, flags: Sequence[str], settings: Settings, seed: int
) -> Iterator[tuple[Path, float]]:
    """Trains with a command of the project.

    Args:
        command: Its name.
        flags: Those of this task alone.
        settings: Give the others.
        seed: Seed of the run.

    Yields:
        The output directory, which is removed afterwards, and the seconds of training.
    """
    with tempfile.TemporaryDirectory(prefix="bert_tf_finetuning_") as folder:
        line = [
            *(sys.executable, "-m", f"bert_tf.{command}", f"--output_dir={folder}"),
            *(f"--init_checkpoint={settings.model}", "--do_train", f"--seed={seed}"),
            *(f"--train_batch_size={settings.batch_size}", f"--learning_rate={settings.rate}"),
            *(f"--num_train_epochs={settings.epochs}", f"--max_seq_length={settings.length}"),
            *(f"--eval_batch_size={EVAL_BATCH_SIZE}", f"--predict_batch_size={EVAL_BATCH_SIZE}"),
            *(f"--save_checkpoints_steps={NEVER}", f"--optimizer={settings.optimizer}", *flags),
        ]
        subprocess.run(line, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
        yield Path(folder), training_seconds((Path(folder) / "metrics.jsonl").read_text())


def training_seconds(metrics: str) -> float:
    """Seconds of all steps, from the lines of `metrics.jsonl`.

    The first line comes after the first step: what it took to compile is not in here.
    """
    rows = [json.loads(line) for line in metrics.splitlines()]
    first, last = rows[0], rows[-1]
    measured = max(last["step"] - first["step"], 1)
    return float((last["time"] - first["time"]) * last["step"] / measured)


def read_scores(path: Path) -> dict[str, float]:
    """The scores of an `eval_results.txt`."""
    pairs = (line.split(" = ") for line in path.read_text().splitlines())
    return {name: float(value) for name, value in pairs}


# --- PyTorch's ---


def ask_torch(
    module: str, task: Mapping[str, Any], settings: Settings, seed: int
) -> dict[str, Any]:
    """Trains with a module of `benchmarks.peers`; its answer, with `seconds` of training.

    Args:
        module: Its name.
        task: What it has to know of the task.
        settings: Give the rest.
        seed: Seed of the run.
    """
    order = {
        **task,
        "model": str(settings.model),
        "seed": seed,
        "threads": os.cpu_count(),
        "batch_size": settings.batch_size,
        "rate": settings.rate,
        "epochs": settings.epochs,
        "length": settings.length,
    }
    done = subprocess.run(
        [settings.torch_python, "-m", f"benchmarks.peers.{module}"],
        input=json.dumps(order),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **PATIENT_THREADS},
    )
    if done.returncode:
        raise SystemExit(f"PyTorch's side failed with status {done.returncode}; see above.")
    return dict(json.loads(done.stdout.splitlines()[-1]))


# --- the table ---


def compare(
    name: str, ours: Side, torchs: Side | None, settings: Settings
) -> dict[str, list[Outcome]]:
    """Trains both sides with every seed, in turn; tells each outcome as it comes."""
    sides = {OURS: ours}
    if torchs and settings.torch_python:
        sides[PYTORCH] = torchs
    outcomes: dict[str, list[Outcome]] = {side: [] for side in sides}
    for seed in settings.seeds:
        for side, run in sides.items():
            outcome = run(seed)
            outcomes[side].append(outcome)
            scores = ", ".join(f"{metric} {value:.2f}" for metric, value in outcome.scores.items())
            print(
                f"{time.strftime('%H:%M')} {name}, seed {seed}, {side}: {scores}; "
                f"{outcome.seconds:.0f} s of training",
                flush=True,
            )
    return outcomes


def print_table(tasks: Mapping[str, Mapping[str, Sequence[Outcome]]]) -> None:
    """A line for each task and metric: both scores, seconds, and how many times as fast ours is."""
    width = max(map(len, tasks))
    titles = f"{'task':{width}} {'metric':22} {OURS:14} {PYTORCH:14}"
    print(f"{titles} {'seconds':>8} {PYTORCH:>8}  speed")
    for name, sides in tasks.items():
        for metric in sides[OURS][0].scores:
            texts = [_mean(sides.get(side, ()), metric) for side in (OURS, PYTORCH)]
            print(f"{name:{width}} {metric:22} {texts[0]:14} {texts[1]:14} {_speed(sides)}")


def _mean(outcomes: Sequence[Outcome], metric: str) -> str:
    values = [outcome.scores[metric] for outcome in outcomes]
    if len(values) < 2:
        return "".join(f"{value:.2f}" for value in values)
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values):.2f}"


def _speed(sides: Mapping[str, Sequence[Outcome]]) -> str:
    seconds = {side: [each.seconds for each in outcomes] for side, outcomes in sides.items()}
    ours, theirs = seconds[OURS], seconds.get(PYTORCH, [])
    text = f"{statistics.median(ours):8.0f}"
    if not theirs:
        return text
    ratio = statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
    return f"{text} {statistics.median(theirs):8.0f} {ratio:5.2f}x"
