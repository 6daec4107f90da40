"""Optimizers and the learning rate schedule: pure update rules, and a class that keeps the slots.

The rules are functions of tensors. `Optimizer` applies one to each variable through its local
handle, so that it works inside `strategy.run` under every strategy; gradients must arrive there
already summed over replicas, because the norm that is clipped is that of the global gradient.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import tensorflow as tf

# Constants of the original's `create_optimizer` (optimization.py).
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-6
WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0
NO_DECAY = ("LayerNorm", "layer_norm", "bias")

Slots = tuple[tf.Tensor, tf.Tensor]
Updated = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Rule = Callable[[tf.Tensor, tf.Tensor, Slots, tf.Tensor, tf.Tensor, float], Updated]


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then linear decay to zero.

    The decay counts from step 0, so the rate jumps down when the warm-up ends, as in the original.

    Attributes:
        learning_rate: The rate that the warm-up leads to.
        num_train_steps: Step at which the rate is zero.
        num_warmup_steps: Steps of warm-up; 0 for none.

    Source: `create_optimizer` of the original's optimization.py.
    """

    learning_rate: float
    num_train_steps: int
    num_warmup_steps: int = 0

    def __post_init__(self) -> None:
        if not self.learning_rate > 0.0:
            raise ValueError(f"learning_rate must be above 0, but is {self.learning_rate}.")
        if self.num_train_steps < 1:
            raise ValueError(f"num_train_steps must be at least 1, but is {self.num_train_steps}.")
        if self.num_warmup_steps < 0:
            raise ValueError(
                f"num_warmup_steps must not be negative, but is {self.num_warmup_steps}."
            )

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """The rate of update number `step`, counted from 1; float32 scalar.

        In the original's graph the step is incremented before the rate is read from it: under
        TensorFlow 1.15, the golden trajectories fit this count to 1e-7 and no other.
        """
        done = tf.cast(step, tf.float32)
        decayed = self.learning_rate * (
            1.0 - tf.minimum(done, float(self.num_train_steps)) / self.num_train_steps
        )
        if not self.num_warmup_steps:
            return decayed
        warming = self.learning_rate * (done / self.num_warmup_steps)
        return tf.where(done < self.num_warmup_steps, warming, decayed)


def uses_weight_decay(name: str) -> bool:
    """Whether the variable of that checkpoint name is decayed: no norms, no biases.

    Source: `_do_use_weight_decay` of the original's optimization.py.
    """
    return not any(re.search(pattern, name) for pattern in NO_DECAY)


def _depth(name: str) -> float:
    """How far from the input a variable works: 0 for embeddings, 1 for the first block."""
    if name.startswith("bert/embeddings/"):
        return 0.0
    match = re.match(r"bert/encoder/layer_(\d+)/", name)
    return int(match[1]) + 1.0 if match else math.inf  # pooler and heads


def layer_rates(names: Collection[str], decay: float) -> dict[str, float]:
    """Factors of the learning rate that shrink from the output towards the embeddings.

    Pooler and heads have 1, the last block `decay`, the one below it `decay` squared, ... (the
    discriminative rates of arXiv 1801.06146, section 3.2).

    Args:
        names: Checkpoint names of all variables.
        decay: In (0, 1]; 1 gives every variable the same rate.
    """
    depths = {name: _depth(name) for name in names}
    top = max((depth for depth in depths.values() if depth < math.inf), default=0.0) + 1.0
    return {name: decay ** (top - min(depth, top)) for name, depth in depths.items()}


def is_frozen(name: str, freeze_layers: int) -> bool:
    """Whether a variable belongs to the embeddings or the first `freeze_layers` > 0 blocks."""
    return freeze_layers > 0 and _depth(name) <= freeze_layers


def _moments(gradient: tf.Tensor, slots: Slots) -> Slots:
    first, second = slots
    return (
        BETA_1 * first + (1.0 - BETA_1) * gradient,
        BETA_2 * second + (1.0 - BETA_2) * tf.square(gradient),
    )


def _corrected(slots: Slots, step: tf.Tensor) -> tf.Tensor:
    """Adam's direction with both moments corrected for their start at zero."""
    count = tf.cast(step, tf.float32) + 1.0
    first = slots[0] / (1.0 - tf.pow(BETA_1, count))
    second = slots[1] / (1.0 - tf.pow(BETA_2, count))
    return first / (tf.sqrt(second) + EPSILON)


def adam(
    value: tf.Tensor,
    gradient: tf.Tensor,
    slots: Slots,
    rate: tf.Tensor,
    step: tf.Tensor,
    decay: float,
) -> Updated:
    """The original's rule: Adam without bias correction, weight decay beside the gradient.

    Args:
        value: The variable's value, float32.
        gradient: Of the same shape.
        slots: First and second moment, of the same shape.
        rate: Learning rate, scalar.
        step: Number of updates so far, scalar (not used by this rule).
        decay: Weight decay; 0.0 for variables that are not decayed.

    Returns:
        The new value, first and second moment.

    Source: `AdamWeightDecayOptimizer` of the original's optimization.py.
    """
    del step
    first, second = _moments(gradient, slots)
    update = first / (tf.sqrt(second) + EPSILON)
    if decay:
        update += decay * value
    return value - rate * update, first, second


def adamw(
    value: tf.Tensor,
    gradient: tf.Tensor,
    slots: Slots,
    rate: tf.Tensor,
    step: tf.Tensor,
    decay: float,
) -> Updated:
    """Adam with bias correction and decoupled decay (arXiv 1711.05101); see `adam`."""
    slots = _moments(gradient, slots)
    update = _corrected(slots, step)
    if decay:
        update += decay * value
    return value - rate * update, *slots


def lamb(
    value: tf.Tensor,
    gradient: tf.Tensor,
    slots: Slots,
    rate: tf.Tensor,
    step: tf.Tensor,
    decay: float,
) -> Updated:
    """LAMB (arXiv 1904.00962, algorithm 2): each variable's step is scaled to its norm.

    Variables without decay (norms and biases) take the plain Adam step; see `adam`.
    """
    slots = _moments(gradient, slots)
    update = _corrected(slots, step)
    if not decay:
        return value - rate * update, *slots
    update += decay * value
    weight_norm, update_norm = tf.norm(value), tf.norm(update)
    scale = tf.where((weight_norm > 0.0) & (update_norm > 0.0), weight_norm / update_norm, 1.0)
    return value - rate * scale * update, *slots


RULES: Mapping[str, Rule] = {"adam": adam, "adamw": adamw, "lamb": lamb}


def global_norm(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Euclidean norm of all gradients together, float32 scalar."""
    return tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(gradient) for gradient in gradients]))


class Optimizer:
    """Slots of the variables, and one update of them all.

    Create it inside `strategy.scope()`.

    Args:
        variables: Checkpoint name to variable, in a fixed order.
        rule: A key of `RULES`.
        schedule: Learning rate by step.
        rates: Factors of the rate by checkpoint name (`layer_rates`); 1.0 where none is given.

    Attributes:
        slots: Checkpoint name (`NAME/adam_m`, `NAME/adam_v`) to variable.
    """

    def __init__(
        self,
        variables: Mapping[str, tf.Variable],
        rule: str,
        schedule: Schedule,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        if rule not in RULES:
            raise ValueError(f"optimizer must be one of {', '.join(RULES)}, but is {rule!r}.")
        self.schedule = schedule
        self._variables = dict(variables)
        self._rates = dict(rates or {})
        self._rule = RULES[rule]
        self._compiled: dict[tuple[tuple[int, ...], float], Callable[..., Updated]] = {}
        self.slots = {
            f"{name}/{slot}": tf.Variable(tf.zeros(variable.shape), trainable=False)
            for name, variable in self._variables.items()
            for slot in ("adam_m", "adam_v")
        }

    def _compiled_rule(self, shape: tuple[int, ...], decay: float) -> Callable[..., Updated]:
        """The rule for variables of one shape: compiled, it is one pass over memory.

        The function takes tensors, never variables, because Mirrored variables cannot enter a
        compiled function.
        """
        key = (shape, decay)
        if key not in self._compiled:

            def scaled(
                value: tf.Tensor,
                gradient: tf.Tensor,
                slots: Slots,
                scale: tf.Tensor,
                rate: tf.Tensor,
                step: tf.Tensor,
            ) -> Updated:
                return self._rule(value, gradient * scale, slots, rate, step, decay)

            self._compiled[key] = tf.function(scaled, jit_compile=True, autograph=False)
        return self._compiled[key]

    def apply(self, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> tf.Tensor:
        """Clips the gradients to a global norm of 1.0 and updates variables and slots.

        Call it in a replica context.

        Args:
            gradients: Dense, float32, in the order of the variables, summed over all replicas.
            step: Number of updates so far, scalar.

        Returns:
            The norm before clipping, scalar; if it is not finite, every value is NaN now.
        """
        rate = self.schedule(step + 1)
        norm = global_norm(gradients)
        scale = CLIP_NORM / tf.maximum(norm, CLIP_NORM)
        count = tf.cast(step, tf.float32)
        for (name, variable), gradient in zip(self._variables.items(), gradients, strict=True):
            held = (variable, self.slots[f"{name}/adam_m"], self.slots[f"{name}/adam_v"])
            value, first, second = (tf.convert_to_tensor(item) for item in held)
            decay = WEIGHT_DECAY if uses_weight_decay(name) else 0.0
            rule = self._compiled_rule(tuple(value.shape), decay)
            own_rate = rate * self._rates[name] if name in self._rates else rate
            updated = rule(value, gradient, (first, second), scale, own_rate, count)
            for item, new in zip(held, updated, strict=True):
                # The raw operation writes the local copy; `assign` would merge the replicas.
                tf.raw_ops.AssignVariableOp(resource=item.handle, value=new)
        return norm
