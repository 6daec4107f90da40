"""The conformance list: every layer, model and head, with inputs of any batch size and length."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bert_tf.config import BertConfig
from bert_tf.modeling import bilstm, encoder, heads, layers, task_heads, transformer
from tests.support.small import batch

Inputs = dict[str, np.ndarray]
WIDTH, VOCAB = 8, 30
TINY = BertConfig(
    vocab_size=VOCAB,
    hidden_size=WIDTH,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=12,
    max_position_embeddings=16,
    type_vocab_size=2,
)


def draw(size: int, length: int) -> Inputs:
    """What any part takes: ids, a mask, vectors, positions."""
    random = np.random.default_rng(size * 100 + length)
    ids = batch(size, length, 3, VOCAB, seed=7)
    return {
        **ids,
        "x": random.normal(size=[size, length, WIDTH]).astype("float32"),
        "table": random.normal(size=[VOCAB, WIDTH]).astype("float32"),
    }


@dataclass(frozen=True)
class Case:
    """A layer or model: how it is made and called."""

    make: Callable[..., keras.layers.Layer]
    call: Callable[[Any, Inputs], Any]
    takes: tuple[str, ...]
    idle: tuple[str, ...] = ()  # endings of weights that no output depends on

    def built(self) -> keras.layers.Layer:
        """A new layer with its variables, which no call was needed for."""
        layer = self.make()
        if not layer.built:
            layer.build((None, None, WIDTH))
        return layer


def _embed(layer: Any, inputs: Inputs) -> Any:
    return layer(inputs["input_word_ids"], inputs["input_type_ids"])


def _attend(layer: Any, inputs: Inputs) -> Any:
    mask = keras.ops.cast(inputs["input_mask"], layer.compute_dtype)
    return layer(inputs["x"], (mask - 1.0)[:, None, None, :] * 10000.0)


def _rows(layer: Any, inputs: Inputs) -> Any:
    return layer(keras.ops.reshape(inputs["x"], (-1, WIDTH)))


def _score(layer: Any, inputs: Inputs) -> Any:
    return layer(inputs["x"], inputs["masked_lm_positions"], inputs["table"])


def _model(model: Any, inputs: Inputs) -> Any:
    return model(inputs)


def _choose(model: Any, inputs: Inputs) -> Any:
    choices = {name: [inputs[name], inputs[name][:, ::-1], inputs[name][::-1]] for name in IDS}
    return model({name: keras.ops.stack(values, axis=1) for name, values in choices.items()})


IDS = ("input_word_ids", "input_mask", "input_type_ids")
POOLER = ("pooler/kernel", "pooler/bias")

CASES: dict[str, Case] = {
    "LayerNorm": Case(layers.LayerNorm, lambda layer, given: layer(given["x"]), ("x",)),
    "Linear": Case(lambda **kw: layers.Linear(5, seed=1, **kw), _rows, ("x",)),
    "Embeddings": Case(
        lambda **kw: layers.Embeddings(VOCAB, WIDTH, 16, 2, seed=1, **kw), _embed, (IDS[0], IDS[2])
    ),
    "SelfAttention": Case(
        lambda **kw: transformer.SelfAttention(2, seed=1, **kw), _attend, ("x", "input_mask")
    ),
    "TransformerBlock": Case(
        lambda **kw: transformer.TransformerBlock(2, 12, seed=1, **kw),
        _attend,
        ("x", "input_mask"),
    ),
    "MaskedLmHead": Case(
        lambda **kw: heads.MaskedLmHead(VOCAB, WIDTH, seed=1, **kw),
        _score,
        ("x", "masked_lm_positions", "table"),
    ),
    "OutputLayer": Case(
        lambda **kw: layers.OutputLayer(2, seed=1, **kw),
        lambda layer, given: layer(given["x"][:, 0]),
        ("x",),
    ),
    "BertEncoder": Case(
        lambda **kw: encoder.build_encoder(TINY, 1, **kw), lambda model, given: model(given), IDS
    ),
    "BertClassifier": Case(lambda **kw: task_heads.build_classifier(TINY, 3, 1, **kw), _model, IDS),
    "BertSpanModel": Case(
        lambda **kw: task_heads.build_span_model(TINY, 1, **kw), _model, IDS, idle=POOLER
    ),
    "BertTokenClassifier": Case(
        lambda **kw: task_heads.build_token_classifier(TINY, 3, 1, **kw),
        _model,
        IDS,
        idle=POOLER,
    ),
    "BertMultipleChoice": Case(
        lambda **kw: task_heads.build_multiple_choice(TINY, 3, **kw), _choose, IDS
    ),
    "FeatureTagger": Case(
        lambda **kw: bilstm.build_feature_tagger(TINY, 3, bilstm.WEIGHTED_ALL, 1, **kw),
        _model,
        IDS,
        idle=POOLER,
    ),
    "BertPretrainer": Case(
        lambda **kw: heads.build_pretrainer(TINY, 1, **kw),
        lambda model, given: model(given),
        (*IDS, "masked_lm_positions"),
    ),
}
