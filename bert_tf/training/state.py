"""Everything that training changes, and how a run starts.

A run starts in one of three ways, tried in this order:

1. `output_dir` holds checkpoints: everything is resumed from the newest one that is whole.
2. `init_checkpoint` is given: weights come from there; slots and step start at zero.
3. Otherwise: weights are drawn from the seed.

Resuming is exact. Weights, slots and step are restored; the order of the data and the dropout
masks are functions of the seed and the step, so there is no other state.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orbit
import tensorflow as tf

from bert_tf.conversion import tf1
from bert_tf.conversion.weight_map import named_variables
from bert_tf.optimization import Optimizer, Schedule
from bert_tf.tasks.task import Task
from bert_tf.training.checkpoints import CheckpointStore
from bert_tf.training.loss_scale import LossScale
from bert_tf.training.options import TrainingOptions
from bert_tf.training.runtime import Runtime

FINGERPRINT = "bert_tf/run"


class State:
    """Everything that training changes, and its checkpoints.

    Args:
        task: The task.
        runtime: The started runtime.
        options: The run's options.
    """

    def __init__(self, task: Task, runtime: Runtime, options: TrainingOptions) -> None:
        self.runtime, self.options = runtime, options
        options.check_replicas(runtime.replicas)
        schedule = Schedule(
            options.learning_rate, options.num_train_steps, options.num_warmup_steps
        )
        with runtime.strategy.scope():
            self.model = task.build_model()
            self.weights = named_variables(self.model)
            self.step = orbit.utils.create_global_step()
        self.schedule = schedule
        self.optimizer: Optimizer | None = None
        self.loss_scale = LossScale(active=False)
        self.store = CheckpointStore(options.output_dir, options.keep_checkpoint_max)

    def prepare_training(self) -> Optimizer:
        """Creates what only training needs: the optimizer with its slots, and the loss scale."""
        with self.runtime.strategy.scope():
            variables = {name: variable.value for name, variable in self.weights.items()}
            self.optimizer = Optimizer(variables, self.options.optimizer, self.schedule)
            self.loss_scale = LossScale(self.runtime.options.precision == "float16")
        return self.optimizer

    def tensors(self) -> dict[str, Any]:
        """Checkpoint name to variable, of all that is saved and restored."""
        slots = self.optimizer.slots if self.optimizer else {}
        weights = {name: variable.value for name, variable in self.weights.items()}
        return {**weights, **slots, **self.loss_scale.state, tf1.GLOBAL_STEP: self.step}

    def fingerprint(self) -> dict[str, Any]:
        """What must not change for a resumed run to be bit-identical."""
        options, runtime = self.options, self.runtime
        return {
            "seed": runtime.options.seed,
            "precision": runtime.options.precision,
            "jit_compile": runtime.jit_compile,
            "replicas": runtime.replicas,
            "train_batch_size": options.train_batch_size,
            "gradient_accumulation_steps": options.gradient_accumulation_steps,
            "optimizer": options.optimizer,
            "learning_rate": options.learning_rate,
            "num_train_steps": options.num_train_steps,
            "num_warmup_steps": options.num_warmup_steps,
            "shuffle": options.shuffle,
        }

    def save(self) -> None:
        """Saves a checkpoint of the current step, on the chief only."""
        if not self.runtime.is_chief:
            return
        tensors = {name: tf.convert_to_tensor(value) for name, value in self.tensors().items()}
        tensors[FINGERPRINT] = tf.constant(json.dumps(self.fingerprint(), sort_keys=True))
        self.store.save(int(self.step.numpy()), tensors)

    def restore(self) -> str:
        """Starts the run in one of the three ways; returns a line that says which."""
        # An evaluation may run beside the training that is saving right now.
        if self.runtime.is_chief and self.optimizer is not None:
            self.store.clean()
        tensors = self.tensors()
        found = self.store.latest(tensors)
        if found:
            step, values = found
            self._assign(tensors, values, self.store.prefix(step))
            return f"resumed from {self.store.prefix(step)}{self._differences(values)}"
        if self.options.init_checkpoint:
            return f"started from {tf1.load_weights(self.model, self.options.init_checkpoint)}"
        return f"started from weights drawn with seed {self.runtime.options.seed}"

    def _assign(
        self, tensors: Mapping[str, Any], values: Mapping[str, np.ndarray], path: str
    ) -> None:
        wrong = [name for name in tensors if tuple(tensors[name].shape) != values[name].shape]
        if wrong:
            name = wrong[0]
            raise tf1.CheckpointError(
                f"The config does not fit the checkpoint {path}: {name} is "
                f"{list(values[name].shape)} in the checkpoint and {list(tensors[name].shape)} in "
                "the model. Use the config that the run was started with, or another --output_dir."
            )
        with self.runtime.strategy.scope():
            for name, variable in tensors.items():
                variable.assign(tf.cast(values[name], variable.dtype))

    def _differences(self, values: Mapping[str, np.ndarray]) -> str:
        if self.optimizer is None:  # An evaluation continues nothing.
            return ""
        if FINGERPRINT not in values:
            return " (written by another program)"
        before = json.loads(values[FINGERPRINT].item())
        changed = [
            f"{name} {before.get(name)} -> {value}"
            for name, value in self.fingerprint().items()
            if before.get(name) != value
        ]
        return f"; not bit-identical, since changed: {', '.join(changed)}" if changed else ""
