"""Numbers: predicted against right ones, how far they are off, the largest errors.

Shapes: N examples.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from bert_tf.reporting import charts
from bert_tf.reporting.classes import Shown
from bert_tf.reporting.markup import MOST_SHOWN, join, label, paragraph, pick, shown_of, table, tag
from bert_tf.reporting.page import Section, number_text

Array = npt.NDArray[Any]
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def sections(gold: Array, said: Array, examples: Iterable[Shown]) -> list[Section]:
    """The parts of a page about a regression.

    Args:
        gold: Right values [N].
        said: Predicted ones [N]; those that are not finite are counted and left out.
        examples: What is shown of them, in order; only the largest errors are kept.

    Raises:
        ValueError: If there are too few examples.
    """
    known = np.isfinite(said)
    note = Markup()
    if not known.all():
        note = Markup("<p>{:,} predictions are no finite number.</p>").format(int(np.sum(~known)))
    if not known.any():
        return [Section("values", "Predictions", note)]
    errors = np.where(known, said - gold, 0.0)
    numbers = np.argsort(-np.abs(errors), kind="stable")[: min(MOST_SHOWN, int(known.sum()))]
    items = join(
        Markup("<li>{}{}</li>").format(
            _line(float(gold[number]), float(said[number]), each.identifier),
            join(paragraph(text) for text in each.texts),
        )
        for number, each in zip(numbers, pick(examples, numbers.tolist()), strict=True)
    )
    found = errors[known]
    body = Markup('<div class="charts">{}{}</div>{}').format(
        _scatter(gold[known], said[known]), _histogram(found), _figures(found)
    )
    return [
        Section("values", "Predictions", note + body),
        Section(
            "errors",
            "Largest errors",
            shown_of(len(numbers), len(gold), "examples")
            + Markup('<ol class="examples">{}</ol>').format(items),
        ),
    ]


def _scatter(gold: Array, said: Array) -> Markup:
    about = "Predicted against right values; on the dotted line both are equal."
    return charts.scatter("scatter", about, gold, said, ("right value", "predicted value"))


def _histogram(errors: Array) -> Markup:
    about = "Residuals: how far the predicted value lies above (right) or below the right one."
    return charts.histogram("residuals", about, errors, ("predicted minus right", "examples"))


def _figures(errors: Array) -> Markup:
    rows = [
        ("mean residual", number_text(float(np.mean(errors)))),
        ("mean absolute error", number_text(float(np.mean(np.abs(errors))))),
        ("root of the mean squared error", number_text(float(np.sqrt(np.mean(errors**2))))),
        *(
            (f"residual, quantile {share:g}", number_text(float(value)))
            for share, value in zip(QUANTILES, np.quantile(errors, QUANTILES), strict=True)
        ),
    ]
    return table(["figure", "value"], rows, "Residuals")


def _line(gold: float, said: float, identifier: str) -> Markup:
    return join(
        [
            tag(f"right: {number_text(gold)}", "gold"),
            tag(f"predicted: {number_text(said)}", "said"),
            tag(f"off by {said - gold:+.3g}", "plain"),
            Markup(' <span class="note">{}</span>').format(label(identifier)),
        ]
    )
