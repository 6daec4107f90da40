"""Heads on top of the encoder.

Shapes: B batch, T tokens, H hidden size, P predictions of a sequence, V vocabulary.
Logits are float32 whatever the compute dtype, because losses exponentiate them.
"""

from typing import Any

import keras
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.modeling import kernels
from bert_tf.modeling.dropout import Dropout
from bert_tf.modeling.encoder import BertEncoder, build_encoder
from bert_tf.modeling.layers import (
    INITIALIZER_RANGE,
    LayerNorm,
    Linear,
    OutputLayer,
    fold_seed,
    merge_rows,
)

Tensor = Any

NUM_NEXT_SENTENCE_CLASSES = 2  # 0: B follows A; 1: B is from a random document


@keras.saving.register_keras_serializable("bert_tf")
class MaskedLmHead(keras.layers.Layer):
    """Scores every word of the vocabulary at the masked positions.

    Call: sequence [B, T, H], positions int32 [B, P], table [V, H] -> logits [B, P, V] float32.

    Args:
        vocab_size: V.
        hidden_size: H.
        activation: A name in `kernels.ACTIVATIONS`.
        initializer_range: Standard deviation of the kernel.
        seed: Seed of the initialisation; None draws one.

    Source: `get_masked_lm_output` of the original's run_pretraining.py.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        activation: str = "gelu",
        initializer_range: float = INITIALIZER_RANGE,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.built = False
        self._arguments: dict[str, Any] = {
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "activation": activation,
            "initializer_range": initializer_range,
            "seed": seed,
        }
        policy = self.dtype_policy
        self._activate = kernels.ACTIVATIONS[activation]
        self.transform = Linear(
            hidden_size, initializer_range, seed, name="transform", dtype=policy
        )
        self.layer_norm = LayerNorm(name="layer_norm", dtype=policy)
        self.build()

    def build(self, *_: Any) -> None:
        """Creates the transform's variables and the output bias [V]."""
        if self.built:
            return
        width = (None, self._arguments["hidden_size"])
        self.transform.build(width)
        self.layer_norm.build(width)
        self.output_bias = self.add_weight(
            name="output_bias",
            shape=(self._arguments["vocab_size"],),
            initializer="zeros",
            autocast=False,
        )
        self.built = True

    def call(self, sequence: Tensor, positions: Tensor, table: Tensor) -> Tensor:
        """Logits of the vocabulary; see the class for shapes."""
        batch, length, _ = ops.shape(sequence)
        count = ops.shape(positions)[1]
        offsets = ops.arange(batch, dtype="int32")[:, None] * length  # [B, 1]
        rows = ops.reshape(ops.cast(positions, "int32") + offsets, (-1,))
        x = kernels.lookup(merge_rows(sequence), rows)  # [B*P, H]
        x = self.layer_norm(self._activate(self.transform(x)))
        logits = kernels.project_on_rows(x, ops.cast(table, x.dtype))  # [B*P, V]
        logits = ops.cast(logits, "float32") + self.output_bias
        return ops.reshape(logits, (batch, count, self._arguments["vocab_size"]))

    def compute_output_shape(
        self, sequence_shape: Any, positions_shape: Any, *_: Any
    ) -> tuple[int | None, ...]:
        """[B, P, V]."""
        return (*positions_shape, self._arguments["vocab_size"])

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {**super().get_config(), **self._arguments}


@keras.saving.register_keras_serializable("bert_tf")
class BertPretrainer(keras.Model):
    """The encoder with both heads of pretraining.

    Call: the encoder's dictionary and `masked_lm_positions` int32 [B, P]. Returns `mlm_logits`
    [B, P, V] and `nsp_logits` [B, 2], both float32.

    Args:
        encoder: The encoder.
        masked_lm: Head of the masked language model.
        next_sentence: Head of next sentence prediction.
    """

    def __init__(
        self,
        encoder: BertEncoder,
        masked_lm: MaskedLmHead,
        next_sentence: OutputLayer,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # --- layers ---
        self.encoder = encoder
        self.masked_lm = masked_lm
        self.next_sentence = next_sentence
        if not next_sentence.built:
            next_sentence.build((None, encoder.get_config()["hidden_size"]))
        self.built = True  # Every part has created its own variables.

    # --- graph ---
    def call(
        self,
        inputs: dict[str, Tensor],
        training: bool | None = False,
        dropout: Dropout | None = None,
    ) -> dict[str, Tensor]:
        """Logits of both tasks; the arguments are the encoder's."""
        encoded = self.encoder(inputs, training=training, dropout=dropout)
        sequence, positions = encoded["sequence_output"], inputs["masked_lm_positions"]
        return {
            "mlm_logits": self.masked_lm(sequence, positions, self.encoder.embedding_table),
            "nsp_logits": self.next_sentence(encoded["pooled_output"]),
        }

    # --- config ---
    def get_config(self) -> dict[str, Any]:
        """The three parts, serialized."""
        parts = ("encoder", "masked_lm", "next_sentence")
        serialized = {
            part: keras.saving.serialize_keras_object(getattr(self, part)) for part in parts
        }
        return {"name": self.name, "dtype": self.dtype_policy.name, **serialized}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "BertPretrainer":
        """Rebuilds the model from `get_config`."""
        parts = ("encoder", "masked_lm", "next_sentence")
        for part in parts:
            config[part] = keras.saving.deserialize_keras_object(config[part], custom_objects)
        return cls(**config)


def build_pretrainer(
    config: BertConfig, seed: int | None = None, dtype: Any = None
) -> BertPretrainer:
    """The pretraining model that a `bert_config.json` describes.

    Args:
        config: The model's sizes.
        seed: Seed of the initialisation; None draws one.
        dtype: A Keras dtype policy; None takes the global one.
    """
    spread = config.initializer_range
    encoder = build_encoder(config, seed, dtype=dtype)
    masked_lm = MaskedLmHead(
        config.vocab_size,
        config.hidden_size,
        config.hidden_act,
        spread,
        fold_seed(seed, "masked_lm"),
        name="masked_lm",
        dtype=dtype,
    )
    next_sentence = OutputLayer(
        NUM_NEXT_SENTENCE_CLASSES,
        spread,
        fold_seed(seed, "next_sentence"),
        name="next_sentence",
        dtype=dtype,
    )
    return BertPretrainer(encoder, masked_lm, next_sentence, name="bert_pretrainer", dtype=dtype)
