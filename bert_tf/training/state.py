"""Everything that training changes, and how a run starts.

A run starts in one of three ways, tried in this order:

1. `output_dir` holds checkpoints: everything is resumed from the newest one that is whole.
2. `init_checkpoint` is given: weights come from there; slots and step start at zero.
3. Otherwise: weights are drawn from the seed.

Resuming is exact. Weights, slots and step are restored; the order of the data and the dropout
masks are functions of the seed and the step, so there is no other state.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import orbit
import tensorflow as tf

from bert_tf.conversion import tf1
from bert_tf.conversion.weight_map import named_variables
from bert_tf.inputs.datasets import RecordSource
from bert_tf.optimization import Optimizer, Schedule
from bert_tf.tasks.task import Task
from bert_tf.training.checkpoints import CheckpointStore
from bert_tf.training.loss_scale import LossScale
from bert_tf.training.options import TrainingOptions
from bert_tf.training.runtime import Runtime

PRIVATE = "bert_tf/"  # prefix of what other programs' checkpoints do not hold
FINGERPRINT = f"{PRIVATE}run"
# Of a model's config, what is no property of the function that it computes, or is said elsewhere.
_NO_PART_OF_THE_MODEL = ("seed", "name", "dtype", "build_config")


class State:
    """Everything that training changes, and its checkpoints.

    Args:
        task: The task.
        runtime: The started runtime.
        options: The run's options.
    """

    def __init__(self, task: Task, runtime: Runtime, options: TrainingOptions) -> None:
        self.runtime, self.options = runtime, options
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
        self._records: str | None = None

    def prepare_training(self, source: RecordSource | None = None) -> Optimizer:
        """Creates what only training needs: the optimizer with its slots, and the loss scale.

        Args:
            source: The records, for the fingerprint alone.
        """
        self._records = source.fingerprint() if source else None
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
            "model": _model_fingerprint(self.model),
            "records": self._records,
            "seed": runtime.options.seed,
            "deterministic": runtime.options.deterministic,
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
        # The loss scale is for float16 alone, and begins anew where another precision was before.
        found = self.store.latest([name for name in tensors if not name.startswith(PRIVATE)])
        if found:
            step, values = found
            held = {name: variable for name, variable in tensors.items() if name in values}
            self._assign(held, values, self.store.prefix(step))
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
            f"{name} {before[name]} -> {value}"
            for name, value in self.fingerprint().items()
            if name in before and before[name] != value
        ]
        return f"; not bit-identical, since changed: {', '.join(changed)}" if changed else ""


def _model_fingerprint(model: keras.Model) -> str:
    """A short digest of the model's config, without seeds, names and dtypes."""

    def essence(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                key: essence(each)
                for key, each in value.items()
                if key not in _NO_PART_OF_THE_MODEL
            }
        return [essence(each) for each in value] if isinstance(value, list | tuple) else value

    text = json.dumps(essence(model.get_config()), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]
