"""What a training run is told, validated when built."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from bert_tf.config import BertConfig
from bert_tf.optimization import RULES
from bert_tf.training.runtime import RuntimeOptions


@dataclass(frozen=True)
class TrainingOptions:
    """Options of training and evaluation; names and defaults are those of the 2018 flags.

    Attributes:
        output_dir: Where checkpoints and reports go.
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
        shuffle: Whether examples are mixed anew every epoch.
        layer_decay: Factor of the learning rate from each block to the one below it.
        freeze_layers: Blocks, with the embeddings, that keep their weights; 0 trains everything.
        eval_every: Updates between evaluations during training; 0 for none.
        first_step: Where this phase of the training begins: 0, or another phase's `last_step`.
        last_step: Where it ends; None for `num_train_steps`, which the schedule reaches for anyway.
        runtime: Devices, precision, seed.
    """

    output_dir: Path
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
    layer_decay: float = 1.0
    freeze_layers: int = 0
    eval_every: int = 0
    first_step: int = 0
    last_step: int | None = None
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
        for name in ("num_warmup_steps", "freeze_layers", "eval_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name} must not be negative, but is {getattr(self, name)}.")
        if not 0.0 < self.layer_decay <= 1.0:
            raise ValueError(f"--layer_decay must be in (0, 1], but is {self.layer_decay}.")
        if self.optimizer not in RULES:
            raise ValueError(
                f"--optimizer must be one of {', '.join(RULES)}, but is {self.optimizer!r}."
            )

    @property
    def end(self) -> int:
        """The number of updates after which the loop ends."""
        return self.num_train_steps if self.last_step is None else self.last_step

    def is_within_phase(self, step: int) -> bool:
        """Whether a run at `step` goes on with this phase; else other records are meant to come."""
        return self.first_step < step and (self.last_step is None or step < self.last_step)

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


@dataclass(frozen=True)
class FinetuningOptions:
    """Options of the fine-tuning commands; names and defaults are those of the 2018 flags.

    Attributes:
        training: Of the loop; the number of steps follows from the examples (`for_examples`).
        do_train: Whether to train.
        do_eval: Whether to evaluate.
        do_predict: Whether to predict.
        num_train_epochs: Passes over the training examples.
        warmup_proportion: Share of the updates that the warm-up takes.
        predict_batch_size: Examples of a prediction batch, over all replicas.
        early_stop: Evaluations without a better one that end the training; 0 for none.
        seeds: Runs, with the seed and the ones after it.
        pad_to_batch: Whether batches are only as long as their longest example.
        config: The model's sizes, to be kept beside its checkpoints.
        vocab_file: Its vocabulary, likewise.
        report: Whether an evaluation is shown as a page.
        command: The command line, for the page.
    """

    training: TrainingOptions
    do_train: bool = False
    do_eval: bool = False
    do_predict: bool = False
    num_train_epochs: float = 3.0
    warmup_proportion: float = 0.1
    predict_batch_size: int = 8
    early_stop: int = 0
    seeds: int = 1
    pad_to_batch: bool = True
    config: BertConfig | None = None
    vocab_file: Path | None = None
    report: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if not (self.do_train or self.do_eval or self.do_predict):
            raise ValueError(
                "At least one of --do_train, --do_eval and --do_predict must be given."
            )
        if not self.num_train_epochs > 0.0:
            raise ValueError(f"--num_train_epochs must be above 0, but is {self.num_train_epochs}.")
        if not 0.0 <= self.warmup_proportion < 1.0:
            raise ValueError(
                f"--warmup_proportion must be in [0, 1), but is {self.warmup_proportion}. It is "
                "the share of all steps: 0.1 usually."
            )
        for name in ("predict_batch_size", "seeds"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name} must be at least 1, but is {getattr(self, name)}.")
        if self.early_stop < 0:
            raise ValueError(f"--early_stop must not be negative, but is {self.early_stop}.")
        if self.early_stop and not self.training.eval_every:
            raise ValueError(
                f"--early_stop={self.early_stop} counts evaluations, but --eval_every is 0. Give "
                "the number of steps between evaluations with --eval_every."
            )

    def for_examples(self, count: int) -> TrainingOptions:
        """The loop's options for `count` training examples.

        Source: `main` of the original's run_classifier.py.

        Raises:
            ValueError: If the epochs hold no whole batch.
        """
        size = self.training.train_batch_size
        steps = int(count / size * self.num_train_epochs)
        if steps < 1:
            raise ValueError(
                f"Training takes at least one batch of {size} examples (--train_batch_size), but "
                f"{self.num_train_epochs:g} epochs of {count} hold none. Lower the batch size or "
                "raise --num_train_epochs."
            )
        warmup = int(steps * self.warmup_proportion)
        return dataclasses.replace(self.training, num_train_steps=steps, num_warmup_steps=warmup)
