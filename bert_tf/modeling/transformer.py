"""The transformer: self-attention and the block around it.

Shapes: B batch, T tokens, H hidden size, N attention heads, D = H / N size of a head,
I intermediate size.

Variables have the shapes of the 2018 release; what is fused (query, key and value in one matrix
product) is fused in the computation, not in the variables.
"""

import math
from typing import Any, cast

import keras
from keras import ops

from bert_tf.modeling import kernels
from bert_tf.modeling.dropout import Dropout, check_rate, keep_all
from bert_tf.modeling.layers import INITIALIZER_RANGE, LayerNorm, Linear, fold_seed, merge_rows

Tensor = Any

# Places of dropout inside a block; the encoder numbers blocks in steps of SITES_PER_BLOCK.
ATTENTION_PROBS, ATTENTION_OUTPUT, BLOCK_OUTPUT = 0, 1, 2
SITES_PER_BLOCK = 3


@keras.saving.register_keras_serializable("bert_tf")
class SelfAttention(keras.layers.Layer):
    """Multi-head attention of a sequence on itself, without the output projection.

    Call: x [B, T, H], bias [B, 1, 1, T] (0 to attend, -10000 not to) -> [B, T, H].

    Args:
        num_heads: N.
        dropout: Rate on the attention probabilities.
        initializer_range: Standard deviation of the kernels.
        seed: Seed of the initialisation; None draws one.

    Source: `attention_layer` of the original's modeling.py; arXiv 1706.03762, section 3.2.
    """

    def __init__(
        self,
        num_heads: int,
        dropout: float = 0.1,
        initializer_range: float = INITIALIZER_RANGE,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.dropout = check_rate("attention_probs_dropout_prob", dropout)
        self.initializer_range = initializer_range
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        """Creates query, key and value, each kernel [H, H] and bias [H]."""
        width = input_shape[-1]
        if width is None or width % self.num_heads:
            raise ValueError(
                "The hidden size must be a multiple of the number of attention heads, but is "
                f"{width} with {self.num_heads} heads."
            )
        self.head_size = width // self.num_heads
        self.projections = []
        for name in ("query", "key", "value"):
            seed = fold_seed(self.seed, name)
            layer = Linear(width, self.initializer_range, seed, name=name, dtype=self.dtype_policy)
            layer.build((None, width))
            self.projections.append(layer)

    def call(
        self, x: Tensor, bias: Tensor, dropout: Dropout = keep_all, first_site: int = 0
    ) -> Tensor:
        """Attends; see the class for shapes."""
        batch, length, width = ops.shape(x)
        parts = self._separate if kernels.is_served() else self._joint
        query, key, value = parts(x)  # [B, N, T, D]
        query = query * (1.0 / math.sqrt(self.head_size))
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) + bias  # [B, N, T, T]
        site = first_site + ATTENTION_PROBS
        probs = dropout(ops.softmax(scores, axis=-1), self.dropout, site)
        context = kernels.swap_middle(ops.matmul(probs, value))  # [B, T, N, D]
        return ops.reshape(context, (batch, length, width))

    def _joint(self, x: Tensor) -> list[Tensor]:
        batch, length, _ = ops.shape(x)
        kernel = ops.concatenate([layer.kernel.value for layer in self.projections], axis=1)
        offset = ops.concatenate([layer.bias.value for layer in self.projections], axis=0)
        fused = ops.matmul(merge_rows(x), kernel) + offset  # [B*T, 3H]
        fused = ops.reshape(fused, (batch, length, 3, self.num_heads, self.head_size))
        fused = ops.transpose(fused, (2, 0, 3, 1, 4))  # [3, B, N, T, D]
        return list(ops.unstack(fused, 3))  # slices would cost a padded gradient each

    def _separate(self, x: Tensor) -> list[Tensor]:
        batch, length, _ = ops.shape(x)
        rows, heads = merge_rows(x), (batch, length, self.num_heads, self.head_size)
        products = [ops.reshape(layer(rows), heads) for layer in self.projections]
        return [kernels.swap_middle(product) for product in products]

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...], *_: Any
    ) -> tuple[int | None, ...]:
        """[B, T, H]."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "initializer_range": self.initializer_range,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable("bert_tf")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and feed-forward network, each followed by add and normalise.

    Call: x [B, T, H], bias [B, 1, 1, T] -> [B, T, H].

    Args:
        num_heads: N.
        intermediate_size: I.
        activation: A name in `kernels.ACTIVATIONS`.
        hidden_dropout: Rate after the two output projections.
        attention_dropout: Rate on the attention probabilities.
        initializer_range: Standard deviation of the kernels.
        seed: Seed of the initialisation; None draws one.

    Source: `transformer_model` of the original's modeling.py (one layer of it).
    """

    def __init__(
        self,
        num_heads: int,
        intermediate_size: int,
        activation: str = "gelu",
        hidden_dropout: float = 0.1,
        attention_dropout: float = 0.1,
        initializer_range: float = INITIALIZER_RANGE,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.intermediate_size = intermediate_size
        self.activation = activation
        self.hidden_dropout = check_rate("hidden_dropout_prob", hidden_dropout)
        self.attention_dropout = attention_dropout
        self.initializer_range = initializer_range
        self.seed = seed
        self._activate = kernels.ACTIVATIONS[activation]

    def build(self, input_shape: tuple[int | None, ...], *_: Any) -> None:
        """Creates the sublayers."""
        width = cast(int, input_shape[-1])
        policy, spread = self.dtype_policy, self.initializer_range

        def linear(name: str, units: int) -> Linear:
            return Linear(units, spread, fold_seed(self.seed, name), name=name, dtype=policy)

        self.self_attention = SelfAttention(
            self.num_heads,
            self.attention_dropout,
            spread,
            fold_seed(self.seed, "self_attention"),
            name="self_attention",
            dtype=policy,
        )
        self.attention_output = linear("attention_output", width)
        self.attention_norm = LayerNorm(name="attention_norm", dtype=policy)
        self.intermediate = linear("intermediate", self.intermediate_size)
        self.output_projection = linear("output", width)
        self.output_norm = LayerNorm(name="output_norm", dtype=policy)
        self.self_attention.build(input_shape)
        self.attention_output.build((None, width))
        self.attention_norm.build(input_shape)
        self.intermediate.build((None, width))
        self.output_projection.build((None, self.intermediate_size))
        self.output_norm.build(input_shape)

    def call(
        self, x: Tensor, bias: Tensor, dropout: Dropout = keep_all, first_site: int = 0
    ) -> Tensor:
        """One layer of the encoder; see the class for shapes."""
        shape, rate = ops.shape(x), self.hidden_dropout
        rows = merge_rows(x)  # [B*T, H]
        context = self.self_attention(x, bias, dropout=dropout, first_site=first_site)
        attended = self.attention_output(merge_rows(context))
        attended = dropout(attended, rate, first_site + ATTENTION_OUTPUT)
        rows = self.attention_norm(rows + attended)
        hidden = self._activate(self.intermediate(rows))  # [B*T, I]
        output = dropout(self.output_projection(hidden), rate, first_site + BLOCK_OUTPUT)
        return ops.reshape(self.output_norm(rows + output), shape)

    def compute_output_shape(
        self, input_shape: tuple[int | None, ...], *_: Any
    ) -> tuple[int | None, ...]:
        """[B, T, H]."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "intermediate_size": self.intermediate_size,
            "activation": self.activation,
            "hidden_dropout": self.hidden_dropout,
            "attention_dropout": self.attention_dropout,
            "initializer_range": self.initializer_range,
            "seed": self.seed,
        }
