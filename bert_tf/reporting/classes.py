"""Classes: confusion, precision and recall of each, calibration, the most confident mistakes.

Shapes: N examples, C classes, K bins.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from sklearn import metrics

from bert_tf.reporting import charts
from bert_tf.reporting.markup import (
    LONGEST_LABEL,
    MOST_SHOWN,
    bar,
    clean,
    cut,
    folded,
    join,
    label,
    paragraph,
    percent,
    pick,
    shown_of,
    table,
    tag,
)
from bert_tf.reporting.page import Section

Array = npt.NDArray[Any]

MOST_CLASSES = 20  # of the confusion matrix; the rest are one row and one column
MOST_ROWS = 100  # of the table of classes
BINS = 10
OTHERS = "(others)"


@dataclass(frozen=True)
class Shown:
    """What is shown of an example: its name and its texts."""

    identifier: str
    texts: Sequence[str]


@dataclass(frozen=True)
class Calibration:
    """Probability and accuracy of the predicted class, in bins of equal width.

    Attributes:
        counts: Examples in each bin [K].
        confidence: Mean probability in each bin [K], NaN where there is none.
        accuracy: Share of right ones, likewise.
        error: Expected calibration error (arXiv 1706.04599): the mean distance of both, weighted
            by the counts.
    """

    counts: Array
    confidence: Array
    accuracy: Array
    error: float


def calibration(confidence: Array, right: Array) -> Calibration:
    """Of the probabilities [N] of the predicted classes, and whether those are right [N]."""
    known = np.isfinite(confidence)
    confidence, right = confidence[known], right[known]
    places = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    with np.errstate(invalid="ignore"):
        means = np.bincount(places, confidence, BINS) / counts
        shares = np.bincount(places, right.astype(np.float64), BINS) / counts
    distances = np.nan_to_num(np.abs(means - shares))
    return Calibration(
        counts, means, shares, float(np.sum(distances * counts) / max(len(confidence), 1))
    )


def sections(
    labels: Sequence[str], gold: Array, probabilities: Array, examples: Iterable[Shown]
) -> list[Section]:
    """The parts of a page about a classification.

    Args:
        labels: Names of the classes.
        gold: Right class of each example, int [N].
        probabilities: Of every class [N, C].
        examples: What is shown of them, in order; only the worst mistakes are kept.

    Raises:
        ValueError: If there are too few examples.
    """
    said = np.argmax(probabilities, axis=1)
    numbers = worst_mistakes(gold, said, probabilities)
    shown = pick(examples, numbers)
    items = [
        (
            int(gold[number]),
            int(said[number]),
            _mistake(labels, gold, said, probabilities, number, each),
        )
        for number, each in zip(numbers, shown, strict=True)
    ]
    wrong = int(np.sum(gold != said))
    return [
        Section("confusion", "Confusion matrix", confusion(labels, gold, said)),
        Section("classes", "Classes", by_class(labels, gold, said)),
        Section("calibration", "Calibration", reliability(probabilities.max(axis=1), gold == said)),
        Section("mistakes", "Worst mistakes", mistakes(labels, items, wrong)),
    ]


def confusion(labels: Sequence[str], gold: Array, said: Array) -> Markup:
    """Counts and shares of rows; of many classes, those with the most mistakes."""
    count = len(labels)
    matrix = metrics.confusion_matrix(gold, said, labels=np.arange(count))
    names: list[Markup] = [label(each) for each in labels]
    note = Markup()
    if count > MOST_CLASSES:
        wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * np.diag(matrix)
        kept = np.sort(np.argsort(-wrong, kind="stable")[:MOST_CLASSES])
        matrix = _grouped(matrix, kept)
        names = [*(names[number] for number in kept), Markup(OTHERS)]
        note = Markup("<p>The {} classes of {:,} with the most mistakes.</p>").format(
            MOST_CLASSES, count
        )
    right = min(count, MOST_CLASSES)
    caption = "Rows: right class. Columns: predicted class."
    return note + matrix_table(names, names, matrix, right, caption)


def _grouped(matrix: Array, kept: Array) -> Array:
    """The matrix of the kept classes [k + 1, k + 1]; the last row and column hold all others."""
    place = np.full(len(matrix), len(kept))
    place[kept] = np.arange(len(kept))
    small = np.zeros([len(kept) + 1] * 2, matrix.dtype)
    np.add.at(small, (place[:, None], place[None, :]), matrix)
    return small


def matrix_table(
    rows: Sequence[Markup], columns: Sequence[Markup], matrix: Array, right: int, caption: str
) -> Markup:
    """Counts with their share of the row; the first `right` cells of the diagonal are right."""

    def cell(count: int, total: int, same: bool) -> Markup:
        share = count / total if total else 0.0
        small = Markup("<small>{}</small>").format(percent(share)) if total else Markup()
        return Markup('<td class="heat{}" style="--share:{:.4f}">{:,}{}</td>').format(
            " same" if same else "", share, int(count), small
        )

    body = [
        [
            name,
            *(
                cell(count, values.sum(), row == column < right)
                for column, count in enumerate(values)
            ),
            f"{int(values.sum()):,}",
        ]
        for row, (name, values) in enumerate(zip(rows, matrix, strict=True))
    ]
    return table(["", *columns, "all"], body, caption)


def by_class(labels: Sequence[str], gold: Array, said: Array) -> Markup:
    """Precision, recall and F1 of each class; of many, of those with the most examples."""
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        gold, said, labels=np.arange(len(labels)), zero_division=0.0
    )
    kept = np.sort(np.argsort(-support, kind="stable")[:MOST_ROWS])
    rows = [
        (label(labels[n]), bar(precision[n]), bar(recall[n]), bar(f1[n]), f"{int(support[n]):,}")
        for n in kept
    ]
    heads = ["class", "precision", "recall", "F1", "examples"]
    body = table(heads, rows, "Each class against all others")
    return body if len(kept) == len(labels) else shown_of(len(kept), len(labels), "classes") + body


def reliability(confidence: Array, right: Array) -> Markup:
    """How far probabilities can be believed."""
    found = calibration(confidence, right)
    filled = found.counts > 0
    total = max(int(found.counts.sum()), 1)
    about = (
        "How often the predicted class is right, by its probability. On the dotted line, "
        "probabilities say just how often."
    )
    chart = charts.reliability(
        "reliability",
        about,
        found.confidence[filled],
        found.accuracy[filled],
        found.counts / total,
    )
    edges = np.linspace(0, 1, BINS + 1)
    rows = [
        (
            f"{edges[n]:.1f} to {edges[n + 1]:.1f}",
            f"{found.counts[n]:,}",
            percent(found.confidence[n]),
            percent(found.accuracy[n]),
        )
        for n in np.flatnonzero(filled)
    ]
    heads = ["probability", "examples", "mean probability", "accuracy"]
    return (
        Markup("<p>Expected calibration error: <b>{}</b> ({} bins of equal width).</p>").format(
            percent(found.error), BINS
        )
        + chart
        + folded("The figures", table(heads, rows, "Bins of the curve"))
    )


def worst_mistakes(gold: Array, said: Array, probabilities: Array) -> list[int]:
    """Numbers of the wrong examples, the most confident first; not all of many."""
    wrong = np.flatnonzero(gold != said)
    confidence = np.nan_to_num(probabilities[wrong, said[wrong]])
    return [int(n) for n in wrong[np.argsort(-confidence, kind="stable")[:MOST_SHOWN]]]


def _mistake(
    labels: Sequence[str], gold: Array, said: Array, probabilities: Array, number: int, shown: Shown
) -> Markup:
    right, wrong = int(gold[number]), int(said[number])
    row = probabilities[number]
    return outcome(
        label(labels[right]), label(labels[wrong]), row[right], row[wrong], shown.identifier
    ) + join(paragraph(text) for text in shown.texts)


def outcome(
    gold: Markup, said: Markup, gold_share: float, said_share: float, identifier: str
) -> Markup:
    """A line with what is right and what was predicted, each with its probability."""
    return join(
        [
            tag(Markup("right: {} ({})").format(gold, percent(gold_share)), "gold"),
            tag(Markup("predicted: {} ({})").format(said, percent(said_share)), "said"),
            Markup(' <span class="note">{}</span>').format(label(identifier)),
        ]
    )


def mistakes(labels: Sequence[str], items: Sequence[tuple[int, int, Markup]], count: int) -> Markup:
    """A list to filter by class and by words.

    Args:
        labels: Names of the classes.
        items: Right class, predicted class, and what is shown.
        count: Of all mistakes.
    """
    if not items:
        return Markup("<p>There are none.</p>")
    right, said = (
        {number: labels[number] for number in sorted(set(numbers))}
        for numbers in ([item[0] for item in items], [item[1] for item in items])
    )
    body = join(Markup('<li data-gold="{}" data-said="{}">{}</li>').format(*item) for item in items)
    return (
        Markup("<p>The most confident first.</p>")
        + shown_of(len(items), count, "mistakes")
        + filter_form(
            "mistake-list",
            {
                "right class": ("gold", right),
                "predicted class": ("said", said),
            },
        )
        + Markup('<ol class="examples" id="mistake-list">{}</ol>').format(body)
    )


def filter_form(target: str, selects: Mapping[str, tuple[str, Mapping[Any, str]]]) -> Markup:
    """Controls of page.js for the list with the id `target`: classes to choose, words to look for.

    Where there is one class alone, there is nothing to choose.

    Args:
        target: The list; its items carry their classes as `data-NAME`.
        selects: Title to NAME, and to the names of the classes by their value.
    """
    boxes = join(
        Markup(
            '<label>{}<select name="{}"><option value="">any</option>{}</select></label>'
        ).format(
            title,
            name,
            join(
                Markup('<option value="{}">{}</option>').format(value, _plain(text))
                for value, text in options.items()
            ),
        )
        for title, (name, options) in selects.items()
        if len(options) > 1
    )
    return Markup(
        '<form class="filter" data-list="{}" hidden>{}<label>words<input type="search" '
        'name="words" autocomplete="off"></label><output></output></form>'
    ).format(target, boxes)


def _plain(text: str) -> str:
    """The name of a class for an option, which can hold no elements."""
    shown, missing = cut(clean(text), LONGEST_LABEL)
    return f"{shown}…" if missing else shown or "(empty)"
