"""The page of --report: what generated records are like, one HTML file with charts."""

from __future__ import annotations

import datetime
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bert_tf.files import write_text
from data_prep.options import DataError
from data_prep.statistics import Findings

if TYPE_CHECKING:
    from markupsafe import Markup

    from bert_tf.reporting.page import Section


def check_report(path: str, taken: Sequence[str]) -> None:
    """Before hours of work: whether a page could be made afterwards; DataError if not.

    Args:
      path: of the page; its folder is made.
      taken: names that are not to be written over.
    """
    missing = [name for name in ("matplotlib", "markupsafe") if find_spec(name) is None]
    if missing:
        raise DataError(
            f"--report needs {' and '.join(missing)}: install what is missing, or leave it out."
        )
    if os.path.realpath(path) in map(os.path.realpath, taken):
        raise DataError(f"--report={path} is input or output of this run. Write to another name.")
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    if Path(path).is_dir() or not os.access(folder, os.W_OK):
        raise DataError(f"--report={path} cannot be written. Name a file in a folder of yours.")


def write_report(path: str, findings: Findings) -> None:
    """Writes the page; OSError where the file cannot be written."""
    # Imported here: engines generate records where no page is asked for.
    from bert_tf.reporting import page

    found = findings.statistics
    flags = findings.flags
    shown = page.Findings(
        f"Pretraining data: {_asked(findings)}",
        str(flags["input_file"]),
        found.records,
        [_masks(findings), _lengths(findings), _unknown(findings)],
    )
    scores = {
        findings.unit: float(found.records),
        "mean length": found.mean_length,
        **{name: float(count) for name, count in findings.facts.items()},
    }
    run = page.Run(
        model=f"BERT of {flags['max_seq_length']} tokens, vocabulary {flags['vocab_file']}",
        command=shlex.join(["python", *sys.argv]),
        made=f"{datetime.datetime.now():%Y-%m-%d %H:%M}",
        scores=scores,
        settings={"flags": flags},
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page.render(shown, run))


def _asked(findings: Findings) -> str:
    """What a model learns of the records."""
    return "masked words and next sentences" if findings.label else "masked words"


def _masks(findings: Findings) -> Section:
    from bert_tf.reporting import charts
    from bert_tf.reporting.markup import bar, table
    from bert_tf.reporting.page import Section

    found = findings.statistics
    of_pairs = {"random next": f"{findings.label}, of all pairs"} if findings.label else {}
    names = {
        **of_pairs,
        "masked": "asked for, of all tokens",
        "[MASK]": "shown as [MASK], of those asked for",
        "another token": "shown as another token",
        "kept": "shown as it is",
        "[UNK]": "unknown, of all tokens",
    }
    rows = [(title, bar(found.shares[name])) for name, title in names.items()]
    places = charts.counts(
        "positions",
        "Which places of a sequence are asked for: as often as there are tokens.",
        found.positions,
        ("place", "predictions"),
    )
    asked = charts.counts(
        "predictions", "Predictions of a record.", found.predictions, ("predictions", "records")
    )
    body = table(["share", "of 1"], rows, "Shares") + _side_by_side(places, asked)
    return Section("masks", _asked(findings).capitalize(), body)


def _lengths(findings: Findings) -> Section:
    from bert_tf.reporting import charts
    from bert_tf.reporting.markup import bar, table
    from bert_tf.reporting.page import Section

    found = findings.statistics
    chart = charts.counts(
        "lengths", "Lengths of all records.", found.lengths, ("tokens", "records")
    )
    short = found.lengths.copy()
    short[-1] = 0
    shorter = charts.counts(
        "shorter-lengths", "The same without full ones.", short, ("tokens", "records")
    )
    ends = np.cumsum(found.lengths) / max(found.records, 1)
    most = len(found.lengths) - 1
    steps = [most * part // 8 for part in range(1, 8)]
    rows = [(f"up to {step}", bar(float(ends[step]))) for step in steps]
    rows += [(f"fewer than {most}", bar(found.shares["shorter"]))]
    body = _side_by_side(chart, shorter) + table(["tokens", "records"], rows, "Lengths")
    return Section("lengths", "Lengths", body)


def _unknown(findings: Findings) -> Section:
    from markupsafe import Markup

    from bert_tf.reporting.markup import label, table
    from bert_tf.reporting.page import Section

    note = Markup("<p>In a sample of the lines that hold [UNK].</p>")
    rows = [(label(word), f"{count:,}") for word, count in findings.top_words]
    body = note + table(["word", "times"], rows, "Most frequent unknown words")
    if not rows:
        body = Markup("<p>There are none.</p>")
    return Section("unknown", "Unknown words", body)


def _side_by_side(*charts: Markup) -> Markup:
    from markupsafe import Markup

    return Markup('<div class="charts">{}</div>').format(Markup().join(charts))
