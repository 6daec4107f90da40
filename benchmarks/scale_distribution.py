"""Are the records of scale mode distributed as those of exact mode? Chi-squared tests say.

    python -m benchmarks.scale_distribution
    python -m benchmarks.scale_distribution --text TEXT[.gz] --vocab VOCAB --megabytes 4

For each seed both modes generate records of one text, and five counts are compared: lengths, random
next sentences, predictions of a record, what is shown for them (80/10/10), and their places. No p
may be below 0.001. Beside each stands the smallest p of a control, exact mode with two seeds: it
shows what the test gives where both sides are the same. Documents should be short: examples of one
pass share its target length, so that those of long documents are no independent draws.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2_contingency

from benchmarks.data_generation import MEGABYTE, write_slice
from data_prep.create_pretraining_data import Run, create_records, scale_run
from data_prep.options import GenerationOptions
from data_prep.scale import create_shards
from data_prep.statistics import Findings, Statistics
from tests.support.texts import VOCAB, write_texts

REJECTED = 0.001
_LEAST_EXPECTED = 10  # a cell with fewer is joined with the next
_SENTENCES = 4
_OTHER_SEED = 1000


def exact(run: Run) -> Statistics:
    """Statistics of the exact mode's records."""
    told: list[Findings] = []
    create_records(run, told.append)
    return told[0].statistics


def scaled(run: Run, shards: int) -> Statistics:
    """Statistics of the scale mode's."""
    return create_shards(scale_run(run, shards)).findings.statistics


def counts_of(statistics: Statistics) -> dict[str, npt.NDArray[np.int64]]:
    """The counts that are compared, by name."""
    random = statistics.counts[0]
    return {
        "lengths": statistics.lengths,
        "random next": np.array([random, statistics.records - random]),
        "predictions": statistics.predictions,
        "80/10/10": statistics.counts[-3:],
        "places": statistics.positions,
    }


def p_value(left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]) -> float:
    """How likely two rows of counts are at least as different if they are of one distribution."""
    cells: list[list[int]] = []
    begun = np.zeros(2, np.int64)
    share = min(left.sum(), right.sum()) / (left.sum() + right.sum())
    for pair in np.stack([left, right], axis=1):
        begun += pair
        if begun.sum() * share >= _LEAST_EXPECTED:
            cells.append(begun.tolist())
            begun = np.zeros(2, np.int64)
    if cells:
        cells[-1] = (np.array(cells[-1]) + begun).tolist()
    return float(chi2_contingency(np.array(cells).T, correction=False).pvalue)


def compare(left: Statistics, right: Statistics) -> dict[str, float]:
    """p by what is compared."""
    one, two = counts_of(left), counts_of(right)
    return {name: p_value(one[name], two[name]) for name in one}


def one_seed(
    text: Path, vocab: str, seed: int, options: argparse.Namespace
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """p between the modes, and that of the control."""

    def run_of(number: int, folder: str) -> Run:
        made = GenerationOptions(random_seed=number, dupe_factor=options.dupe_factor)
        return Run((str(text),), (f"{folder}/records{number}",), vocab, True, made)

    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stderr(nowhere),
    ):
        exactly = exact(run_of(seed, folder))
        other = exact(run_of(seed + _OTHER_SEED, folder))
        return compare(exactly, scaled(run_of(seed, folder), 3)), compare(exactly, other)


def main() -> int:
    """Parses the command line; exit status 0 if nothing is rejected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", help="text, a sentence a line; .gz too; default: made up")
    parser.add_argument("--vocab", default=str(VOCAB))
    parser.add_argument("--megabytes", type=float, default=2.0, help="of text")
    parser.add_argument("--dupe_factor", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    smallest: dict[str, float] = {}
    of_control: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text0.txt")
        if options.text:
            write_slice(options.text, text, int(options.megabytes * MEGABYTE))
        else:
            write_texts(Path(folder), 1, options.megabytes, longest=_SENTENCES)
        for seed in range(1, options.seeds + 1):
            found, control = one_seed(text, options.vocab, seed, options)
            figures = "  ".join(f"{name} {p:.3f}" for name, p in found.items())
            print(f"seed {seed:>3}  p  {figures}", flush=True)
            for name in found:
                smallest[name] = min(smallest.get(name, 1.0), found[name])
                of_control[name] = min(of_control.get(name, 1.0), control[name])
    for name, p in smallest.items():
        print(f"{name:12} smallest p {p:.4f}, of the control {of_control[name]:.4f}")
    rejected = [name for name, p in smallest.items() if p < REJECTED]
    print(
        f"REJECTED: {', '.join(rejected)}"
        if rejected
        else f"No test of {len(smallest)} x {options.seeds} rejects at {REJECTED}."
    )
    return 1 if rejected else 0


if __name__ == "__main__":
    sys.exit(main())
