"""The page of `--report`: what a run knows of itself, around what its job found."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bert_tf import files
from bert_tf.config import BertConfig
from bert_tf.reporting import charts
from bert_tf.reporting.markup import join
from bert_tf.reporting.page import Run, Section, render
from bert_tf.tasks.job import Job, Outputs
from bert_tf.training import reports
from bert_tf.training.options import FinetuningOptions

REPORT_FILE = "report.html"
_TIME = "%Y-%m-%d %H:%M:%S %z"
_CURVE_WINDOWS = 25  # the mean of a curve is taken over this part of it
# Shown elsewhere, or of no meaning here: the steps follow from the epochs.
_APART = (
    *("training", "config", "command", "report", "runtime"),
    *("num_train_steps", "num_warmup_steps", "max_eval_steps"),
)


def write(
    job: Job,
    outputs: Outputs,
    scores: Mapping[str, float],
    weights: str,
    options: FinetuningOptions,
) -> Path:
    """Writes `report.html` into the output directory.

    Args:
        job: Knows the task.
        outputs: Of its evaluation examples.
        scores: Of the outputs, all of them.
        weights: Which weights were evaluated, in words.
        options: Of the run.

    Returns:
        The page's path.
    """
    directory = options.training.output_dir
    names = sorted(scores, key=lambda name: name != job.metric)  # the chief one first
    run = Run(
        model=_model(options.config, weights),
        command=options.command,
        made=time.strftime(_TIME),
        scores={name: scores[name] for name in names},
        settings=_settings(job.describe(), options),
        training=_training(directory, job.metric),
    )
    path = directory / REPORT_FILE
    files.write_text(path, render(job.report(outputs), run))
    return path


def _model(config: BertConfig | None, weights: str) -> str:
    if config is None:
        return weights
    return (
        f"BERT, {config.num_hidden_layers} layers of {config.hidden_size}, "
        f"{config.num_attention_heads} heads, {weights}"
    )


def _settings(
    described: Mapping[str, object], options: FinetuningOptions
) -> dict[str, dict[str, object]]:
    training, runtime = options.training, options.training.runtime
    own = {
        field.name: getattr(holder, field.name)
        for holder in (options, training)
        for field in dataclasses.fields(holder)
        if field.name not in _APART
    }
    config = options.config.to_dict() if options.config else {}
    groups: dict[str, dict[str, object]] = {
        "Task": dict(described),
        "Training and evaluation": own,
        "Devices": dataclasses.asdict(runtime),
        "Model": dict(config),
    }
    return {name: values for name, values in groups.items() if values}


def _training(directory: Path, metric: str) -> Sequence[Section]:
    """Curves of the run that trained the model, where it left its metrics."""
    drawn = []
    rows = _with("loss", reports.read_metrics(directory / reports.METRICS_FILE))
    if len(rows) > 1:
        about = "Loss of the training batches by step, and its mean over the steps around."
        drawn.append(charts.lines("loss", about, _smoothed(rows), ("step", "loss")))
    rows = _with(metric, reports.read_metrics(directory / reports.EVALUATIONS_FILE))
    if len(rows) > 1:
        curve = ([row["step"] for row in rows], [row[metric] for row in rows])
        about = f"{metric} of the evaluations during training."
        drawn.append(charts.lines("evaluations", about, {metric: curve}, ("step", metric)))
    if not drawn:
        return []
    body = Markup('<div class="charts">{}</div>').format(join(drawn))
    return [Section("training", "Training", body)]


def _with(name: str, rows: Sequence[Mapping[str, float]]) -> list[Mapping[str, float]]:
    """Rows that have a figure: an earlier run of another task may have written to the file."""
    return [row for row in rows if name in row]


def _smoothed(rows: Sequence[Mapping[str, float]]) -> dict[str, tuple[Sequence[float], Any]]:
    """The loss, and its moving mean; at the ends, over what is there."""
    steps, losses = [row["step"] for row in rows], np.array([row["loss"] for row in rows])
    width = max(len(rows) // _CURVE_WINDOWS, 1)
    window = np.ones(2 * width + 1)
    sums, counts = (
        np.convolve(values, window)[width:-width] for values in (losses, np.ones_like(losses))
    )
    return {"batch": (steps, losses), "mean": (steps, sums / counts)}
