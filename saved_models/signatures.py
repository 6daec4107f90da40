"""What every task's SavedModel has in common: its weights, and its signatures.

A task is a `TaskModule` with two functions: `ids`, from token ids to the model's scores, and
`answer`, from strings to answers. The signatures follow from them:

    serving_default   strings by name, as in `text_inputs` -> answers
    serve_examples    serialized tf.Example, its features named likewise -> answers
    serve_ids         input_word_ids, input_mask, input_type_ids, int32 [B, T] -> scores

Every output has the batch as its first axis, as the REST interface of TensorFlow Serving wants it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from saved_models.network import ENCODER_INPUTS, Network, Tensors

__all__ = ["ENCODER_INPUTS", "TaskModule", "Tensors"]


class TaskModule(tf.Module):
    """Base of the tasks' modules; see this file's docstring.

    Args:
      model: a built model of `bert_tf.modeling`, or a network that says how to store and run one.
      name: of the module.

    Attributes:
      network: the model, its weights saved with the module.
      text_inputs: name -> TensorSpec of string, [B] or [B, C], the arguments of `answer`.
    """

    text_inputs: Mapping[str, tf.TensorSpec]

    def __init__(self, model: keras.Model | Network, name: str) -> None:
        super().__init__(name=name)
        self.network = model if isinstance(model, Network) else Network(model)

    def ids(self, inputs: Tensors) -> Tensors:
        """The model's scores; `inputs` as `BertEncoder` takes them."""
        return self.network(inputs)

    def answer(self, texts: Tensors) -> Tensors:
        """Answers to texts, named as in `text_inputs`."""
        raise NotImplementedError

    def ids_inputs(self) -> dict[str, tf.TensorSpec]:
        """Arguments of `serve_ids`."""
        return {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in ENCODER_INPUTS}

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        # One function for both: it holds the tokenizer's tables.
        answer = tf.function(self.answer, input_signature=[dict(self.text_inputs)], autograph=False)

        @tf.function(autograph=False)
        def serving_default(**texts: tf.Tensor) -> Tensors:
            return answer(texts)

        @tf.function(autograph=False)
        def serve_examples(examples: tf.Tensor) -> Tensors:
            return answer(_parsed(examples, self.text_inputs))

        @tf.function(autograph=False)
        def serve_ids(**inputs: tf.Tensor) -> Tensors:
            return self.ids(inputs)

        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {
            "serving_default": serving_default.get_concrete_function(**self.text_inputs),
            "serve_examples": serve_examples.get_concrete_function(examples=examples),
            "serve_ids": serve_ids.get_concrete_function(**self.ids_inputs()),
        }


def _parsed(examples: tf.Tensor, specs: Mapping[str, tf.TensorSpec]) -> Tensors:
    """Strings of serialized tf.Example; a list of a feature must be as long in all of them."""
    features = {
        name: tf.io.FixedLenFeature([], tf.string)
        if spec.shape.rank == 1
        else tf.io.RaggedFeature(tf.string)
        for name, spec in specs.items()
    }
    parsed = tf.io.parse_example(examples, features)
    for name, value in parsed.items():
        if isinstance(value, tf.RaggedTensor):
            lengths = value.row_lengths()
            alike = tf.debugging.assert_equal(
                lengths,
                tf.fill(tf.shape(lengths), tf.reduce_max(lengths)),
                f"Every example must have as many {name} as the others in its batch",
            )
            with tf.control_dependencies([alike]):
                parsed[name] = value.to_tensor()
    return parsed
