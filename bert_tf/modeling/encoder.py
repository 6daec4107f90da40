"""The BERT encoder.

Shapes: B batch, T tokens, H hidden size, V vocabulary.
"""

from typing import Any

import keras
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.modeling import kernels
from bert_tf.modeling.dropout import Dropout, resolve
from bert_tf.modeling.layers import INITIALIZER_RANGE, Embeddings, Linear, fold_seed
from bert_tf.modeling.transformer import SITES_PER_BLOCK, TransformerBlock

Tensor = Any


@keras.saving.register_keras_serializable("bert_tf")
class BertEncoder(keras.Model):
    """Token ids in, contextual vectors out.

    Call: a dictionary of `input_word_ids`, and optionally `input_mask` (default: all ones) and
    `input_type_ids` (default: all zeros), each int32 [B, T]. Returns a dictionary:

    - `sequence_output` [B, T, H]: the last block's output;
    - `pooled_output` [B, H]: tanh of a linear map of the first token's vector;
    - `encoder_outputs`: list of [B, T, H], one for each block;
    - `embedding_output` [B, T, H]: the input of the first block.

    The word embedding table is `embedding_table`, [V, H].

    Args:
        vocab_size: V.
        hidden_size: H.
        num_hidden_layers: Number of blocks.
        num_attention_heads: Heads of each block; divides `hidden_size`.
        intermediate_size: Width inside the feed-forward networks.
        hidden_act: A name in `kernels.ACTIVATIONS`; "gelu" is the tanh form, as in the release.
        hidden_dropout_prob: Dropout on embeddings and projections.
        attention_probs_dropout_prob: Dropout on attention probabilities.
        max_position_embeddings: Longest sequence.
        type_vocab_size: Number of token types.
        initializer_range: Standard deviation of the truncated normal initialisation.
        seed: Seed of the initialisation; None draws one.

    Source: `BertModel` of the original's modeling.py; arXiv 1810.04805, section 3.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        hidden_act: str = "gelu",
        hidden_dropout_prob: float = 0.1,
        attention_probs_dropout_prob: float = 0.1,
        max_position_embeddings: int = 512,
        type_vocab_size: int = 2,
        initializer_range: float = INITIALIZER_RANGE,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.built = False
        self._arguments: dict[str, Any] = {
            "vocab_size": vocab_size,
            "hidden_size": hidden_size,
            "num_hidden_layers": num_hidden_layers,
            "num_attention_heads": num_attention_heads,
            "intermediate_size": intermediate_size,
            "hidden_act": hidden_act,
            "hidden_dropout_prob": hidden_dropout_prob,
            "attention_probs_dropout_prob": attention_probs_dropout_prob,
            "max_position_embeddings": max_position_embeddings,
            "type_vocab_size": type_vocab_size,
            "initializer_range": initializer_range,
            "seed": seed,
        }
        policy = self.dtype_policy

        # --- layers ---
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.embeddings = Embeddings(
            vocab_size,
            hidden_size,
            max_position_embeddings,
            type_vocab_size,
            hidden_dropout_prob,
            initializer_range,
            fold_seed(seed, "embeddings"),
            name="embeddings",
            dtype=policy,
        )
        self.blocks = [
            TransformerBlock(
                num_attention_heads,
                intermediate_size,
                hidden_act,
                hidden_dropout_prob,
                attention_probs_dropout_prob,
                initializer_range,
                fold_seed(seed, f"layer_{index}"),
                name=f"layer_{index}",
                dtype=policy,
            )
            for index in range(num_hidden_layers)
        ]
        pooler_seed = fold_seed(seed, "pooler")
        self.pooler = Linear(
            hidden_size, initializer_range, pooler_seed, name="pooler", dtype=policy
        )
        self.build()

    def build(self, input_shape: Any = None) -> None:
        """Creates every variable; shapes follow from the constructor's arguments alone."""
        del input_shape
        if self.built:
            return
        width = self._arguments["hidden_size"]
        self.embeddings.build((None, None))
        for block in self.blocks:
            block.build((None, None, width))
        self.pooler.build((None, width))
        self.built = True

    # --- graph ---
    def call(
        self,
        inputs: dict[str, Tensor],
        training: bool | None = False,
        dropout: Dropout | None = None,
    ) -> dict[str, Any]:
        """Encodes a batch.

        Args:
            inputs: See the class.
            training: Whether dropout is on; its masks then come from the model's seed generator.
            dropout: Masks of the caller's, in place of what `training` asks for.

        Returns:
            See the class.
        """
        drop = resolve(dropout, training, self.seed_generator)
        ids = ops.cast(inputs["input_word_ids"], "int32")  # [B, T]
        mask, types = inputs.get("input_mask"), inputs.get("input_type_ids")
        mask = ops.ones_like(ids) if mask is None else mask
        types = ops.zeros_like(ids) if types is None else types
        bias = (1.0 - ops.cast(mask, self.compute_dtype)) * kernels.MASKED_SCORE
        bias = bias[:, None, None, :]  # [B, 1, 1, T]

        x = embedded = self.embeddings(ids, types, dropout=drop)  # [B, T, H]
        outputs = []
        for index, block in enumerate(self.blocks):
            x = block(x, bias, dropout=drop, first_site=1 + index * SITES_PER_BLOCK)
            outputs.append(x)
        return {
            "sequence_output": x,
            "pooled_output": ops.tanh(self.pooler(x[:, 0])),  # [B, H]
            "encoder_outputs": outputs,
            "embedding_output": embedded,
        }

    @property
    def embedding_table(self) -> Tensor:
        """Word embeddings [V, H], which the masked language model's output layer shares."""
        return self.embeddings.word_embeddings.value

    @property
    def dropout_sites(self) -> int:
        """How many numbers of dropout places the encoder uses; heads number theirs from here."""
        return 1 + len(self.blocks) * SITES_PER_BLOCK

    # --- config ---
    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return {"name": self.name, "dtype": self.dtype_policy.name, **self._arguments}


def build_encoder(config: BertConfig, seed: int | None = None, **kwargs: Any) -> BertEncoder:
    """The encoder that a `bert_config.json` describes, named `bert`.

    Args:
        config: The model's sizes.
        seed: Seed of the initialisation; None draws one.
        **kwargs: Keras arguments such as `dtype`.
    """
    return BertEncoder(**config.to_dict(), seed=seed, **{"name": "bert", **kwargs})
