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

from bert_tf.conversion.weight_map import named_variables

Tensors = dict[str, tf.Tensor]

ENCODER_INPUTS = ("input_word_ids", "input_mask", "input_type_ids")


class TaskModule(tf.Module):
    """Base of the tasks' modules; see this file's docstring.

    Args:
      model: a built model of `bert_tf.modeling`, whose weights are saved with the module.
      name: of the module.

    Attributes:
      text_inputs: name -> TensorSpec of string, [B] or [B, C], the arguments of `answer`.
    """

    text_inputs: Mapping[str, tf.TensorSpec]

    def __init__(self, model: keras.Model, name: str) -> None:
        super().__init__(name=name)
        # Keras layers held in lists are not tracked (nor saved); these variables are the weights.
        self.weights = [variable.value for variable in named_variables(model).values()]
        self._model = self._no_dependency(model)

    def ids(self, inputs: Tensors) -> Tensors:
        """The model's scores; `inputs` as `BertEncoder` takes them."""
        return dict(self._model(inputs, training=False))

    def answer(self, texts: Tensors) -> Tensors:
        """Answers to texts, named as in `text_inputs`."""
        raise NotImplementedError

    def ids_inputs(self) -> dict[str, tf.TensorSpec]:
        """Arguments of `serve_ids`."""
        return {name: tf.TensorSpec([None, None], tf.int32, name=name) for name in ENCODER_INPUTS}

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by signature name."""
        features = {
            name: tf.io.FixedLenFeature(spec.shape[1:], tf.string)
            for name, spec in self.text_inputs.items()
        }

        @tf.function(autograph=False)
        def serving_default(**texts: tf.Tensor) -> Tensors:
            return self.answer(texts)

        @tf.function(autograph=False)
        def serve_examples(examples: tf.Tensor) -> Tensors:
            return self.answer(tf.io.parse_example(examples, features))

        @tf.function(autograph=False)
        def serve_ids(**inputs: tf.Tensor) -> Tensors:
            return self.ids(inputs)

        examples = tf.TensorSpec([None], tf.string, name="examples")
        return {
            "serving_default": serving_default.get_concrete_function(**self.text_inputs),
            "serve_examples": serve_examples.get_concrete_function(examples),
            "serve_ids": serve_ids.get_concrete_function(**self.ids_inputs()),
        }
