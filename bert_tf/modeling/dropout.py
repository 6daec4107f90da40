"""Dropout as a value that is passed in, so that the masks are the caller's to decide.

A layer calls `dropout(x, rate, site)`, where `site` is a number that no other place in the model
uses. Inference passes `keep_all`; plain Keras use passes `SeededDropout`; the training loop
passes masks derived from (seed, step, micro-batch, replica, site), which differ between replicas,
survive rematerialisation and need no saved state.
"""

from collections.abc import Callable
from typing import Any

import keras

Tensor = Any
Dropout = Callable[[Tensor, float, int], Tensor]


def keep_all(x: Tensor, rate: float, site: int) -> Tensor:
    """Dropout at inference: `x` as it is."""
    del rate, site
    return x


class SeededDropout:
    """Dropout by `keras.random`, for `fit` and other plain Keras use.

    Args:
        generator: Source of randomness; its state advances with every mask.
    """

    def __init__(self, generator: keras.random.SeedGenerator) -> None:
        self.generator = generator

    def __call__(self, x: Tensor, rate: float, site: int) -> Tensor:
        """Zeroes a share `rate` of `x` and scales the rest by 1 / (1 - rate)."""
        del site  # The generator's state tells the places apart.
        if rate == 0.0:
            return x
        return keras.random.dropout(x, rate, seed=self.generator)


def resolve(
    dropout: Dropout | None, training: bool | None, generator: keras.random.SeedGenerator
) -> Dropout:
    """The dropout to use for a call: the one given, or what `training` asks for."""
    if dropout is not None:
        return dropout
    return SeededDropout(generator) if training else keep_all


def check_rate(name: str, rate: float) -> float:
    """Returns `rate`, or raises ValueError unless 0 <= rate < 1."""
    if not 0.0 <= rate < 1.0:
        raise ValueError(
            f"{name} is the share of values set to zero and must be in [0, 1), but is {rate}. "
            "Use 0.0 to switch dropout off."
        )
    return float(rate)
