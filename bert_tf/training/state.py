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

from bert_tf.conversion import initialize, tf1
from bert_tf.conversion.weight_map import named_variables
from bert_tf.inputs.source import Source
from bert_tf.optimization import Optimizer, Schedule, is_frozen, layer_rates
from bert_tf.tasks.job import BEST_DIRECTORY
from bert_tf.tasks.task import BuildsModel
from bert_tf.training import reports
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

    Attributes:
        unloaded: Names of the weights that `restore` found nowhere: they have initial values.
    """

    def __init__(self, task: BuildsModel, runtime: Runtime, options: TrainingOptions) -> None:
        self.runtime, self.options = runtime, options
        schedule = Schedule(
            options.learning_rate, options.num_train_steps, options.num_warmup_steps
        )
        with runtime.strategy.scope():
            self.model = task.build_model()
            self.weights = named_variables(self.model)
            self.step = orbit.utils.create_global_step()
        self.schedule = schedule
        self.trained: list[bool] = []  # for each of the weights, once training is prepared
        self.optimizer: Optimizer | None = None
        self.loss_scale = LossScale(active=False)
        self.store = CheckpointStore(options.output_dir, options.keep_checkpoint_max)
        self.best = CheckpointStore(options.output_dir / BEST_DIRECTORY, keep=1)
        self.unloaded: tuple[str, ...] = ()
        self._records: str | None = None

    def prepare_training(
        self, source: Source | None = None, unread: tuple[str, ...] = ()
    ) -> Optimizer:
        """Creates what only training needs: the optimizer with its slots, and the loss scale.

        Args:
            source: The examples, for the fingerprint alone.
            unread: See `Task`.
        """
        frozen = self.options.freeze_layers
        self.trained = [
            not (is_frozen(name, frozen) or name.startswith(unread)) for name in self.weights
        ]
        self._records = source.fingerprint() if source else None
        with self.runtime.strategy.scope():
            variables = {
                name: variable.value
                for (name, variable), trained in zip(
                    self.weights.items(), self.trained, strict=True
                )
                if trained
            }
            decay = self.options.layer_decay
            rates = layer_rates(self.weights, decay) if decay < 1.0 else None
            self.optimizer = Optimizer(variables, self.options.optimizer, self.schedule, rates)
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
            "layer_decay": options.layer_decay,
            "freeze_layers": options.freeze_layers,
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
            report = initialize.load_weights(self.model, self.options.init_checkpoint)
            self.unloaded = report.initialized
            return f"started from {report}"
        self.unloaded = tuple(self.weights)
        return f"started from weights drawn with seed {self.runtime.options.seed}"

    def save_best(self) -> None:
        """Saves the weights of the current step as the best ones, on the chief only."""
        if not self.runtime.is_chief:
            return
        reports.make_directory(self.best.directory)
        weights = {name: tf.convert_to_tensor(item.value) for name, item in self.weights.items()}
        weights[tf1.GLOBAL_STEP] = tf.convert_to_tensor(self.step)
        self.best.save(int(self.step.numpy()), weights)

    def restore_best(self) -> str:
        """Takes the best weights where training kept some, or else starts as `restore` does."""
        found = self.best.latest([*self.weights, tf1.GLOBAL_STEP]) if self.best.steps() else None
        if found is None:
            return self.restore()
        step, values = found
        prefix = self.best.prefix(step)
        weights = {name: variable.value for name, variable in self.weights.items()}
        self._assign({**weights, tf1.GLOBAL_STEP: self.step}, values, prefix)
        return f"with the best checkpoint {prefix}"

    def check_something_to_restore(self) -> None:
        """Raises ValueError where `restore` would find weights neither here nor there."""
        if not self.store.steps() and not self.options.init_checkpoint:
            raise ValueError(
                f"There is nothing to evaluate: --output_dir={self.options.output_dir} holds no "
                "checkpoint and no --init_checkpoint is given."
            )

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
        goes_on = self.options.is_within_phase(int(self.step.numpy()))
        if self.optimizer is None or not goes_on:  # An evaluation continues nothing.
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
