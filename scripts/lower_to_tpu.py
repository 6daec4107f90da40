"""Lowers the training step to TPU HLO without a TPU, to show that it holds nothing a TPU refuses.

    python3.11 -m venv tpu_venv
    tpu_venv/bin/pip install tensorflow-tpu==2.20.0 libtpu==0.0.14 keras==3.15.0 tqdm google-crc32c
    tpu_venv/bin/python scripts/lower_to_tpu.py

Forward and backward pass with dropout, alone and accumulated over two parts of a batch, in float32
and bfloat16, and the clipped update of every variable, are lowered for a TPU. A host operation or
an unsupported kernel fails here; a shape that is not known at compile time is counted. That is a
proof of compilation, not of speed or numerics: this project has not run on TPU hardware.
"""

import os
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import tensorflow as tf

from bert_tf.config import named_config
from bert_tf.conversion.weight_map import named_variables
from bert_tf.optimization import CLIP_NORM, RULES, WEIGHT_DECAY, global_norm, uses_weight_decay
from bert_tf.tasks.pretraining import PretrainingTask
from bert_tf.training.runtime import PRECISIONS
from bert_tf.training.step import accumulate, fold_seed, gradient_function

BATCH, LENGTH, PREDICTIONS, MICRO_BATCHES = 8, 128, 20, 2


def example_batch() -> dict[str, tf.Tensor]:
    """A batch of the shapes of pretraining."""
    tokens, words = (BATCH, LENGTH), (BATCH, PREDICTIONS)
    return {
        "input_ids": tf.ones(tokens, tf.int32),
        "input_mask": tf.ones(tokens, tf.int32),
        "segment_ids": tf.zeros(tokens, tf.int32),
        "masked_lm_positions": tf.ones(words, tf.int32),
        "masked_lm_ids": tf.ones(words, tf.int32),
        "masked_lm_weights": tf.ones(words, tf.float32),
        "next_sentence_labels": tf.zeros((BATCH, 1), tf.int32),
        "example_weight": tf.ones((BATCH,), tf.float32),
    }


def lower(name: str, function: Any, *arguments: Any) -> None:
    """Prints how a compiled function of tensors lowers for TPUs."""
    text = function.experimental_get_compiler_ir(*arguments)(stage="hlo", platform_name="TPU")
    dynamic = len(re.findall(r"<=\d", text))
    print(f"{name:<36} {text.count(chr(10)):>6} lines of TPU HLO, {dynamic} dynamic dimensions")


def update_all(
    rule_name: str, names: list[str], values: list[tf.Tensor], rate: tf.Tensor, step: tf.Tensor
) -> list[Any]:
    """One update of every variable, with the values standing in for gradients and slots."""
    rule, scale = RULES[rule_name], CLIP_NORM / tf.maximum(global_norm(values), CLIP_NORM)
    return [
        rule(value, value * scale, (value, value), rate, step, WEIGHT_DECAY * uses_decay)
        for value, uses_decay in zip(values, map(uses_weight_decay, names), strict=True)
    ]


def lower_gradients(precision: str) -> dict[str, tf.Tensor]:
    """Lowers forward and backward pass in a precision; returns the weights by name."""
    keras.config.set_dtype_policy(PRECISIONS[precision])
    task = PretrainingTask(named_config("bert-tiny"), LENGTH, PREDICTIONS, seed=1)
    model = task.build_model()
    weights = named_variables(model)
    values = [tf.convert_to_tensor(variable.value) for variable in weights.values()]
    compute: Any = gradient_function(
        task,
        model,
        list(weights.values()),
        trained=[True] * len(weights),
        jit_compile=True,
        compile_chains=False,
    )
    batch = example_batch()
    totals = task.totals(batch)
    seed, scale = fold_seed(1, tf.constant(0), tf.constant(0)), tf.constant(1.0)
    lower(f"{precision}, forward and backward", compute, values, batch, totals, seed, scale)

    @tf.function(jit_compile=True)
    def accumulated(
        values: list[tf.Tensor], batch: Any, totals: Any, seed: tf.Tensor, scale: tf.Tensor
    ) -> Any:
        seeds = partial(tf.random.fold_in, seed)
        names = ("loss", *task.sum_names)
        trained = [True] * len(values)
        return accumulate(
            compute, values, batch, totals, seeds, scale, MICRO_BATCHES, names, trained
        )

    lower(f"{precision}, with accumulation", accumulated, values, batch, totals, seed, scale)
    return dict(zip(weights, values, strict=True))


def main() -> None:
    """Lowers the step of BERT-Tiny, which has every operation that BERT-Large has."""
    lower_gradients("bfloat16")
    weights = lower_gradients("float32")
    for rule_name in RULES:
        update = tf.function(partial(update_all, rule_name, list(weights)), jit_compile=True)
        arguments = list(weights.values()), tf.constant(1e-4), tf.constant(0)
        lower(f"update by {rule_name}", update, *arguments)


if __name__ == "__main__":
    main()
