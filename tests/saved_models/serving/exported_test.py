"""What `saved_models.export` wrote is served, under the names that the small stand-ins have."""

import pytest
import tensorflow as tf

from bert_tf.modeling.task_heads import build_token_classifier
from saved_models.serving import models
from saved_models.serving.batching import Batching
from saved_models.serving.limits import Limits
from saved_models.serving.model_config import ModelConfig
from tests.support import exports, servable, small
from tests.support.http_server import served

TAGS = ["O", "B-LOC", "B-PER", "I-LOC", "I-PER"]
TOP_K = 3
PIECE = 2  # rows of a batch
TEXTS = ["[MASK] and [MASK]", "The keeper", "", "The [MASK] is here.", "no mask"]
KINDS = ("fill_mask", "ner", "multiple_choice")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Two exports of small models, and a stand-in that takes choices."""
    root = tmp_path_factory.mktemp("models")
    files = {"bert_config_file": small.CONFIG, "vocab_file": small.VOCAB, "max_seq_length": 32}
    exports.export(small.CHECKPOINT, root / "fill_mask", "fill_mask", top_k=TOP_K, **files)
    tagger = build_token_classifier(exports.CONFIG, len(TAGS), seed=3)
    run = exports.run_folder(root / "run", tagger, task="ner", labels=TAGS)
    exports.export(run, root / "ner", "ner")
    servable.save("multiple_choice", root / "multiple_choice")
    return models.load_models([ModelConfig(kind, root / kind) for kind in KINDS])


@pytest.fixture(scope="module")
def client(loaded):
    # An answer of one logit for each of the vocabulary at 300 places is too large.
    with served(loaded, Batching(rows=PIECE), Limits(answer_values=484 * 300)) as client:
        yield client


def ids(rows, places):
    lists = {name: [[5] * 4] * rows for name in ("input_word_ids", "input_mask", "input_type_ids")}
    inputs = {**lists, "masked_lm_positions": [[1] * places] * rows}
    return {"signature_name": "serve_ids", "inputs": inputs}


@pytest.mark.parametrize("kind", ["fill_mask", "ner"])
def test_names_are_those_of_the_stand_ins(loaded, client, kind):
    stand_in, inputs = servable.KINDS[kind]
    named = stand_in(**{name: tf.constant(["x"]) for name in inputs})
    signature = loaded[kind].version().signatures["serving_default"]
    assert signature.inputs.keys() == inputs.keys()
    kinds = {
        name: each.dtype.replace("object", "string") for name, each in signature.outputs.items()
    }
    assert kinds == {name: value.dtype.name for name, value in named.items()}
    rows = client.ask(f"/v1/models/{kind}:predict", {"instances": TEXTS}).json["predictions"]
    assert [row.keys() for row in rows] == [named.keys()] * len(TEXTS)
    cards = {model["name"]: model["card"] for model in client.ask("/v1/models").json["models"]}
    assert cards[kind]["type"] == kind


def test_a_request_in_parts_is_answered_as_alone(client):
    """Its rows are filled up to the longest of all parts."""
    for kind, count in (("fill_mask", "mask_count"), ("ner", "count")):
        address = f"/v1/models/{kind}:predict"
        rows = client.ask(address, {"instances": TEXTS}).json["predictions"]
        most = max(row[count] for row in rows)
        assert len({row[count] for row in rows}) > 1
        for text, row in zip(TEXTS, rows, strict=True):
            (alone,) = client.ask(address, {"instances": [text]}).json["predictions"]
            assert row.pop(count) == alone.pop(count)
            for name, values in alone.items():
                assert len(row[name]) == most
                if name not in ("probabilities", "scores"):
                    assert row[name][: len(values)] == values
                assert all(each in ("", -1, 0, [""] * TOP_K, [0] * TOP_K)
                           for each in row[name][len(values) :])  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("fill_mask", ids(1, 65_536), "masked_lm_positions may hold 512 values along axis 1"),
        ("fill_mask", ids(1, 400), "An answer may hold 145200 values; this one has 193600 or more"),
        (
            "fill_mask",
            ids(100, 80),
            "An answer may hold 145200 values; this one has 154880 or more",
        ),
        (
            "multiple_choice",
            {"instances": [{"context": "a", "choices": ["b"] * 50_000}]},
            "choices may hold 64 values along axis 1; got 50000. Send shorter lists there.",
        ),
    ],
)
def test_small_requests_for_large_answers_are_refused(client, kind, body, message):
    answer = client.ask(f"/v1/models/{kind}:predict", body)
    assert answer.status == 413
    assert message in answer.json["error"]


def test_ids_within_the_limits_are_answered(client):
    answer = client.ask("/v1/models/fill_mask:predict", ids(5, 10))
    logits = tf.constant(answer.json["outputs"])
    assert logits.shape == (5, 10, exports.CONFIG.vocab_size)
