"""The official scores of SQuAD v1.1 and v2.0: exact match, F1, and the best threshold.

Source: evaluate-v1.1.py and evaluate-v2.0.py of the SQuAD site: same normalisation, same ties.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)

Gold = Mapping[str, Sequence[str]]  # question to its answers; none where it has no answer
Predictions = Mapping[str, str]


def normalize(text: str) -> str:
    """Lower case, without punctuation, articles and superfluous space."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact(gold: str, predicted: str) -> float:
    """1.0 where both are the same after `normalize`."""
    return float(normalize(gold) == normalize(predicted))


def f1(gold: str, predicted: str) -> float:
    """Harmonic mean of precision and recall of the words; two empty texts are the same."""
    wanted, said = normalize(gold).split(), normalize(predicted).split()
    if not wanted or not said:
        return float(wanted == said)
    common = sum((Counter(wanted) & Counter(said)).values())
    if not common:
        return 0.0
    precision, recall = common / len(said), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def _f1_of_version_1(gold: str, predicted: str) -> float:
    """As `f1`, but two empty texts have nothing in common."""
    return f1(gold, predicted) if normalize(gold) and normalize(predicted) else 0.0


def version_1(gold: Gold, predictions: Predictions) -> dict[str, float]:
    """`exact_match` and `f1` in percent; a question without prediction scores nothing."""
    each = of_questions(gold, predictions, version_2=False).values()
    return {
        "exact_match": 100.0 * sum(scores[0] for scores in each) / len(gold),
        "f1": 100.0 * sum(scores[1] for scores in each) / len(gold),
    }


def of_questions(
    gold: Gold, predictions: Predictions, version_2: bool
) -> dict[str, tuple[float, float]]:
    """Exact match and F1, 0 to 1, of every question that has a prediction."""
    if version_2:
        exacts, f1s = (_of_each(gold, predictions, measure) for measure in (exact, f1))
        return {question: (exacts[question], f1s[question]) for question in exacts}
    return {
        question: (
            max(exact(answer, predictions[question]) for answer in answers),
            max(_f1_of_version_1(answer, predictions[question]) for answer in answers),
        )
        for question, answers in gold.items()
        if question in predictions
    }


def _of_each(
    gold: Gold, predictions: Predictions, measure: Callable[[str, str], float]
) -> dict[str, float]:
    scores = {}
    for question, answers in gold.items():
        if question in predictions:
            # Answers that normalize to nothing are no answers; without any, the answer is none.
            wanted = [answer for answer in answers if normalize(answer)] or [""]
            scores[question] = max(measure(answer, predictions[question]) for answer in wanted)
    return scores


def version_2(gold: Gold, predictions: Predictions) -> dict[str, float]:
    """`exact` and `f1` in percent of all questions, and of those with and without an answer."""
    measures = {
        "exact": _of_each(gold, predictions, exact),
        "f1": _of_each(gold, predictions, f1),
    }
    groups = {
        "": [question for question in gold if question in predictions],
        "HasAns_": [question for question, answers in gold.items() if answers],
        "NoAns_": [question for question, answers in gold.items() if not answers],
    }
    results = {}
    for prefix, questions in groups.items():
        held = [question for question in questions if question in predictions]
        if prefix and not held:
            continue
        for name, scores in measures.items():
            total = sum(scores[question] for question in held)
            results[f"{prefix}{name}"] = 100.0 * total / max(len(held), 1)
        results[f"{prefix}total"] = float(len(held))
    return results


def best_thresholds(
    gold: Gold, predictions: Predictions, null_odds: Mapping[str, float]
) -> dict[str, float]:
    """The thresholds of the null odds that would have scored best, and those scores in percent.

    A question whose odds are above the threshold gets no answer.

    Args:
        gold: The answers.
        predictions: Texts, best those without any threshold.
        null_odds: How much likelier no answer is than the text.
    """
    results = {}
    for name, measure in (("exact", exact), ("f1", f1)):
        scores = _of_each(gold, predictions, measure)
        best, threshold = _best_threshold(gold, predictions, null_odds, scores)
        results[f"best_{name}"] = 100.0 * best / max(len(scores), 1)
        results[f"best_{name}_thresh"] = threshold
    return results


def _best_threshold(
    gold: Gold,
    predictions: Predictions,
    null_odds: Mapping[str, float],
    scores: Mapping[str, float],
) -> tuple[float, float]:
    current = best = float(sum(1 for answers in gold.values() if not answers))
    threshold = 0.0
    for question in sorted(null_odds, key=lambda each: null_odds[each]):
        if question not in scores:
            continue
        if gold[question]:
            current += scores[question]
        elif predictions[question]:
            current -= 1.0
        if current > best:
            best, threshold = current, null_odds[question]
    return best, threshold
