"""Losses and counts that several tasks share, as pure functions.

Shapes: C classes.
"""

from collections.abc import Mapping
from typing import Any

from keras import ops

Tensor = Any


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """-log softmax of the labelled class: float32 [..., C], int [...] -> [...]."""
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """1.0 where the highest logit is the label's, else 0.0: [..., C], [...] -> [...]."""
    best = ops.argmax(logits, axis=-1)
    return ops.cast(ops.equal(ops.cast(best, "int32"), labels), "float32")


def mean_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor, total: Tensor, counted: str = "examples"
) -> tuple[Tensor, dict[str, Tensor]]:
    """A batch's part of the mean cross entropy, and the sums that `accuracy` needs.

    Args:
        logits: float32 [..., C].
        labels: int [...].
        weights: What each label counts, float32 [...].
        total: Their sum over the global batch, scalar.
        counted: What the labels are of: the name of the sum of weights.
    """
    loss = ops.sum(weights * cross_entropy(logits, labels))
    return loss / ops.maximum(total, 1.0), {
        "loss_sum": loss,
        "correct": ops.sum(weights * correct(logits, labels)),
        counted: ops.sum(weights),
    }


def accuracy(sums: Mapping[str, float], counted: str = "examples") -> dict[str, float]:
    """Share of right labels, from the sums of `mean_cross_entropy`."""
    return {"accuracy": sums["correct"] / max(sums[counted], 1.0)}
