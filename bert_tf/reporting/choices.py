"""Multiple choice: accuracy by the place of the right choice, and mistakes with all choices.

Shapes: N questions, C choices.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from bert_tf.reporting import classes
from bert_tf.reporting.markup import (
    bar,
    join,
    label,
    left_out,
    paragraph,
    percent,
    pick,
    quoted,
    table,
)
from bert_tf.reporting.page import Section

Array = npt.NDArray[Any]
LONGEST_CHOICE = 300
MOST_CHOICES = 10  # of a question that are shown, beside the right and the predicted one


@dataclass(frozen=True)
class ShownQuestion:
    """What is shown of a question: its name, its text, its choices."""

    identifier: str
    context: str
    choices: Sequence[str]


def sections(
    gold: Array, probabilities: Array, questions: Iterable[ShownQuestion]
) -> list[Section]:
    """The parts of a page about multiple choice.

    Args:
        gold: Number of the right choice, int [N].
        probabilities: Of every choice [N, C].
        questions: What is shown of them, in order; only the worst mistakes are kept.

    Raises:
        ValueError: If there are too few questions.
    """
    names = [str(number + 1) for number in range(probabilities.shape[1])]
    said = np.argmax(probabilities, axis=1)
    right = gold == said
    numbers = classes.worst_mistakes(gold, said, probabilities)
    items = [
        (
            int(gold[number]),
            int(said[number]),
            _mistake(int(gold[number]), int(said[number]), probabilities[number], each),
        )
        for number, each in zip(numbers, pick(questions, numbers), strict=True)
    ]
    return [
        Section("places", "Places of the choices", _by_place(names, gold, said)),
        Section("confusion", "Confusion of places", classes.confusion(names, gold, said)),
        Section(
            "calibration", "Calibration", classes.reliability(probabilities.max(axis=1), right)
        ),
        Section("mistakes", "Worst mistakes", classes.mistakes(names, items, int(np.sum(~right)))),
    ]


def _by_place(names: Sequence[str], gold: Array, said: Array) -> Markup:
    rows = []
    for number, name in enumerate(names):
        here = gold == number
        count = int(here.sum())
        accuracy = bar(float(np.mean(said[here] == number))) if count else "none"
        rows.append((name, accuracy, f"{count:,}", f"{int(np.sum(said == number)):,}"))
    heads = ["place", "accuracy", "right here", "predicted here"]
    return table(heads, rows, "By the place of the right choice")


def _mistake(gold: int, said: int, shares: Array, shown: ShownQuestion) -> Markup:
    kept = [
        number
        for number in range(len(shown.choices))
        if number < MOST_CHOICES or number in (gold, said)
    ]
    rows = join(
        Markup('<li class="{}">{} <span class="note">{}{}</span></li>').format(
            "gold" if number == gold else "said" if number == said else "",
            quoted(shown.choices[number], LONGEST_CHOICE),
            percent(shares[number]),
            ", right" if number == gold else ", predicted" if number == said else "",
        )
        for number in kept
    )
    head = classes.outcome(
        label(str(gold + 1)), label(str(said + 1)), shares[gold], shares[said], shown.identifier
    )
    return (
        head
        + paragraph(shown.context)
        + Markup('<ul class="choices">{}</ul>').format(rows)
        + left_out(len(shown.choices) - len(kept), "choices")
    )
