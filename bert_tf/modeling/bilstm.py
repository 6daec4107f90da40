"""A tagger on frozen features: layers of the encoder, mixed, read by a BiLSTM.

Shapes: B batch, T tokens, H hidden size, F feature size, C tags.
"""

from typing import Any

import keras
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.modeling.dropout import Dropout, resolve
from bert_tf.modeling.encoder import BertEncoder, build_encoder
from bert_tf.modeling.layers import OutputLayer, fold_seed
from bert_tf.modeling.task_heads import OUTPUT_DROPOUT

Tensor = Any

# The feature-based rows of the paper's table 7.
EMBEDDINGS, SECOND_TO_LAST, LAST = "embeddings", "second_to_last", "last"
WEIGHTED_LAST_FOUR, CONCAT_LAST_FOUR = "weighted_sum_last_four", "concat_last_four"
WEIGHTED_ALL = "weighted_sum_all"
FEATURES = (
    EMBEDDINGS,
    SECOND_TO_LAST,
    LAST,
    WEIGHTED_LAST_FOUR,
    CONCAT_LAST_FOUR,
    WEIGHTED_ALL,
)
LSTM_LAYERS, LSTM_UNITS = 2, 768  # section 5.3; the units are those of both directions together
_LAST_FOUR = 4


@keras.saving.register_keras_serializable("bert_tf")
class FeatureTagger(keras.Model):
    """Scores of each token for each tag, from an encoder that is not trained.

    Call: the encoder's inputs -> {"logits": [B, T, C]}. The caller keeps the encoder's weights out
    of the training (`freeze_layers`); nothing here stops their gradient.

    Args:
        encoder: The encoder.
        num_tags: C.
        features: One of `FEATURES`; weighted sums have learned weights that add up to 1.
        seed: Seed of the initialisation; None draws one.

    Raises:
        ValueError: If `features` is none, or the encoder has too few layers for it.

    Source: arXiv 1810.04805, section 5.3.
    """

    def __init__(
        self,
        encoder: BertEncoder,
        num_tags: int,
        features: str = LAST,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments = encoder.get_config()
        width, layers = arguments["hidden_size"], arguments["num_hidden_layers"]
        if features not in FEATURES:
            raise ValueError(f"features must be one of {', '.join(FEATURES)}, but is {features!r}.")
        least = {SECOND_TO_LAST: 2, WEIGHTED_LAST_FOUR: _LAST_FOUR, CONCAT_LAST_FOUR: _LAST_FOUR}
        if layers < least.get(features, 1):
            raise ValueError(
                f"{features} needs {least[features]} layers, but the model has only {layers}."
            )
        self._arguments = {"num_tags": num_tags, "features": features, "seed": seed}
        policy = self.dtype_policy

        # --- layers ---
        self.encoder = encoder
        self._taken = _taken(features, layers)
        self.mix = None
        if features in (WEIGHTED_LAST_FOUR, WEIGHTED_ALL):
            self.mix = self.add_weight(name="mix", shape=(len(self._taken),), initializer="zeros")
        size = width * (_LAST_FOUR if features == CONCAT_LAST_FOUR else 1)
        self.lstms = [
            keras.layers.Bidirectional(
                keras.layers.LSTM(
                    LSTM_UNITS // 2,
                    return_sequences=True,
                    kernel_initializer=_glorot(seed, f"kernel_{number}"),
                    recurrent_initializer=_orthogonal(seed, f"recurrent_{number}"),
                    name="lstm",
                    dtype=policy,
                ),
                name=f"bilstm_{number}",
                dtype=policy,
            )
            for number in range(LSTM_LAYERS)
        ]
        for number, lstm in enumerate(self.lstms):
            lstm.build((None, None, LSTM_UNITS if number else size))
        self.tokens = OutputLayer(
            num_tags, seed=fold_seed(seed, "tokens"), name="tokens", dtype=policy
        )
        self.tokens.build((None, LSTM_UNITS))
        self.built = True  # Every part has created its variables.

    # --- graph ---
    def call(
        self,
        inputs: dict[str, Tensor],
        training: bool | None = False,
        dropout: Dropout | None = None,
    ) -> dict[str, Tensor]:
        """Logits; dropout works on the tagger alone, for features are always the same."""
        drop = resolve(dropout, training, self.encoder.seed_generator)
        encoded = self.encoder(inputs)
        layers = [encoded["embedding_output"], *encoded["encoder_outputs"]]
        x = self._mixed([layers[index] for index in self._taken])  # [B, T, F]
        mask = ops.cast(inputs["input_mask"], "bool")
        for number, lstm in enumerate(self.lstms):
            x = drop(x, OUTPUT_DROPOUT, self.encoder.dropout_sites + number)
            x = lstm(x, mask=mask)  # [B, T, 768]
        return {"logits": self.tokens(x)}

    def _mixed(self, layers: list[Tensor]) -> Tensor:
        if self.mix is None:
            return ops.concatenate(layers, axis=-1)
        shares = ops.softmax(self.mix)
        return sum(layer * shares[number] for number, layer in enumerate(layers))

    # --- config ---
    def get_config(self) -> dict[str, Any]:
        """The encoder, serialized, and the arguments."""
        return {
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            **self._arguments,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "FeatureTagger":
        """Rebuilds the model from `get_config`."""
        config["encoder"] = keras.saving.deserialize_keras_object(config["encoder"], custom_objects)
        return cls(**config)


def _taken(features: str, layers: int) -> tuple[int, ...]:
    """Numbers of the layers that are read; 0 is the embeddings' output."""
    every = tuple(range(1, layers + 1))
    return {
        EMBEDDINGS: (0,),
        SECOND_TO_LAST: every[-2:-1],
        LAST: every[-1:],
        WEIGHTED_LAST_FOUR: every[-_LAST_FOUR:],
        CONCAT_LAST_FOUR: every[-_LAST_FOUR:],
        WEIGHTED_ALL: every,
    }[features]


def _glorot(seed: int | None, name: str) -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=fold_seed(seed, name))


def _orthogonal(seed: int | None, name: str) -> keras.initializers.Initializer:
    return keras.initializers.Orthogonal(seed=fold_seed(seed, name))


def build_feature_tagger(
    config: BertConfig, num_tags: int, features: str, seed: int | None = None, dtype: Any = None
) -> FeatureTagger:
    """The tagger on an encoder of the config's sizes; see `FeatureTagger`."""
    encoder = build_encoder(config, seed, dtype=dtype)
    return FeatureTagger(encoder, num_tags, features, seed, name="feature_tagger", dtype=dtype)
