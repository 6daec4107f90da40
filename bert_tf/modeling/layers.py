"""Basic layers: linear, layer normalisation, embeddings.

Shapes: B batch, T tokens, H hidden size, V vocabulary, R rows (B * T).
"""

import zlib
from typing import Any

import keras
from keras import ops

from bert_tf.modeling import kernels
from bert_tf.modeling.dropout import Dropout, check_rate, keep_all

Tensor = Any

# The release's `create_initializer`: every kernel and table of every released model.
INITIALIZER_RANGE = 0.02


def initializer(stddev: float, seed: int | None = None) -> keras.initializers.Initializer:
    """The release's weights: a normal distribution truncated at two deviations."""
    return keras.initializers.TruncatedNormal(stddev=stddev, seed=seed)


def fold_seed(seed: int | None, name: str) -> int | None:
    """A seed for the part `name`, independent of those of other parts and other seeds."""
    return None if seed is None else zlib.crc32(f"{seed}/{name}".encode())


def merge_rows(x: Tensor) -> Tensor:
    """[B, T, H] -> [B * T, H]; one plain matrix product instead of B small ones."""
    return ops.reshape(x, (-1, x.shape[-1]))


@keras.saving.register_keras_serializable("bert_tf")
class LayerNorm(keras.layers.Layer):
    """Layer normalisation with the release's epsilon of 1e-12, in float32.

    Call: [..., H] -> [..., H], dtype kept.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates gamma and beta, each [H] float32."""
        width = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=width, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=width, initializer="zeros", autocast=False)

    def call(self, x: Tensor) -> Tensor:
        """Normalises the last axis."""
        return kernels.layer_norm(x, self.gamma.value, self.beta.value)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's shape."""
        return input_shape


@keras.saving.register_keras_serializable("bert_tf")
class Linear(keras.layers.Layer):
    """x @ kernel + bias with the release's initialisation.

    Call: [R, in] -> [R, units].

    Args:
        units: Width of the output.
        initializer_range: Standard deviation of the truncated normal of the kernel.
        seed: Seed of the kernel's initialisation; None draws one.
    """

    def __init__(
        self,
        units: int,
        initializer_range: float = INITIALIZER_RANGE,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.initializer_range = initializer_range
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates kernel [in, units] and bias [units]."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.units),
            initializer=initializer(self.initializer_range, self.seed),
        )
        self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")

    def call(self, x: Tensor) -> Tensor:
        """One matrix product."""
        product = ops.matmul(x, self.kernel)
        # `ops.add` is a BiasAdd to TensorFlow, which products of inference are fused with.
        return ops.add(product, self.bias) if kernels.is_served() else product + self.bias

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[R, units]."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "units": self.units,
            "initializer_range": self.initializer_range,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("bert_tf")
class OutputLayer(keras.layers.Layer):
    """Logits of a few classes: x @ kernel^T + bias in float32, the kernel [units, in].

    The release keeps the kernels of all its output layers that way round.

    Call: [..., in] -> [..., units] float32.

    Args:
        units: Number of classes.
        initializer_range: Standard deviation of the truncated normal of the kernel.
        seed: Seed of the kernel's initialisation; None draws one.

    Source: `get_next_sentence_output` of the original's run_pretraining.py, `create_model` of its
    run_classifier.py and run_squad.py.
    """

    def __init__(
        self,
        units: int,
        initializer_range: float = INITIALIZER_RANGE,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True  # of recurrent layers below it
        self.units = units
        self.initializer_range = initializer_range
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates kernel [units, in] and bias [units]."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.units, input_shape[-1]),
            initializer=initializer(self.initializer_range, self.seed),
            autocast=False,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.units,), initializer="zeros", autocast=False
        )

    def call(self, x: Tensor) -> Tensor:
        """Logits in float32."""
        rows = merge_rows(ops.cast(x, "float32"))
        logits = kernels.project_on_rows(rows, self.kernel.value) + self.bias
        return ops.reshape(logits, (*ops.shape(x)[:-1], self.units))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """[..., units]."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "units": self.units,
            "initializer_range": self.initializer_range,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("bert_tf")
class Embeddings(keras.layers.Layer):
    """Word + token type + position embeddings, normalised, with dropout.

    Call: ids [B, T], types [B, T] int32 -> [B, T, H].

    Args:
        vocab_size: V.
        hidden_size: H.
        max_position_embeddings: Longest sequence.
        type_vocab_size: Number of token types.
        dropout: Rate after the normalisation.
        initializer_range: Standard deviation of the tables.
        seed: Seed of the initialisation; None draws one.

    Source: `embedding_lookup` and `embedding_postprocessor` of the original's modeling.py.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        max_position_embeddings: int,
        type_vocab_size: int,
        dropout: float = 0.1,
        initializer_range: float = INITIALIZER_RANGE,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.max_position_embeddings = max_position_embeddings
        self.type_vocab_size = type_vocab_size
        self.dropout = check_rate("hidden_dropout_prob", dropout)
        self.initializer_range = initializer_range
        self.seed = seed
        self.layer_norm = LayerNorm(name="layer_norm", dtype=self.dtype_policy)

    def build(self, *_: Any) -> None:
        """Creates the three tables and the normalisation."""

        def table(name: str, rows: int) -> Any:
            return self.add_weight(
                name=name,
                shape=(rows, self.hidden_size),
                initializer=initializer(self.initializer_range, fold_seed(self.seed, name)),
                autocast=False,  # or the whole table is cast for a few rows, and its gradient
            )

        self.word_embeddings = table("word_embeddings", self.vocab_size)
        self.token_type_embeddings = table("token_type_embeddings", self.type_vocab_size)
        self.position_embeddings = table("position_embeddings", self.max_position_embeddings)
        self.layer_norm.build((None, None, self.hidden_size))

    def call(self, ids: Tensor, types: Tensor, dropout: Dropout = keep_all) -> Tensor:
        """Embeds tokens; a sequence longer than the position table raises ValueError."""
        batch, length = ops.shape(ids)
        if isinstance(length, int) and length > self.max_position_embeddings:
            raise ValueError(
                f"A sequence may have at most max_position_embeddings = "
                f"{self.max_position_embeddings} tokens, but this batch has {length}. Shorten the "
                "sequences (--max_seq_length) or use a model with more positions."
            )
        words = kernels.lookup(self.word_embeddings.value, ops.reshape(ids, (-1,)))  # [B*T, H]
        one_hot = ops.one_hot(ops.reshape(types, (-1,)), self.type_vocab_size, dtype=words.dtype)
        words = words + ops.matmul(one_hot, self.token_type_embeddings)
        x = ops.reshape(words, (batch, length, self.hidden_size))
        x = x + self.position_embeddings[:length]  # [B, T, H]
        return dropout(self.layer_norm(x), self.dropout, 0)

    def compute_output_shape(
        self, ids_shape: tuple[int | None, ...], *_: Any
    ) -> tuple[int | None, ...]:
        """[B, T, H]."""
        return (*ids_shape, self.hidden_size)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "max_position_embeddings": self.max_position_embeddings,
            "type_vocab_size": self.type_vocab_size,
            "dropout": self.dropout,
            "initializer_range": self.initializer_range,
            "seed": self.seed,
        }
