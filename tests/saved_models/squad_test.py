"""Question answering in a graph: the texts of the original, and those of run_squad's own code."""

import json
import random

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import BertConfig
from bert_tf.conversion.initialize import load_weights
from bert_tf.modeling.task_heads import build_span_model
from bert_tf.tasks.squad_answers import AnswerFinder, Span
from bert_tf.tasks.squad_data import SPACES, Question, read_squad, split_words
from bert_tf.tasks.squad_features import SquadFeaturizer
from bert_tf.tokenization import FullTokenizer, MissingTokenError
from saved_models.graph_tokenizer import GraphTokenizer
from saved_models.squad import EXAMPLES, SquadModule
from saved_models.squad_spans import BestSpans, restore_texts
from saved_models.words import split_at
from tests.golden.squad_test import CASES
from tests.support import small

OUTPUTS = {"text", "start", "end", "score", "null_score"}


def random_model(seed, scale=0.5):
    """Small and untrained; scores differ by much more than rounding does."""
    model = build_span_model(BertConfig.from_json_file(small.NO_DROPOUT), seed=seed)
    draw = np.random.default_rng(seed)
    for variable in model.weights:
        if len(variable.shape) > 1:
            variable.assign(draw.normal(size=variable.shape) * scale)
    return model


def function_of(module):
    """The signature, callable with lists of texts; answers as lists."""
    signature = module.signatures()["serving_default"]
    return lambda questions, contexts: called(signature, questions, contexts)


def called(signature, questions, contexts):
    inputs = {"question": questions, "context": contexts}
    outputs = signature(**{name: tf.constant(value, tf.string) for name, value in inputs.items()})
    assert outputs.keys() == OUTPUTS
    assert {value.shape for value in outputs.values()} == {tf.TensorShape([len(questions)])}
    answers = {name: value.numpy().tolist() for name, value in outputs.items()}
    return {**answers, "text": [text.decode() for text in answers["text"]]}


@pytest.mark.parametrize("name", CASES)
def test_texts_and_odds_are_the_originals(name):
    folder, checkpoint, config, vocab, length, stride, query, _, predict = CASES[name]
    if not folder.exists():
        pytest.skip(f"{folder} is not here: the large goldens hold other people's text")
    version_2 = "squad2" in name
    model = build_span_model(BertConfig.from_json_file(config))
    load_weights(model, str(folder / checkpoint))
    answer = function_of(
        SquadModule(model, vocab, True, length, stride, query, version_2=version_2)
    )
    questions = read_squad(folder / predict, False, version_2).questions
    predictions = json.loads((folder / "predictions.json").read_text())
    nbest = json.loads((folder / "nbest_predictions.json").read_text())
    odds = json.loads((folder / "null_odds.json").read_text()) if version_2 else {}
    assert len(questions) == len(predictions)
    assert len(questions) > 200 or "large" not in name
    for first in range(0, len(questions), 64):
        part = questions[first : first + 64]
        found = answer([one.text for one in part], [one.paragraph.text for one in part])
        for row, question in enumerate(part):
            wanted = predictions[question.identifier]
            assert found["text"][row] == wanted, question
            span = question.paragraph.text[found["start"][row] : found["end"][row]]
            assert (wanted == "") == (found["start"][row] == -1)
            assert wanted == "" or set(span.split()) & set(wanted.split()), (span, wanted)
            entry = next(one for one in nbest[question.identifier] if one["text"])
            score = entry["start_logit"] + entry["end_logit"]
            assert found["score"][row] == pytest.approx(score, abs=1e-4)
            null = odds.get(question.identifier, 0.0)
            assert found["null_score"][row] == pytest.approx(null, abs=1e-4)


WORDS = (
    "the", "The", "lighthouse", "keeper's", "(stairs)", "1874,", "by,by", "a-a-A", "unaffable", "é",
    "e\u0301", "Größe", "ΟΔΟΣ", "İx", "漢字漢", "한국", "\u00ad", "a\u00a0b", "x\u3000",
    "[UNK]", "##s", "q\u0301\u0302", "ﬁ\ufffd", "\ufeffz", "a\u2028b", "\x0b\x1c", "the\x00the",
    "𐐀", "\u200bsea", "\u0301", "y" * 201, "$12.50.", "\u302f\u302e",
)  # fmt: skip
GAPS = (" ", " ", " ", "  ", "\n", "\t \r", "\u202f")


def random_texts(seed, count):
    draw = random.Random(seed)

    def text(most):
        size = draw.randint(0, most)
        return "".join(
            part for _ in range(size) for part in (draw.choice(WORDS), draw.choice(GAPS))
        )

    questions = [text(12) for _ in range(count)]
    contexts = [draw.choice(GAPS) * draw.randint(0, 1) + text(40) for _ in range(count)]
    return {"question": questions, "context": contexts}


def assert_as_expected(answer, module, model, texts, size=50):
    (case,) = module.cases(model, texts)
    assert case["inputs"] == texts
    count = len(texts["question"])
    for first in range(0, count, size):
        part = slice(first, first + size)
        found = answer(texts["question"][part], texts["context"][part])
        wanted = {name: values[part] for name, values in case["expected"].items()}
        for row in range(len(found["text"])):
            for name in ("text", "start", "end"):
                assert found[name][row] == wanted[name][row], (
                    {key: value[first + row] for key, value in texts.items()},
                    {key: value[row] for key, value in found.items()},
                    {key: value[row] for key, value in wanted.items()},
                )
        assert found["score"] == pytest.approx(wanted["score"], abs=1e-4)
        assert found["null_score"] == pytest.approx(wanted["null_score"], abs=1e-4)
    return case["expected"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A module, its model, and the signatures of the SavedModel."""
    model = random_model(seed=1)
    module = SquadModule(model, small.VOCAB, True, 32, 8, 8)
    folder = str(tmp_path_factory.mktemp("squad") / "model")
    tf.saved_model.save(module, folder, signatures=module.signatures())
    return module, model, tf.saved_model.load(folder).signatures


def test_random_contexts(exported):
    module, model, signatures = exported

    def answer(questions, contexts):
        return called(signatures["serving_default"], questions, contexts)

    expected = assert_as_expected(answer, module, model, random_texts(1, 200))
    texts = set(expected["text"])
    assert len(texts) > 50
    assert "empty" in texts, "some contexts have no words"
    assert_as_expected(answer, module, model, EXAMPLES)


@pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
def test_the_text_of_every_span(lower):
    """Of all spans of some tokens: those that come earlier in their words, too."""
    tokenizer = FullTokenizer(small.VOCAB, lower)
    featurizer, finder = SquadFeaturizer(tokenizer, 32, 8, 8), AnswerFinder(tokenizer, 1, 1, False)
    graph = GraphTokenizer(small.VOCAB, lower)
    contexts = ["A-a-A a-a the-The-THE,", "öÖo oö Ö\u0308x\u00ad", *random_texts(3, 12)["context"]]
    spans, expected, before = [], [], 0
    for context in contexts:
        question = Question("", "", split_words(context), ())
        tokens = featurizer.tokenized(question.paragraph)
        for first in range(len(tokens.ids)):
            for last in range(first, min(first + 5, len(tokens.ids))):
                spans.append((before + first, before + last))
                expected.append(finder._text(question, tokens, Span(first, last, 0.0, 0.0)))
        before += len(tokens.ids)
    words = split_at(tf.constant(contexts), SPACES)
    spelt = graph.spell(words.chars)
    first, last = tf.unstack(tf.constant(spans, tf.int64), axis=1)
    nothing = tf.zeros([len(spans)], tf.float64)
    found = restore_texts(
        words,
        spelt,
        spelt.ids.values == graph.unknown,
        BestSpans(first, first, last, nothing, nothing, nothing),
    )
    assert len(expected) > 1000
    assert [text.decode() for text in found.numpy()] == expected


OPTIONS = {
    "version 2": {
        "do_lower_case": False, "doc_stride": 5, "version_2": True, "n_best_size": 3,
        "max_answer_length": 6, "null_threshold": 1.5,
    },
    "an n-best list of one": {"version_2": True, "n_best_size": 1, "doc_stride": 100},
    "no padding": {"pad_to_batch": True, "version_2": True, "null_threshold": -2.0},
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_options(name):
    options = {"do_lower_case": True, "doc_stride": 8, **OPTIONS[name]}
    model = random_model(seed=2)
    module = SquadModule(model, small.VOCAB, max_seq_length=28, max_query_length=8, **options)
    expected = assert_as_expected(function_of(module), module, model, random_texts(2, 120))
    answered = [text not in ("", "empty") for text in expected["text"]]
    assert 10 < sum(answered) < 110
    if name == "an n-best list of one":
        assert expected["null_score"].count(1_000_000.0) > 5


def test_signatures_agree_and_take_empty_batches(exported):
    signatures = exported[-1]
    assert set(signatures) == {"serving_default", "serve_examples", "serve_ids"}
    assert called(signatures["serving_default"], [], []) == {name: [] for name in OUTPUTS}
    texts = {"question": "Who?" * 30, "context": "The keeper."}
    features = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
        for name, value in texts.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    found = signatures["serve_examples"](examples=tf.constant([example]))
    direct = called(signatures["serving_default"], *([value] for value in texts.values()))
    assert found["text"].numpy().tolist() == [direct["text"][0].encode()]
    ids = {
        name: tf.ones([2, 7], tf.int32)
        for name in ("input_word_ids", "input_mask", "input_type_ids")
    }
    scores = signatures["serve_ids"](**ids)
    assert {name: value.shape for name, value in scores.items()} == {
        "start_logits": (2, 7), "end_logits": (2, 7),
    }  # fmt: skip


def test_what_cannot_be_answered_is_refused(tmp_path):
    model = random_model(seed=1)
    with pytest.raises(ValueError, match=r"--max_seq_length must be greater than --max_query"):
        SquadModule(model, small.VOCAB, True, 16, 8, 13)
    with pytest.raises(ValueError, match=r"--doc_stride must be at least 1, but is 0"):
        SquadModule(model, small.VOCAB, True, 32, 0, 8)
    with pytest.raises(ValueError, match=r"--n_best_size must be at least 1, but is 0"):
        SquadModule(model, small.VOCAB, True, 32, 8, 8, n_best_size=0)
    (tmp_path / "vocab.txt").write_text("[UNK]\n[CLS]\na\n")
    with pytest.raises(MissingTokenError, match=r"must hold \[SEP\]"):
        SquadModule(model, tmp_path / "vocab.txt", True, 32, 8, 8)
