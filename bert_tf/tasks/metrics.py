"""The official metrics of the tasks, under the names they have in `eval_results.txt`."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn import metrics as sk

Array = npt.NDArray[np.generic]
Metric = Callable[[Array, Array], float]


def matthews(gold: Array, predicted: Array) -> float:
    """Matthews' correlation coefficient of class numbers [N], [N]; 0.0 for a constant guess."""
    return float(sk.matthews_corrcoef(gold, predicted))


def accuracy(gold: Array, predicted: Array) -> float:
    """Share of equal class numbers."""
    return float(np.mean(gold == predicted))


def f1(gold: Array, predicted: Array) -> float:
    """F1 of class 1, of two classes."""
    return float(sk.f1_score(gold, predicted, average="binary", pos_label=1, zero_division=0.0))


def macro_f1(gold: Array, predicted: Array) -> float:
    """Mean of the F1 of every class that is in either."""
    return float(sk.f1_score(gold, predicted, average="macro", zero_division=0.0))


def pearson(gold: Array, predicted: Array) -> float:
    """Pearson's correlation of two rows of numbers; 0.0 where one of them is constant."""
    return _correlation(stats.pearsonr, gold, predicted)


def spearman(gold: Array, predicted: Array) -> float:
    """Spearman's rank correlation; 0.0 where one of the rows is constant."""
    return _correlation(stats.spearmanr, gold, predicted)


def _correlation(function: Callable[..., tuple[float, float]], gold: Array, said: Array) -> float:
    if len(gold) < 2 or np.ptp(gold) == 0 or np.ptp(said) == 0:
        return 0.0
    return float(function(gold, said)[0])


METRICS: dict[str, Metric] = {
    "eval_accuracy": accuracy,
    "matthews_correlation": matthews,
    "f1": f1,
    "macro_f1": macro_f1,
    "pearson": pearson,
    "spearman": spearman,
}


def score(names: Sequence[str], gold: Array, predicted: Array) -> dict[str, float]:
    """The named metrics of gold and predicted values [N], [N]."""
    return {name: METRICS[name](gold, predicted) for name in names}


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Probabilities of logits [N, C]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
