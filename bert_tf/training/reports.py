"""What a run tells people: the progress line, the log of metrics, the picture of the curves."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from bert_tf import files

METRICS_FILE = "metrics.jsonl"
CURVES_FILE = "curves.png"
EVALUATIONS_FILE = "evaluations.jsonl"
EVAL_RESULTS_FILE = "eval_results.txt"

# Short names of metrics on the progress line, in this order; others are left to TensorBoard.
_ON_THE_LINE = {
    "loss": "loss",
    "accuracy": "acc",
    "masked_lm_accuracy": "mlm_acc",
    "next_sentence_accuracy": "nsp_acc",
    "learning_rate": "lr",
    "sequences_per_second": "seq/s",
}
_NO_CURVES = ("step", "time", "sequences_per_second")
_FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"


def say(message: str) -> None:
    """Tells the person at the terminal something, on standard output."""
    print(message, flush=True)  # noqa: T201


def say_above(message: str) -> None:
    """Tells something while a progress line is shown, which moves down for it."""
    tqdm.write(message, file=sys.stdout)
    sys.stdout.flush()


def warn(message: str) -> None:
    """The same on standard error."""
    print(message, file=sys.stderr, flush=True)  # noqa: T201


class Progress:
    """One line with loss, accuracies, rate and ETA, on standard error.

    Args:
        description: What is going on.
        total: Steps in all, if that is known.
        done: Steps done before.
        visible: False for the workers that stay silent.
    """

    def __init__(
        self, description: str, total: int | None, done: int = 0, visible: bool = True
    ) -> None:
        # A file is no terminal: a line every half a minute is enough there.
        interval = 0.2 if sys.stderr.isatty() else 30.0
        self._bar = tqdm(
            desc=description,
            total=total,
            initial=done,
            disable=not visible,
            mininterval=interval,
            bar_format=_FORMAT,
            file=sys.stderr,
        )

    def update(self, steps: int, metrics: Mapping[str, float] | None = None) -> None:
        """Moves on by `steps` and shows the metrics."""
        if metrics:
            shown = {
                short: f"{metrics[name]:.3g}" if short == "lr" else f"{metrics[name]:.4g}"
                for name, short in _ON_THE_LINE.items()
                if name in metrics
            }
            self._bar.set_postfix(shown, refresh=False)
        self._bar.update(steps)

    def close(self) -> None:
        """Ends the line."""
        self._bar.close()


class MetricsLog:
    """Metrics by step in a file of JSON lines, which survives restarts.

    Args:
        directory: Output directory.
        first_step: Rows after this step, of a run that was killed, are dropped.
    """

    def __init__(self, directory: Path, first_step: int) -> None:
        self.path = directory / METRICS_FILE
        rows = [row for row in read_metrics(self.path) if row["step"] <= first_step]
        files.write_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds a row."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "time": time.time(), **metrics}) + "\n")


def make_directory(path: Path) -> None:
    """Makes the output directory if need be.

    Raises:
        ValueError: If it cannot be made or written.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(
            f"--output_dir={path} must be a directory, but is a file. Name another directory."
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--output_dir={path} cannot be made: {error.strerror}. Name another directory."
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(
            f"--output_dir={path} must be writable, but this user may not write there. "
            "Name another directory, or change its permissions."
        )


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Rows of a metrics file; a last line that was cut off is left out."""
    rows = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                rows.append(json.loads(line))
            except ValueError:
                break
    return rows


def write_eval_results(directory: Path, results: Mapping[str, object]) -> Path:
    """Writes `eval_results.txt` as the original does: sorted lines of `key = value`."""
    path = directory / EVAL_RESULTS_FILE
    files.write_text(path, "".join(f"{key} = {results[key]}\n" for key in sorted(results)))
    return path


def draw_curves(directory: Path) -> Path | None:
    """Draws the run's curves from its metrics file into `curves.png`.

    Returns:
        The picture's path, or None where there is nothing to draw yet.
    """
    rows = read_metrics(directory / METRICS_FILE)
    if len(rows) < 2:
        return None
    # Imported here: drawing is a second of import time that training does not need.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = dict.fromkeys(name for row in rows for name in row if name not in _NO_CURVES)
    losses = [name for name in names if name.endswith("loss")]
    rates = [name for name in names if name == "learning_rate"]
    others = [name for name in names if name not in (*losses, *rates)]
    panels = [
        (title, drawn)
        for title, drawn in (("loss", losses), ("accuracy", others), ("learning rate", rates))
        if drawn
    ]
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (title, drawn) in zip(all_axes, panels, strict=True):
        for name in drawn:
            points = [(row["step"], row[name]) for row in rows if name in row]
            if points:
                axes.plot(*zip(*points, strict=True), label=name.replace("_", " "), linewidth=1.2)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if len(drawn) > 1:
            axes.legend(fontsize=8)
    path = directory / CURVES_FILE
    with files.replacing(path) as partial:
        canvas.print_png(partial)
    return path
