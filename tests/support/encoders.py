"""Encoders to export: the published interface as tables, random weights, a checkpoint of them."""

import numpy as np
import tensorflow as tf

from bert_tf.conversion import tf1
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling.heads import build_pretrainer
from saved_models.encoder import Source
from tests.support import garden, small

CONFIG = garden.CONFIG
NAMES = ("input_word_ids", "input_mask", "input_type_ids")

# The published interfaces, written down from tensorflow.org/hub/common_saved_model_apis/text and
# what Model Garden's exporter writes; B, T, P, H, V and L stand for sizes, W and S for the ragged
# axes of words and their pieces.
PREPROCESSOR = {
    "": (
        {"sentences": ("string", "B")},
        {"input_word_ids": ("int32", "B T"), "input_mask": ("int32", "B T"),
         "input_type_ids": ("int32", "B T")},
    ),
    "tokenize": ({"sentences": ("string", "B")}, ("int32", "B W S")),
    "tokenize_with_offsets": (
        {"sentences": ("string", "B")},
        [("int32", "B W S"), ("int64", "B W S"), ("int64", "B W S")],
    ),
    "bert_pack_inputs": (
        [("int32", "B W S"), ("int32", "B W S")],
        {"input_word_ids": ("int32", "B T"), "input_mask": ("int32", "B T"),
         "input_type_ids": ("int32", "B T")},
    ),
    "tokenize.get_special_tokens_dict": (
        None,
        {"padding_id": ("int32", ""), "start_of_sequence_id": ("int32", ""),
         "end_of_segment_id": ("int32", ""), "mask_id": ("int32", ""), "vocab_size": ("int32", "")},
    ),
}  # fmt: skip
ENCODED = {
    "pooled_output": ("float32", "B H"),
    "sequence_output": ("float32", "B T H"),
    "encoder_outputs": [("float32", "B T H"), ("float32", "B T H")],
}
IDS = {"input_word_ids": ("int32", "B T"), "input_mask": ("int32", "B T"),
        "input_type_ids": ("int32", "B T")}  # fmt: skip
ENCODER = {
    "": (IDS, {**ENCODED, "default": ("float32", "B H")}),
    "mlm": (
        {**IDS, "masked_lm_positions": ("int32", "B P")},
        {**ENCODED, "mlm_logits": ("float32", "B P V")},
    ),
}
# Beyond what is published.
NEXT_SENTENCE = {"nsp": (IDS, {**ENCODED, "nsp_logits": ("float32", "B 2")})}
_LAYER = {
    "self_attention/query/kernel": "H A D", "self_attention/query/bias": "A D",
    "self_attention/key/kernel": "H A D", "self_attention/key/bias": "A D",
    "self_attention/value/kernel": "H A D", "self_attention/value/bias": "A D",
    "self_attention/attention_output/kernel": "A D H", "self_attention/attention_output/bias": "H",
    "self_attention_layer_norm/gamma": "H", "self_attention_layer_norm/beta": "H",
    "intermediate/kernel": "H I", "intermediate/bias": "I",
    "output/kernel": "I H", "output/bias": "H",
    "output_layer_norm/gamma": "H", "output_layer_norm/beta": "H",
}  # fmt: skip
VARIABLES = {
    "word_embeddings/embeddings": "V H",
    "position_embedding/embeddings": "M H",
    "type_embeddings/embeddings": "2 H",
    "embeddings/layer_norm/gamma": "H",
    "embeddings/layer_norm/beta": "H",
    **{f"transformer/layer_0/{name}": shape for name, shape in _LAYER.items()},
    **{f"transformer/layer_1/{name}": shape for name, shape in _LAYER.items()},
    "pooler_transform/kernel": "H H",
    "pooler_transform/bias": "H",
}
MLM_VARIABLES = {
    "cls/predictions/output_bias/bias": "V",
    "cls/predictions/transform/dense/kernel": "H H",
    "cls/predictions/transform/dense/bias": "H",
    "cls/predictions/transform/LayerNorm/gamma": "H",
    "cls/predictions/transform/LayerNorm/beta": "H",
}
SIZES = {
    "B": 3, "T": 9, "P": 3, "2": 2, "V": CONFIG.vocab_size, "H": CONFIG.hidden_size,
    "A": CONFIG.num_attention_heads, "D": CONFIG.hidden_size // CONFIG.num_attention_heads,
    "I": CONFIG.intermediate_size, "M": CONFIG.max_position_embeddings,
}  # fmt: skip


def shape_of(text):
    return tuple(SIZES[letter] for letter in text.split())


def filled(spec):
    """Inputs of the interface's shapes and types."""
    if isinstance(spec, list):
        return [tf.ragged.constant([[[1]], [[2, 3]], [[4]]], tf.int32) for _ in spec]
    if "sentences" in spec:
        return tf.constant(["the lamp", "stairs", "a"])
    batch = small.batch(size=3, length=9, predictions=3, vocab=CONFIG.vocab_size)
    return {name: tf.constant(batch[name]) for name in spec}


def check(value, spec):
    """Name, type and shape of an output."""
    if isinstance(spec, dict):
        assert value.keys() == spec.keys()
        for name in spec:
            check(value[name], spec[name])
    elif isinstance(spec, list):
        assert len(value) == len(spec)
        for one, other in zip(value, spec, strict=True):
            check(one, other)
    else:
        dtype, shape = spec
        assert value.dtype.name == dtype
        if "W" in shape:
            assert isinstance(value, tf.RaggedTensor)
            assert value.shape.as_list() == [3, None, None]
        else:
            assert tuple(value.shape) == shape_of(shape)


def part_of(model, name):
    for attribute in filter(None, name.split(".")):
        model = getattr(model, attribute)
    return model


def scrambled():
    """A pretrainer with random values everywhere: fresh biases are zeros and norms are ones."""
    model = build_pretrainer(CONFIG, seed=1)
    draw = np.random.default_rng(5)
    for variable in named_variables(model).values():
        variable.assign(draw.normal(scale=0.5, size=variable.shape))
    return model


def checkpoint(folder, without=()):
    """A checkpoint of the scrambled model, some weights left out, and a vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    named = named_variables(scrambled()).items()
    tensors = {name: v.value for name, v in named if not name.startswith(tuple(without))}
    tf1.write_checkpoint(str(folder / "model.ckpt-1"), tensors)
    (folder / "vocab.txt").write_text("\n".join(garden.WORDS) + "\n", encoding="utf-8")
    return Source(CONFIG, str(folder / "model.ckpt-1"), folder / "vocab.txt", False)
