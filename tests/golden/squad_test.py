"""SQuAD 1.1 and 2.0 against the original: records, answers and odds of its checkpoints."""

import json
from pathlib import Path

import pytest

from bert_tf.inputs.records import RecordWriter
from bert_tf.tasks import squad_data, squad_features
from bert_tf.tasks.squad_features import SquadFeaturizer
from bert_tf.tokenization import FullTokenizer
from tests.golden.classifier_test import UNCASED, features, golden_records
from tests.support import commands, small

LARGE_CONFIG = small.LARGE / "pretrained" / "bert_config.json"
SMALL = (small.CONFIG, small.VOCAB, 64, 20, 16, "questions.json", "questions.json")
BIG = (LARGE_CONFIG, UNCASED, 192, 64, 64, "train.json", "predict.json")
CASES = {
    "squad1": (small.GOLDENS / "squad1", "model.ckpt-32", *SMALL),
    "squad2": (small.GOLDENS / "squad2", "model.ckpt-40", *SMALL),
    "squad1_large": (small.LARGE / "tasks" / "squad1", "model.ckpt-50", *BIG),
    "squad2_large": (small.LARGE / "tasks" / "squad2", "model.ckpt-56", *BIG),
}


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    folder, checkpoint, config, vocab, length, stride, query, train, predict = CASES[request.param]
    if not folder.exists():
        pytest.skip(f"{folder} is not here: the large goldens hold other people's text")
    flags = {
        "bert_config_file": config,
        "vocab_file": vocab,
        "max_seq_length": length,
        "doc_stride": stride,
        "max_query_length": query,
        "train_file": folder / train,
        "predict_file": folder / predict,
        "init_checkpoint": folder / checkpoint,
        "version_2_with_negative": "squad2" in request.param,
        "output_dir": tmp_path / "out",
    }
    return folder, tmp_path, flags


def test_records_are_the_originals(case):
    folder, tmp_path, flags = case
    commands.run(
        "run_squad",
        **flags,
        do_train=True,
        train_batch_size=4,
        num_train_epochs=0.35,
        learning_rate=1e-12,
    )
    ours = tmp_path / "out" / "train.tf_record"
    assert features(ours) == features(golden_records(folder / "train.tf_record", tmp_path))

    read = squad_data.read_squad(flags["predict_file"], False, flags["version_2_with_negative"])
    tokenizer = FullTokenizer(flags["vocab_file"])
    featurizer = SquadFeaturizer(
        tokenizer, flags["max_seq_length"], flags["doc_stride"], flags["max_query_length"]
    )
    _, table = featurizer.windows(read.questions, training=False)
    schema = squad_features.prediction_schema(flags["max_seq_length"])
    columns = {f.name: table.columns[f.name].reshape(len(table), -1) for f in schema.features}
    with RecordWriter(tmp_path / "eval.tf_record") as writer:
        for record in schema.encode_rows(columns):
            writer.write(record)
    golden = golden_records(folder / "eval.tf_record", tmp_path)
    assert features(tmp_path / "eval.tf_record") == features(golden)


def load(path: Path):
    return json.loads(path.read_text())


def same_lists(ours, golden):
    """The same texts and scores, in the same order where scores differ by more than 1e-4."""
    assert ours.keys() == golden.keys()
    for question, wanted in golden.items():
        said = ours[question]
        assert len(said) == len(wanted), question
        for left, right in zip(said, wanted, strict=True):
            for name in ("start_logit", "end_logit", "probability"):
                assert left[name] == pytest.approx(right[name], abs=1e-4), (question, name)
        place = {entry["text"]: number for number, entry in enumerate(said)}
        for number, entry in enumerate(wanted):
            other = said[number]
            if entry["text"] == other["text"]:
                continue
            # Another order is right only among answers of equal score.
            mine = said[place[entry["text"]]]
            scores = [each["start_logit"] + each["end_logit"] for each in (mine, entry, other)]
            assert max(scores) - min(scores) <= 1e-4, (question, entry, other)


def test_answers_are_the_originals(case):
    folder, tmp_path, flags = case
    commands.run("run_squad", **flags, do_predict=True)
    out = tmp_path / "out"
    same_lists(load(out / "nbest_predictions.json"), load(folder / "nbest_predictions.json"))
    ours, golden = load(out / "predictions.json"), load(folder / "predictions.json")
    assert list(ours) == list(golden)
    assert ours == golden
    if flags["version_2_with_negative"]:
        odds, wanted = load(out / "null_odds.json"), load(folder / "null_odds.json")
        assert odds == pytest.approx(wanted, abs=1e-4)
    # The same bytes in form, up to the digits of scores.
    assert (out / "predictions.json").read_bytes() == (folder / "predictions.json").read_bytes()


def predict_small_squad2(output_dir: Path, **changes) -> Path:
    """Answers the small questions of version 2.0; the folder of the goldens."""
    folder = small.GOLDENS / "squad2"
    config, vocab, length, stride, query, _, questions = SMALL
    commands.run(
        "run_squad",
        bert_config_file=config,
        vocab_file=vocab,
        max_seq_length=length,
        doc_stride=stride,
        max_query_length=query,
        predict_file=folder / questions,
        init_checkpoint=folder / "model.ckpt-40",
        output_dir=output_dir,
        do_predict=True,
        **changes,
    )
    return folder


def test_threshold(tmp_path):
    folder = predict_small_squad2(
        tmp_path, version_2_with_negative=True, null_score_diff_threshold=8
    )
    assert load(tmp_path / "predictions.json") == load(folder / "predictions_threshold_8.json")


def test_questions_without_answers_are_answered_but_not_scored_in_version_1(tmp_path):
    folder = predict_small_squad2(tmp_path, pad_to_batch=True)
    read = squad_data.read_squad(folder / "questions.json", False, False)
    unanswered = [question for question in read.questions if not question.answers]
    assert unanswered
    predictions = load(tmp_path / "predictions.json")
    assert all(predictions[question.identifier] for question in unanswered)
    scores = (tmp_path / "predict_results.txt").read_text()
    assert scores.startswith("exact_match = ")
