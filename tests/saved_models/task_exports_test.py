"""Tasks exported by the command, each tried in a fresh process: what the files beside them say."""

import json

import pytest
import tensorflow as tf

from bert_tf.modeling.task_heads import build_span_model, build_token_classifier
from tests.support import exports, small

TAGS = ["O", "B-PER", "I-PER", "B-LOC"]


@pytest.fixture(scope="module")
def ner_run(tmp_path_factory):
    model = build_token_classifier(exports.CONFIG, len(TAGS), seed=3)
    return exports.run_folder(
        tmp_path_factory.mktemp("ner") / "run", model, task="ner", labels=TAGS
    )


def card_of(folder):
    return json.loads((folder / "model_card.json").read_text())


def test_squad(tmp_path):
    told = {"version_2": True, "max_query_length": 6, "null_score_diff_threshold": 1.5}
    model = build_span_model(exports.CONFIG, seed=3)
    run = exports.run_folder(tmp_path / "run", model, task="squad", doc_stride=8, **told)
    card = card_of(exports.export(run, tmp_path / "out", "squad", n_best_size=7))
    options = {"doc_stride": 8, "max_query_length": 6, "n_best_size": 7, "max_answer_length": 30}
    assert card.items() >= {**options, "version_2": True, "null_threshold": 1.5}.items()
    assert set(card["signatures"]) == {"serving_default", "serve_examples", "serve_ids"}


def test_ner(ner_run, tmp_path):
    folder = exports.export(ner_run, tmp_path / "out", "ner", length_buckets="16,24")
    card = card_of(folder)
    assert (card["type"], card["labels"], card["doc_stride"]) == ("ner", TAGS, 11)
    assert "words" in card["signatures"]
    found = exports.call(tf.saved_model.load(str(folder)), text_a=["The keeper, the lamp.", ""])
    assert found["count"].tolist() == [(found["starts"][0] >= 0).sum(), 0]


def test_tags_that_are_none_are_refused(ner_run, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"^Tags must be O or B-KIND, .*; got LABEL_0, L-X from --labels\. Give --labels, in",
    ):
        exports.export(ner_run, tmp_path / "out", "ner", labels="LABEL_0,O,B-PER,L-X")
    assert not (tmp_path / "out").exists()


def test_a_task_of_a_saved_model_of_tf_hub(tmp_path):
    files = {"bert_config_file": small.CONFIG, "vocab_file": small.VOCAB, "do_lower_case": False}
    encoder = exports.export(small.CHECKPOINT, tmp_path / "encoder", "encoder", **files)
    folder = exports.export(encoder, tmp_path / "out", "fill_mask", top_k=2)
    card = card_of(folder)
    assert card["source"] == {"name": "encoder", "kind": "TF Hub SavedModel"}
    assert card["do_lower_case"] is False
