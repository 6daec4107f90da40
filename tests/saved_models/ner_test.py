"""Named entities in a graph: the spans of run_ner, and those of its own code on awkward texts."""

import json
import random

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.config import BertConfig
from bert_tf.conversion import tf1
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling.task_heads import build_token_classifier
from bert_tf.tasks.job import write_task
from bert_tf.tasks.ner_data import entities_of, plain_words
from saved_models.entities import EntityFinder
from saved_models.ner import EXAMPLES, NerModule
from saved_models.words import WHITE_SPACE, split_at, split_edges
from tests.saved_models.squad_test import GAPS, WORDS
from tests.support import commands, small

CONLL = small.ROOT.parent / "shared" / "data" / "conll2003" / "eng.testb"
TAGS = ("O", "B-LOC", "B-PER", "I-LOC", "I-PER")
LENGTH = 24
OUTPUTS = {"entities", "types", "starts", "ends", "scores", "count"}


def random_model(tags=TAGS, seed=1):
    model = build_token_classifier(BertConfig.from_json_file(small.NO_DROPOUT), len(tags), seed)
    draw = np.random.default_rng(seed)
    for variable in model.weights:
        if len(variable.shape) > 1:
            variable.assign(draw.normal(size=variable.shape) * 0.2)
    return model


def called(signature, texts):
    outputs = signature(text_a=tf.constant(texts, tf.string))
    assert outputs.keys() == OUTPUTS
    return {name: strings(value.numpy().tolist()) for name, value in outputs.items()}


def strings(values):
    if isinstance(values, list):
        return [strings(value) for value in values]
    return values.decode() if isinstance(values, bytes) else values


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A module, its model, and the signatures of the SavedModel."""
    model = random_model()
    module = NerModule(model, small.VOCAB, True, LENGTH, TAGS)
    folder = str(tmp_path_factory.mktemp("ner") / "model")
    tf.saved_model.save(module, folder, signatures=module.signatures())
    return module, model, tf.saved_model.load(folder).signatures


def predicted(folder, model, text, suffix):
    """What run_ner predicts with the model for a file: its rows."""
    folder.mkdir()
    weights = {name: variable.value for name, variable in named_variables(model).items()}
    tf1.write_checkpoint(str(folder / "model.ckpt-1"), weights)
    write_task(folder, {"task": "ner", "labels": TAGS})
    path = folder / f"words{suffix}"
    path.write_text(text, encoding="utf-8")
    commands.run(
        "run_ner",
        bert_config_file=small.NO_DROPOUT,
        vocab_file=small.VOCAB,
        init_checkpoint=folder / "model.ckpt-1",
        max_seq_length=LENGTH,
        context="sentence",
        predict_file=path,
        do_predict=True,
        output_dir=folder / "out",
    )
    lines = (folder / "out" / "predictions.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def assert_same_spans(signature, rows):
    """Each row's entities, asked for in batches."""
    names = {"entities": "text", "types": "type", "starts": "start", "ends": "end"}
    for first in range(0, len(rows), 64):
        part = rows[first : first + 64]
        found = called(signature, [row["text"] for row in part])
        assert found["count"] == [len(row["entities"]) for row in part]
        for number, row in enumerate(part):
            for name, key in names.items():
                wanted = [entity[key] for entity in row["entities"]]
                assert found[name][number][: len(wanted)] == wanted, row["text"]


def random_columns(sentences):
    """A file of awkward words."""
    draw = random.Random(sentences)
    words = " ".join(WORDS).replace("\0", "").split()
    parts = ("\n".join(draw.choices(words, k=draw.randint(1, 30))) for _ in range(sentences))
    return "-DOCSTART-\n\n" + "\n\n".join(parts)


@pytest.mark.parametrize("data", ["invented", "CoNLL-2003"])
def test_spans_are_those_of_run_ner(exported, tmp_path, data):
    if data == "invented":
        columns = random_columns(40)
    elif CONLL.exists():
        columns = "".join(CONLL.read_text(encoding="utf-8").partition("\n\n")[::2])
        columns = "\n\n".join(columns.split("\n\n")[:400])
    else:
        pytest.skip(f"{CONLL} is not here: it may not be passed on")
    _, model, signatures = exported
    rows = predicted(tmp_path / "columns", model, columns, "")
    assert len(rows) > 300 or data == "invented"
    assert sum(len(row["entities"]) for row in rows) > len(rows)
    assert_same_spans(signatures["words"], rows)

    text = "\n".join(row["text"].replace(" 's", "'s") for row in rows)
    plain = predicted(tmp_path / "plain", model, text, ".txt")
    assert_same_spans(signatures["serving_default"], plain)


def random_texts(seed, count):
    draw = random.Random(seed)
    gaps = (*GAPS, "\u3000", "\x1c", "\u2028", '" ', " “", ".) ")
    return [
        "".join(
            draw.choice(choices)
            for _ in range(draw.choice([0, 1, 5, 40]))
            for choices in (WORDS, gaps)
        )
        for _ in range(count)
    ]


def assert_as_expected(answers, module, model, texts):
    cases = module.cases(model, {"text_a": texts})
    assert {case["signature"] for case in cases} == {"serving_default", "words"}
    for case in cases:
        found = called(answers[case["signature"]], texts)
        scores, wanted = found.pop("scores"), dict(case["expected"])
        np.testing.assert_allclose(scores, wanted.pop("scores"), atol=1e-5)
        assert found == wanted


def test_awkward_texts(exported):
    module, model, signatures = exported
    assert_as_expected(signatures, module, model, random_texts(1, 150))
    assert_as_expected(signatures, module, model, EXAMPLES["text_a"])


def test_cased_text_and_other_tags():
    tags = ("LABEL", "S-A", "O", "E-A", "B-B-C", "I-A", "E-B-C", "X-A")
    model = random_model(tags, seed=2)
    module = NerModule(model, small.VOCAB, False, 9, tags)
    assert_as_expected(module.signatures(), module, model, random_texts(2, 60))


def test_signatures_agree_and_take_empty_batches(exported):
    signatures = exported[-1]
    assert set(signatures) == {"serving_default", "serve_examples", "serve_ids", "words"}
    text = EXAMPLES["text_a"][1]
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[text.encode()]))
    example = tf.train.Example(features=tf.train.Features(feature={"text_a": feature}))
    found = signatures["serve_examples"](examples=tf.constant([example.SerializeToString()]))
    direct = called(signatures["serving_default"], [text])
    assert direct["count"] != [0]
    assert strings(found["entities"].numpy().tolist()) == direct["entities"]
    for name in ("serving_default", "words"):
        assert called(signatures[name], []) == {key: [] for key in OUTPUTS}
        nothing = called(signatures[name], ["", " \n"])
        assert nothing.pop("count") == [0, 0]
        assert nothing == {key: [[], []] for key in OUTPUTS - {"count"}}
    ids = {
        name: tf.ones([2, 7], tf.int32)
        for name in ("input_word_ids", "input_mask", "input_type_ids")
    }
    assert signatures["serve_ids"](**ids)["logits"].shape == (2, 7, len(TAGS))


def test_bytes_that_are_not_utf8_are_left_out(exported):
    signature = exported[-1]["serving_default"]
    text = EXAMPLES["text_a"][1]
    broken = called(signature, [b"\xff" + text.encode().replace(b"aunt", b"au\xe2\x82nt\x80")])
    assert broken == called(signature, [text])
    assert broken["count"] != [0]


def test_entities_of_random_tags():
    draw = np.random.default_rng(1)
    names = ["O", "B-A", "I-A", "B-B", "I-B", "S-A", "E-A", "E-B", "X-B", "O-A", "I"]
    finder = EntityFinder(names)
    find = tf.function(finder.find)
    sizes = draw.integers(0, 9, 300)
    texts = np.repeat(np.arange(300), sizes)
    tags = draw.integers(0, len(names), len(texts))
    found = find(tf.constant(tags), tf.constant(texts))
    wanted = [
        (entity.kind.encode(), start + entity.first, start + entity.last)
        for start, size in zip(np.cumsum(sizes) - sizes, sizes, strict=True)
        for entity in entities_of([names[tag] for tag in tags[start : start + size]])
    ]
    assert list(zip(*(part.numpy().tolist() for part in found), strict=True)) == wanted
    nothing = find(tf.zeros([0], tf.int64), tf.zeros([0], tf.int64))
    assert [part.shape for part in nothing] == [(0,)] * 3


@pytest.mark.parametrize("seed", range(3))
def test_words_of_plain_text(seed):
    draw = random.Random(seed)
    texts = [
        "".join(draw.choices("aN1 .,'’s(“”)\u3000\t", k=draw.randint(0, 14))) for _ in range(500)
    ]
    texts += ["U.N.", "(J. Kern's)", "e.g.,", "1995."]
    words = split_edges(split_at(tf.constant(texts), WHITE_SPACE))
    index = tf.range(tf.size(words.texts, tf.int64))
    spans = (part.numpy() for part in words.span(index, index + 1))
    found = zip(words.texts.numpy(), *spans, strict=True)
    wanted = [(row, *span) for row, text in enumerate(texts) for span in plain_words(text)]
    assert list(found) == wanted


def test_tags_that_are_not_the_models_are_refused():
    with pytest.raises(ValueError, match=r"each of the model's 5 classes, but there are 2: O, B-X"):
        NerModule(random_model(), small.VOCAB, True, LENGTH, ["O", "B-X"])
    with pytest.raises(ValueError, match=r"--max_seq_length must be at least 3, but is 2"):
        NerModule(random_model(), small.VOCAB, True, 2, TAGS)


def test_the_graph_is_the_same_in_every_process():
    """Sets of characters have another order in each; the graph's constants do not."""
    parted = tf.function(lambda texts: split_edges(split_at(texts, WHITE_SPACE)).texts)
    graph = parted.get_concrete_function(tf.TensorSpec([None], tf.string)).graph
    constants = [tf.get_static_value(op.outputs[0]) for op in graph.get_operations()]
    sets = [value.tolist() for value in constants if value is not None and value.size > 5]
    assert len(sets) >= 4
    assert all(values == sorted(values) for values in sets)
