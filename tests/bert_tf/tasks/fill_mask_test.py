"""Filling masks: the model's own probabilities, in order; what is refused."""

import numpy as np
import pytest

from bert_tf.config import BertConfig
from bert_tf.conversion.tf1 import load_weights
from bert_tf.fill_mask import show
from bert_tf.modeling.heads import build_pretrainer
from bert_tf.tasks.fill_mask import Candidate, fill_mask
from bert_tf.tokenization import FullTokenizer
from tests.support import small


@pytest.fixture(scope="module")
def tokenizer():
    return FullTokenizer(str(small.VOCAB), do_lower_case=True)


@pytest.fixture(scope="module")
def model():
    made = build_pretrainer(BertConfig.from_json_file(small.CONFIG))
    load_weights(made, small.CHECKPOINT)
    return made


def test_candidates_are_the_likeliest_in_order(model, tokenizer):
    (ranked,) = fill_mask(model, tokenizer, "The [MASK] is here.", 484)
    assert len(ranked) == 484
    probabilities = [candidate.probability for candidate in ranked]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1.0, abs=1e-4)
    ids = tokenizer.encode("the")
    text = [tokenizer.vocab["[CLS]"], *ids, tokenizer.vocab["[MASK]"]]
    text += [*tokenizer.encode("is here."), tokenizer.vocab["[SEP]"]]
    outputs = model(
        {
            "input_word_ids": np.array([text]),
            "masked_lm_positions": np.array([[1 + len(ids)]]),
        }
    )
    best = int(np.argmax(outputs["mlm_logits"][0, 0]))
    assert ranked[0].token == tokenizer.inv_vocab[best]


def test_every_mask_is_filled(model, tokenizer):
    filled = fill_mask(model, tokenizer, "[MASK][MASK] sea [MASK]", 3)
    assert [len(ranked) for ranked in filled] == [3, 3, 3]


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("no mask", r"must hold \[MASK\] where a word is to be guessed: 'no mask'"),
        ("[MASK]" + "." * 600, r"at most 126 tokens for this model, but has 601\. Shorten it"),
    ],
)
def test_sentences_that_cannot_be_filled(model, tokenizer, sentence, message):
    with pytest.raises(ValueError, match=message):
        fill_mask(model, tokenizer, sentence, 1)


def test_rows_beyond_the_vocabulary_are_no_candidates(model, tokenizer, tmp_path):
    """As with tables that were padded to a multiple of the hardware's tiles."""
    sentence, kept = "The [MASK] is here.", 400
    words = tmp_path / "vocab.txt"
    words.write_text("\n".join(list(tokenizer.vocab)[:kept]) + "\n", encoding="utf-8")
    small_tokenizer = FullTokenizer(str(words), True)
    assert small_tokenizer.encode(sentence) == tokenizer.encode(sentence)
    (whole,), (ranked,) = (
        fill_mask(model, each, sentence, 484) for each in (tokenizer, small_tokenizer)
    )
    expected = [each for each in whole if tokenizer.vocab[each.token] < kept]
    assert [each.token for each in ranked] == [each.token for each in expected]
    share = sum(each.probability for each in expected)
    assert share < 0.999
    np.testing.assert_allclose(
        [each.probability for each in ranked],
        [each.probability / share for each in expected],
        rtol=1e-4,
    )


def test_another_vocabulary_is_refused(model, tokenizer, tmp_path):
    words = tmp_path / "vocab.txt"
    words.write_text("\n".join([*tokenizer.vocab, "more"]) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="holds 485 tokens and the config says vocab_size = 484"):
        fill_mask(model, FullTokenizer(str(words), True), "[MASK]", 1)
    words.write_text("[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(ValueError, match=r"but lacks \['\[MASK\]'\]"):
        fill_mask(model, FullTokenizer(str(words), True), "[MASK]", 1)


def test_what_is_shown():
    ranked = [Candidate("sea", 0.5), Candidate("sky", 0.25)]
    text = show("the [MASK] and the [MASK]", [ranked, ranked[::-1]])
    lines = text.splitlines()
    assert lines[0] == "the *sea* and the *sky*"
    assert lines[1:3] == ["  [MASK] 1", f"     50.00%  {'sea':<16} {'█' * 12}"]
    assert "[MASK] 2" in lines[4]
