"""Losses and counts that several tasks share, as pure functions.

Shapes: C classes.
"""

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
