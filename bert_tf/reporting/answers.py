"""Answers as spans of a context: scores by kind of question, thresholds, mistakes in their context.

Shapes: N questions.
"""

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from bert_tf.reporting import charts
from bert_tf.reporting.classes import filter_form
from bert_tf.reporting.markup import (
    LONGEST_TEXT,
    MOST_SHOWN,
    bar,
    clean,
    join,
    label,
    left_out,
    quoted,
    shown_of,
    table,
    tag,
)
from bert_tf.reporting.page import Section, number_text

Array = npt.NDArray[Any]
Span = tuple[int, int]  # characters, the second one exclusive

LONGEST_CONTEXT = 1500
MARGIN = 300  # characters shown around a span of a longer context
MOST_ANSWERS = 5  # right answers of a question that are shown
QUESTION_WORDS = (
    *("what", "who", "whom", "whose", "when", "where", "which", "why"),
    *("how many", "how much", "how"),
)
OTHER = "other"
_WORD = re.compile(rf"\b({'|'.join(QUESTION_WORDS)})\b", re.IGNORECASE)
_LENGTHS = ((1, "1"), (2, "2"), (3, "3"), (5, "4 to 5"), (10, "6 to 10"))
_LONGER, _NONE = "more than 10", "no answer"
MISSED, INVENTED, WRONG = "no answer given", "has no answer", "another answer"


@dataclass(frozen=True)
class Answered:
    """How well a question was answered.

    Attributes:
        question: The question.
        gold: Its right answers; none where there is none.
        said: The predicted answer; empty for none.
        exact: Exact match, 0 or 1.
        f1: F1, 0 to 1.
        probability: Of the predicted answer.
        null_odds: Of version 2: how much likelier no answer is.
        without_threshold: Exact match and F1 if the likeliest text were the answer.
    """

    question: str
    gold: Sequence[str]
    said: str
    exact: float
    f1: float
    probability: float
    null_odds: float = 0.0
    without_threshold: tuple[float, float] = (0.0, 0.0)

    @property
    def kind(self) -> str:
        """Whether there is an answer."""
        return "has an answer" if self.gold else "has none"

    @property
    def word(self) -> str:
        """The first question word, of English."""
        found = _WORD.search(self.question)
        return found[0].lower() if found else OTHER

    @property
    def length(self) -> str:
        """Words of the shortest right answer."""
        if not self.gold:
            return _NONE
        words = min(len(answer.split()) for answer in self.gold)
        return next((name for most, name in _LENGTHS if words <= most), _LONGER)

    @property
    def mistake(self) -> str:
        """What is wrong with a wrong answer."""
        if not self.gold:
            return INVENTED
        return WRONG if self.said else MISSED


@dataclass(frozen=True)
class ShownAnswer:
    """What is shown of a question: its name, its context, and where the answers stand there."""

    identifier: str
    context: str
    gold: Sequence[Span]
    said: Span | None


def sections(
    answered: Sequence[Answered], show: Callable[[int], ShownAnswer], threshold: float | None
) -> list[Section]:
    """The parts of a page about answers.

    Args:
        answered: All questions.
        show: What is shown of the question of a number; asked for the worst mistakes.
        threshold: Of version 2: null odds above which the answer is none. None for version 1.
    """
    made = []
    if threshold is not None:
        kinds = _grouped(answered, ("has an answer", "has none"), lambda each: each.kind)
        body = scores_of({**kinds, "all": answered}, "question")
        made.append(Section("kinds", "With and without answer", body))
        made.append(Section("threshold", "Threshold", _threshold(answered, threshold)))
    words = _grouped(answered, (*QUESTION_WORDS, OTHER), lambda each: each.word)
    if len(words[OTHER]) < len(answered):  # Other languages have other words.
        made.append(Section("words", "Question words", scores_of(words, "question word")))
    names = (*(name for _, name in _LENGTHS), _LONGER, _NONE)
    lengths = _grouped(answered, names, lambda each: each.length)
    made.append(Section("lengths", "Lengths of answers", scores_of(lengths, "words of the answer")))
    made.append(Section("mistakes", "Worst mistakes", _mistakes(answered, show, threshold)))
    return made


def _grouped(
    answered: Sequence[Answered], names: Sequence[str], name_of: Callable[[Answered], str]
) -> dict[str, list[Answered]]:
    groups: dict[str, list[Answered]] = {name: [] for name in names}
    for each in answered:
        groups[name_of(each)].append(each)
    return groups


def scores_of(groups: Mapping[str, Sequence[Answered]], title: str) -> Markup:
    """Exact match and F1 of groups of questions; empty groups are left out."""
    rows = [
        (
            name,
            bar(float(np.mean([each.exact for each in group]))),
            bar(float(np.mean([each.f1 for each in group]))),
            f"{len(group):,}",
        )
        for name, group in groups.items()
        if group
    ]
    return table([title, "exact match", "F1", "questions"], rows, f"Scores by {title}")


def threshold_curve(answered: Sequence[Answered]) -> tuple[Array, Array, Array]:
    """Exact match and F1 in percent for every threshold that changes them.

    Returns:
        Thresholds, rising, of which the first lies below all odds; both scores.
    """
    odds = np.array([each.null_odds for each in answered])
    refused = np.array([float(not each.gold) for each in answered])  # the score of no answer
    order = np.argsort(odds, kind="stable")
    odds = odds[order]
    last = np.append(odds[1:] != odds[:-1], True)  # of equal odds: all are answered, or none
    scores = []
    for place in (0, 1):
        own = np.array([each.without_threshold[place] for each in answered])
        gains = np.cumsum((own - refused)[order])[last]
        scores.append(100.0 * (refused.sum() + np.append(0.0, gains)) / len(answered))
    return np.append(odds[0] - 1.0, odds[last]), scores[0], scores[1]


def _threshold(answered: Sequence[Answered], threshold: float) -> Markup:
    thresholds, exact, f1 = threshold_curve(answered)
    low, high = np.quantile(thresholds, [0.02, 0.98])
    low, high = min(low, threshold), max(high, threshold)
    seen = (thresholds >= low) & (thresholds <= high)
    about = (
        "Scores for every threshold of the null odds: questions whose odds are above it get no "
        "answer. The vertical line is the threshold of this run."
    )
    chart = charts.lines(
        "threshold-curve",
        about,
        {"exact match": (thresholds[seen], exact[seen]), "F1": (thresholds[seen], f1[seen])},
        ("threshold", "percent"),
        {"this run": threshold},
    )
    rows = [
        (name, number_text(float(scores[best])), number_text(float(thresholds[best])))
        for name, scores in (("exact match", exact), ("F1", f1))
        for best in [int(np.argmax(scores))]
    ]
    return chart + table(["score", "best, in percent", "at the threshold"], rows, "Best thresholds")


def worst(answered: Sequence[Answered]) -> list[int]:
    """Numbers of the questions without exact match: the lowest F1, then the most confident."""
    wrong = [number for number, each in enumerate(answered) if not each.exact]
    return sorted(wrong, key=lambda number: (answered[number].f1, -answered[number].probability))


def _mistakes(
    answered: Sequence[Answered], show: Callable[[int], ShownAnswer], threshold: float | None
) -> Markup:
    numbers = worst(answered)
    if not numbers:
        return Markup("<p>There are none.</p>")
    kept = numbers[:MOST_SHOWN]
    items = join(
        Markup('<li data-word="{}" data-kind="{}">{}</li>').format(
            answered[number].word,
            answered[number].mistake,
            _mistake(answered[number], show(number), threshold is not None),
        )
        for number in kept
    )
    selects: dict[str, tuple[str, Mapping[Any, str]]] = {
        title: (name, {value: value for value in sorted(values)})
        for title, name, values in (
            ("question word", "word", {answered[number].word for number in kept}),
            ("mistake", "kind", {answered[number].mistake for number in kept}),
        )
    }
    legend = Markup(
        '<p>In the context: <mark class="gold">right</mark> <mark class="said">predicted</mark> '
        '<mark class="both">both</mark>. The lowest F1 first, then the most confident.</p>'
    )
    return (
        legend
        + shown_of(len(kept), len(numbers), "questions without exact match")
        + filter_form("mistake-list", selects)
        + Markup('<ol class="examples" id="mistake-list">{}</ol>').format(items)
    )


def _mistake(answered: Answered, shown: ShownAnswer, version_2: bool) -> Markup:
    gold = list(dict.fromkeys(answered.gold))
    answers = Markup(" / ").join(quoted(text, LONGEST_TEXT // 4) for text in gold[:MOST_ANSWERS])
    answers = answers + left_out(len(gold[MOST_ANSWERS:]), "answers") if gold else Markup("none")
    said = quoted(answered.said, LONGEST_TEXT // 4) if answered.said else Markup("none")
    facts = [f"F1 {answered.f1:.2f}", f"probability {answered.probability:.2f}"]
    if version_2:
        facts.append(f"null odds {answered.null_odds:+.2f}")
    return join(
        [
            Markup("<h3>{}</h3>").format(quoted(answered.question)),
            tag(Markup("right: {}").format(answers), "gold"),
            tag(Markup("predicted: {}").format(said), "said"),
            *(tag(fact, "plain") for fact in facts),
            Markup(' <span class="note">{}</span>').format(label(shown.identifier)),
            Markup('<p class="text" dir="auto">{}</p>').format(
                highlighted(shown.context, shown.gold[:MOST_ANSWERS], shown.said)
            ),
        ]
    )


def highlighted(text: str, gold: Sequence[Span], said: Span | None) -> Markup:
    """A context with the right and the predicted answer marked, and where both are, as both.

    Of a long context, what lies far from the answers is left out and counted.
    """
    text = clean(text)
    spans = [*gold, *([said] if said else [])]
    parts, place = [], 0
    for start, end in _kept(len(text), spans):
        parts.append(left_out(start - place))
        parts += _marked(text, start, end, gold, said)
        place = end
    parts.append(left_out(len(text) - place))
    return join(parts)


def _kept(length: int, spans: Sequence[Span]) -> Iterator[Span]:
    """The parts of a text of so many characters that are shown, in order."""
    if length <= LONGEST_CONTEXT:
        yield 0, length
        return
    around = sorted(
        (max(start - MARGIN, 0), min(min(end, start + LONGEST_TEXT) + MARGIN, length))
        for start, end in spans or [(0, LONGEST_TEXT)]
    )
    begin, until = around[0]
    for start, end in around[1:]:
        if start > until:
            yield begin, until
            begin = start
        until = max(until, end)
    yield begin, until


def _marked(
    text: str, start: int, end: int, gold: Sequence[Span], said: Span | None
) -> Iterator[Markup]:
    """The characters `start` to `end`, cut where a mark begins or ends."""
    spans = [*gold, *([said] if said else [])]
    inside = {min(max(place, start), end) for span in spans for place in span}
    for first, last in itertools.pairwise(sorted({start, end} | inside)):
        right = any(begin <= first and last <= until for begin, until in gold)
        predicted = said is not None and said[0] <= first and last <= said[1]
        kind = "both" if right and predicted else "gold" if right else "said" if predicted else ""
        part = Markup.escape(text[first:last])
        yield Markup('<mark class="{}">{}</mark>').format(kind, part) if kind else part
