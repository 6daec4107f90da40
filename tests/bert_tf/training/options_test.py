"""Options refuse what cannot work, and say what would."""

from pathlib import Path

import pytest

from bert_tf.training.options import TrainingOptions


def options(**changes):
    return TrainingOptions(**{"output_dir": Path("out"), **changes})


@pytest.mark.parametrize(
    "name",
    [
        "train_batch_size",
        "eval_batch_size",
        "num_train_steps",
        "save_checkpoints_steps",
        "iterations_per_loop",
        "max_eval_steps",
        "keep_checkpoint_max",
        "gradient_accumulation_steps",
    ],
)
def test_counts_are_at_least_one(name):
    assert getattr(options(**{name: 1}), name) == 1
    with pytest.raises(ValueError, match=f"--{name} must be at least 1, but is 0"):
        options(**{name: 0})


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan")])
def test_learning_rate_is_above_zero(rate):
    with pytest.raises(ValueError, match="--learning_rate must be above 0, but is"):
        options(learning_rate=rate)


def test_warm_up_is_not_negative():
    assert options(num_warmup_steps=0).num_warmup_steps == 0
    with pytest.raises(ValueError, match="--num_warmup_steps must not be negative, but is -1"):
        options(num_warmup_steps=-1)


def test_optimizer_is_known():
    with pytest.raises(ValueError, match=r"must be one of adam, adamw, lamb, but is 'sgd'"):
        options(optimizer="sgd")


def test_batches_divide():
    chosen = options(train_batch_size=24, eval_batch_size=6, gradient_accumulation_steps=4)
    chosen.check_training(2)
    chosen.check_evaluation(2)
    with pytest.raises(ValueError, match=r"24, which does .* 5 replicas x 4 .* = 20 parts\. Use a"):
        chosen.check_training(5)
    with pytest.raises(ValueError, match=r"--eval_batch_size is 6, .* among 4 replicas"):
        options(eval_batch_size=6).check_evaluation(4)
