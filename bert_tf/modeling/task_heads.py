"""The encoder with one output layer on top, for each kind of task of the paper (its figure 4).

Shapes: B batch, T tokens, H hidden size, C classes or choices.
All logits are float32.
"""

from typing import Any

import keras
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.modeling.dropout import Dropout, resolve
from bert_tf.modeling.encoder import BertEncoder, build_encoder
from bert_tf.modeling.layers import OutputLayer, fold_seed

Tensor = Any
Inputs = dict[str, Tensor]

# The release drops a tenth of the pooled vector whatever the config says (`create_model` of
# run_classifier.py).
OUTPUT_DROPOUT = 0.1

START, END = 0, 1  # rows of the span layer's kernel


class _TaskModel(keras.Model):
    """An encoder and an output layer; subclasses say what goes from one to the other."""

    def __init__(self, encoder: BertEncoder, output_layer: OutputLayer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # --- layers ---
        self.encoder = encoder
        self.output_layer = output_layer
        if not output_layer.built:
            output_layer.build((None, encoder.get_config()["hidden_size"]))
        self.built = True  # Both parts have created their variables.

    def encode(
        self, inputs: Inputs, training: bool | None, dropout: Dropout | None
    ) -> tuple[dict[str, Tensor], Dropout]:
        """The encoder's outputs, and the dropout that is on."""
        drop = resolve(dropout, training, self.encoder.seed_generator)
        return self.encoder(inputs, dropout=drop), drop

    def drop(self, x: Tensor, dropout: Dropout) -> Tensor:
        """Dropout before the output layer."""
        return dropout(x, OUTPUT_DROPOUT, self.encoder.dropout_sites)

    # --- config ---
    def get_config(self) -> dict[str, Any]:
        """The two parts, serialized."""
        parts = ("encoder", "output_layer")
        serialized = {
            part: keras.saving.serialize_keras_object(getattr(self, part)) for part in parts
        }
        return {"name": self.name, "dtype": self.dtype_policy.name, **serialized}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "_TaskModel":
        """Rebuilds the model from `get_config`."""
        for part in ("encoder", "output_layer"):
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects)
        return cls(**config)


@keras.saving.register_keras_serializable("bert_tf")
class BertClassifier(_TaskModel):
    """Scores of a sentence or a pair: one for each class, or one number for a regression.

    Call: the encoder's inputs -> {"logits": [B, C]}.

    Source: `create_model` of the original's run_classifier.py.
    """

    # --- graph ---
    def call(
        self, inputs: Inputs, training: bool | None = False, dropout: Dropout | None = None
    ) -> dict[str, Tensor]:
        """Logits; see `BertEncoder.call` for the arguments."""
        encoded, drop = self.encode(inputs, training, dropout)
        return {"logits": self.output_layer(self.drop(encoded["pooled_output"], drop))}


@keras.saving.register_keras_serializable("bert_tf")
class BertSpanModel(_TaskModel):
    """Scores of each token as the first and as the last of an answer; no dropout on top.

    Call: the encoder's inputs -> {"start_logits": [B, T], "end_logits": [B, T]}.

    Source: `create_model` of the original's run_squad.py.
    """

    # --- graph ---
    def call(
        self, inputs: Inputs, training: bool | None = False, dropout: Dropout | None = None
    ) -> dict[str, Tensor]:
        """Logits; see `BertEncoder.call` for the arguments."""
        encoded, _ = self.encode(inputs, training, dropout)
        logits = self.output_layer(encoded["sequence_output"])  # [B, T, 2]
        return {"start_logits": logits[..., START], "end_logits": logits[..., END]}


@keras.saving.register_keras_serializable("bert_tf")
class BertTokenClassifier(_TaskModel):
    """Scores of each token for each class.

    Call: the encoder's inputs -> {"logits": [B, T, C]}.

    Source: arXiv 1810.04805, section 5.3.
    """

    # --- graph ---
    def call(
        self, inputs: Inputs, training: bool | None = False, dropout: Dropout | None = None
    ) -> dict[str, Tensor]:
        """Logits; see `BertEncoder.call` for the arguments."""
        encoded, drop = self.encode(inputs, training, dropout)
        return {"logits": self.output_layer(self.drop(encoded["sequence_output"], drop))}


@keras.saving.register_keras_serializable("bert_tf")
class BertMultipleChoice(_TaskModel):
    """Scores of the choices of a question, each packed into a sequence of its own.

    Call: the encoder's inputs, each [B, C, T] -> {"logits": [B, C]}.

    Source: arXiv 1810.04805, section 4.4: one vector, its dot product with each choice's [CLS].
    """

    # --- graph ---
    def call(
        self, inputs: Inputs, training: bool | None = False, dropout: Dropout | None = None
    ) -> dict[str, Tensor]:
        """Logits; see `BertEncoder.call` for the arguments."""
        shape = ops.shape(inputs["input_word_ids"])
        rows = {name: ops.reshape(values, (-1, shape[2])) for name, values in inputs.items()}
        encoded, drop = self.encode(rows, training, dropout)
        scores = self.output_layer(self.drop(encoded["pooled_output"], drop))  # [B*C, 1]
        return {"logits": ops.reshape(scores, (-1, shape[1]))}


def _parts(
    config: BertConfig, units: int, name: str, seed: int | None, dtype: Any
) -> tuple[BertEncoder, OutputLayer]:
    output_layer = OutputLayer(
        units, config.initializer_range, fold_seed(seed, name), name=name, dtype=dtype
    )
    return build_encoder(config, seed, dtype=dtype), output_layer


def build_classifier(
    config: BertConfig, num_labels: int, seed: int | None = None, dtype: Any = None
) -> BertClassifier:
    """An encoder with a classifier's output layer.

    Args:
        config: The model's sizes.
        num_labels: C; 1 for a regression.
        seed: Seed of the initialisation; None draws one.
        dtype: A Keras dtype policy; None takes the global one.
    """
    parts = _parts(config, num_labels, "classifier", seed, dtype)
    return BertClassifier(*parts, name="bert_classifier", dtype=dtype)


def build_span_model(
    config: BertConfig, seed: int | None = None, dtype: Any = None
) -> BertSpanModel:
    """An encoder with a span layer; see `build_classifier`."""
    return BertSpanModel(
        *_parts(config, 2, "spans", seed, dtype), name="bert_span_model", dtype=dtype
    )


def build_token_classifier(
    config: BertConfig, num_labels: int, seed: int | None = None, dtype: Any = None
) -> BertTokenClassifier:
    """An encoder with a classifier of tokens; see `build_classifier`."""
    parts = _parts(config, num_labels, "tokens", seed, dtype)
    return BertTokenClassifier(*parts, name="bert_token_classifier", dtype=dtype)


def build_multiple_choice(
    config: BertConfig, seed: int | None = None, dtype: Any = None
) -> BertMultipleChoice:
    """An encoder that scores choices; see `build_classifier`."""
    parts = _parts(config, 1, "choices", seed, dtype)
    return BertMultipleChoice(*parts, name="bert_multiple_choice", dtype=dtype)
