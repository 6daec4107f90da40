"""What a training run is told, validated when built."""

from dataclasses import dataclass, field
from pathlib import Path

from bert_tf.optimization import RULES
from bert_tf.training.runtime import RuntimeOptions


@dataclass(frozen=True)
class TrainingOptions:
    """Options of training and evaluation; names and defaults are those of the 2018 flags.

    Attributes:
        output_dir: Where checkpoints and reports go.
        input_file: Comma-separated paths and globs of records.
        init_checkpoint: Prefix of a checkpoint to take the weights from, if any.
        train_batch_size: Examples of a step, over all replicas and micro-batches.
        eval_batch_size: Examples of an evaluation batch, over all replicas.
        learning_rate: Rate that the warm-up leads to.
        num_train_steps: Updates in all.
        num_warmup_steps: Updates of warm-up.
        save_checkpoints_steps: Updates between checkpoints.
        iterations_per_loop: Most updates between two looks at the host (fewer, if those take
            longer than a second on this machine).
        max_eval_steps: Most batches of an evaluation.
        keep_checkpoint_max: Newest checkpoints to keep.
        gradient_accumulation_steps: Micro-batches that a replica's share is computed in.
        optimizer: A key of `optimization.RULES`.
        shuffle: Whether records are mixed anew every epoch.
        runtime: Devices, precision, seed.
    """

    output_dir: Path
    input_file: str
    init_checkpoint: str | None = None
    train_batch_size: int = 32
    eval_batch_size: int = 8
    learning_rate: float = 5e-5
    num_train_steps: int = 100_000
    num_warmup_steps: int = 10_000
    save_checkpoints_steps: int = 1000
    iterations_per_loop: int = 1000
    max_eval_steps: int = 100
    keep_checkpoint_max: int = 5
    gradient_accumulation_steps: int = 1
    optimizer: str = "adam"
    shuffle: bool = True
    runtime: RuntimeOptions = field(default_factory=RuntimeOptions)

    def __post_init__(self) -> None:
        at_least_one = (
            "train_batch_size",
            "eval_batch_size",
            "num_train_steps",
            "save_checkpoints_steps",
            "iterations_per_loop",
            "max_eval_steps",
            "keep_checkpoint_max",
            "gradient_accumulation_steps",
        )
        for name in at_least_one:
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, but is {getattr(self, name)}.")
        if not self.learning_rate > 0.0:
            raise ValueError(f"--learning_rate must be above 0, but is {self.learning_rate}.")
        if self.num_warmup_steps < 0:
            raise ValueError(
                f"--num_warmup_steps must not be negative, but is {self.num_warmup_steps}."
            )
        if self.optimizer not in RULES:
            raise ValueError(
                f"--optimizer must be one of {', '.join(RULES)}, but is {self.optimizer!r}."
            )

    def check_training(self, replicas: int) -> None:
        """Raises ValueError unless a batch divides evenly among replicas and micro-batches."""
        parts = replicas * self.gradient_accumulation_steps
        if self.train_batch_size % parts:
            raise ValueError(
                f"--train_batch_size is {self.train_batch_size}, which does not divide evenly into "
                f"{replicas} replicas x {self.gradient_accumulation_steps} accumulation steps = "
                f"{parts} parts. Use a multiple of {parts}."
            )

    def check_evaluation(self, replicas: int) -> None:
        """Raises ValueError unless an evaluation batch divides evenly among replicas."""
        if self.eval_batch_size % replicas:
            raise ValueError(
                f"--eval_batch_size is {self.eval_batch_size}, which does not divide evenly among "
                f"{replicas} replicas. Use a multiple of {replicas}."
            )
