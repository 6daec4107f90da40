"""A context and choices in; the choice out.

Shapes: B examples, C choices, T tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.inputs.windows import mean_of_windows
from bert_tf.modeling.task_heads import build_multiple_choice
from bert_tf.tasks.metrics import softmax
from saved_models.building import Exported, Request
from saved_models.network import ENCODER_INPUTS, Network
from saved_models.samples import TEXTS, inputs_of, listed, windows_in_python
from saved_models.signatures import TaskModule, Tensors
from saved_models.texts import STRINGS, TextPacking, logits_of


class MultipleChoice(TaskModule):
    """Which of several choices fits, as `bert_tf.run_swag` predicts it.

    Answers: `choice` int32 [B], counted from 0; `probabilities` [B, C]. Scores: `logits` [B, C] of
    ids [B, C, T].

    Args:
      network: of a `BertMultipleChoice`.
      packing: of its vocabulary.
      start: whether the beginning of every choice is an input of its own.
    """

    def __init__(self, network: Network, packing: TextPacking, start: bool) -> None:
        super().__init__(network, "multiple_choice")
        self.packing, self._start = packing, start
        inputs = {"context": STRINGS, "choices": tf.TensorSpec([None, None], tf.string)}
        self.text_inputs = {**inputs, "start": STRINGS} if start else inputs

    def ids_inputs(self) -> dict[str, tf.TensorSpec]:
        """Ids of every choice."""
        return {
            name: tf.TensorSpec([None, None, None], tf.int32, name=name) for name in ENCODER_INPUTS
        }

    def answer(self, texts: Tensors) -> Tensors:
        """See the class."""
        choices = texts["choices"]
        if self._start:
            choices = texts["start"][:, None] + " " + choices
        sequences = self.packing.sequences_of_choices(texts["context"], choices)
        logits = sequences.mean(logits_of(self.ids))  # [B, C]
        return {
            "choice": tf.argmax(logits, axis=1, output_type=tf.int32),
            "probabilities": tf.nn.softmax(logits),
        }


def build_choices(request: Request) -> Exported:
    """A model that chooses."""
    model = build_multiple_choice(request.sizes)
    request.load(model)
    module = MultipleChoice(request.network(model), TextPacking(request, pairs=True), request.start)
    choices = [[text, *TEXTS[1:3]] for text in TEXTS]
    texts: dict[str, Any] = {"context": TEXTS, "choices": choices}
    before = ""
    if request.start:
        texts["start"], before = ["The lamp"] * len(TEXTS), "The lamp "
    seconds = [[before + each for each in row] for row in choices]
    rows, owners = windows_in_python(request, TEXTS, seconds)
    windows = [inputs_of(row) for row in rows]
    ids = {name: np.stack([each[name] for each in windows]) for name in ENCODER_INPUTS}
    windows_logits = np.asarray(model(ids)["logits"])
    logits = mean_of_windows(windows_logits, owners)
    answers = {
        "choice": np.argmax(logits, axis=1).tolist(),
        "probabilities": softmax(logits).tolist(),
    }
    scores = {"logits": windows_logits.tolist()}
    cases = [
        {"signature": "serving_default", "inputs": texts, "expected": answers},
        {"signature": "serve_ids", "inputs": listed(ids), "expected": scores},
    ]
    return Exported.of(module, cases, start=request.start)
