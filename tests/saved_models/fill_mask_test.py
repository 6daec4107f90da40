"""Exported fill-mask finds the words that the command finds."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.conversion.tf1 import load_weights
from bert_tf.modeling.heads import build_pretrainer
from bert_tf.tokenization import FullTokenizer
from saved_models.fill_mask import build_fill_mask, expected_words
from tests.support import exports, small

TEXTS = [
    "The [MASK] is here.", "[MASK][MASK] sea [MASK]", "", "no mask, [ MASK ] [mask]", "[MASK]",
    "Café [MASK]é 東京[MASK]", " [MASK] ", "it's [MASK]. " * 3,
]  # fmt: skip
TOP_K = 4


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports") / "out"
    files = {"bert_config_file": small.CONFIG, "vocab_file": small.VOCAB, "max_seq_length": 64}
    exports.export(small.CHECKPOINT, folder, "fill_mask", top_k=TOP_K, **files)
    return tf.saved_model.load(str(folder))


@pytest.fixture(scope="module")
def pretrainer():
    made = build_pretrainer(exports.CONFIG)
    load_weights(made, small.CHECKPOINT)
    return made


def test_words_are_those_of_the_command(model, pretrainer):
    found = exports.call(model, text_a=TEXTS)
    wanted = expected_words(pretrainer, FullTokenizer(small.VOCAB), TEXTS, TOP_K)
    assert wanted["mask_count"] == [1, 3, 0, 0, 1, 2, 1, 3] == found["mask_count"].tolist()
    decoded = [[[each.decode() for each in row] for row in rows] for rows in found["tokens"]]
    assert decoded == wanted["tokens"]
    assert len({word for rows in decoded for row in rows for word in row}) > TOP_K
    np.testing.assert_allclose(found["probabilities"], wanted["probabilities"], rtol=0, atol=1e-5)


def test_signatures(model):
    answers = {"tokens": "string", "probabilities": "float32", "mask_count": "int32"}
    assert exports.specs(model, "serving_default") == ({"text_a": "string"}, answers)
    inputs, outputs = exports.specs(model, "serve_ids")
    assert inputs["masked_lm_positions"] == "int32"
    assert outputs == {"mlm_logits": "float32"}


@pytest.mark.parametrize(("texts", "shape"), [([], (0, 0, 4)), (["", "x"], (2, 0, 4))])
def test_nothing_to_fill(model, texts, shape):
    found = exports.call(model, text_a=np.array(texts, str))
    assert found["tokens"].shape == found["probabilities"].shape == shape
    assert found["mask_count"].tolist() == [0] * len(texts)


def test_masks_beyond_the_longest_input_are_cut(model):
    text = "[MASK] " + "the " * 60
    found = exports.call(model, text_a=[text + "[MASK]", text + "the [MASK]", text + "a " * 900])
    assert found["mask_count"].tolist() == [2, 1, 1]


def test_no_more_candidates_than_words():
    request = exports.request("fill_mask", small.CHECKPOINT, top_k=485)
    with pytest.raises(ValueError, match=r"--top_k must be from 1 to the 484 tokens .* but is 485"):
        build_fill_mask(request)
