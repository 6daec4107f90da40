"""Weights that a task says it never reads are exactly those without a gradient."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion.weight_map import named_variables
from bert_tf.tasks.classification import ClassificationTask
from bert_tf.tasks.multiple_choice import MultipleChoiceTask
from bert_tf.tasks.ner import NerTask
from bert_tf.tasks.pretraining import PretrainingTask
from bert_tf.tasks.squad import SquadTask
from tests.conformance.cases import TINY

B, T = 2, 8
TASKS = {
    "classification": (ClassificationTask(TINY, T, 3, seed=1), {"label_ids": [B]}),
    "regression": (ClassificationTask(TINY, T, 0, seed=1), {"label_ids": [B]}),
    "choice": (MultipleChoiceTask(TINY, T, 2, seed=1), {"label_ids": [B]}),
    "squad": (SquadTask(TINY, T, seed=1), {"start_positions": [B], "end_positions": [B]}),
    "ner": (NerTask(TINY, T, 3, seed=1), {"label_ids": [B, T], "label_weights": [B, T]}),
    "pretraining": (
        PretrainingTask(TINY, T, 2, seed=1),
        {
            "masked_lm_positions": [B, 2],
            "masked_lm_ids": [B, 2],
            "masked_lm_weights": [B, 2],
            "next_sentence_labels": [B, 1],
        },
    ),
}


@pytest.mark.parametrize("name", TASKS)
def test_unread_weights_are_those_without_gradient(name):
    task, labels = TASKS[name]
    shape = [B, 2, T] if name == "choice" else [B, T]
    batch = {feature: np.ones(shape, np.int32) for feature in ("input_ids", "input_mask")}
    batch["segment_ids"] = np.zeros(shape, np.int32)
    batch["example_weight"] = np.ones(B, np.float32)
    for feature, own in labels.items():
        kind = np.float32 if "weights" in feature or name == "regression" else np.int32
        batch[feature] = np.ones(own, kind)
    model = task.build_model()
    variables = named_variables(model)
    with tf.GradientTape() as tape:
        loss, _ = task.loss(model, batch, task.totals(batch), None)
    values = [variable.value for variable in variables.values()]
    gradients = dict(zip(variables, tape.gradient(loss, values), strict=True))
    without = {weight for weight, gradient in gradients.items() if gradient is None}
    assert without == {weight for weight in variables if weight.startswith(task.unread)}
    assert bool(without) == (name in ("squad", "ner"))
