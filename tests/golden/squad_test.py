"""SQuAD 1.1 and 2.0 against the original: records, answers and odds of its checkpoints."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bert_tf.inputs.records import RecordWriter
from bert_tf.tasks import squad_data, squad_features, squad_job
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
        output_dir=output_dir,
        **{
            "predict_file": folder / questions,
            "init_checkpoint": folder / "model.ckpt-40",
            "do_predict": True,
            **changes,
        },
    )
    return folder


def test_threshold(tmp_path):
    folder = predict_small_squad2(
        tmp_path, version_2_with_negative=True, null_score_diff_threshold=8
    )
    assert load(tmp_path / "predictions.json") == load(folder / "predictions_threshold_8.json")


def test_chunks_of_questions_give_the_same_answers_and_records(tmp_path, monkeypatch):
    options = {"version_2_with_negative": True}
    folder = predict_small_squad2(tmp_path / "whole", **options)
    monkeypatch.setattr(squad_job, "CHUNK", 2)
    predict_small_squad2(tmp_path / "parts", **options)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert features(parts / "eval.tf_record") == features(whole / "eval.tf_record")
    assert features(parts / "eval.tf_record") == features(
        golden_records(folder / "eval.tf_record", tmp_path)
    )
    assert load(parts / "predictions.json") == load(folder / "predictions.json")
    same_lists(load(parts / "nbest_predictions.json"), load(whole / "nbest_predictions.json"))


def results_of(path: Path) -> dict[str, float]:
    pairs = (line.split(" = ") for line in path.read_text().splitlines())
    return {name: float(value) for name, value in pairs}


def questions_that_a_threshold_helps(path: Path) -> Path:
    """The small questions; those with low null odds are answered by what the golden model says."""
    folder = small.GOLDENS / "squad2"
    odds, nbest = load(folder / "null_odds.json"), load(folder / "nbest_predictions.json")
    content = load(folder / "questions.json")
    middle = sorted(odds.values())[len(odds) // 2]
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                name = question["id"]
                said = next((each["text"] for each in nbest[name] if each["text"]), "")
                question["is_impossible"] = odds[name] >= middle or not said
                answer = {"text": said, "answer_start": 0}
                question["answers"] = [] if question["is_impossible"] else [answer]
    path.write_text(json.dumps(content))
    return path


def test_the_best_threshold_is_kept_with_the_model_and_taken_by_predictions(tmp_path, capsys):
    questions = questions_that_a_threshold_helps(tmp_path / "questions.json")
    options = {"version_2_with_negative": True, "predict_file": questions}
    folder = predict_small_squad2(tmp_path / "m", **options)  # the original's 0.0 before that
    assert load(tmp_path / "m/predictions.json") == load(folder / "predictions.json")
    predict_small_squad2(tmp_path / "m", do_eval=True, **{**options, "do_predict": False})
    scores = results_of(tmp_path / "m/eval_results.txt")
    stored = load(tmp_path / "m/task.json")["null_score_diff_threshold"]
    assert np.float32(stored) == np.float32(scores["best_f1_thresh"])
    assert scores["best_f1"] == 100.0 > scores["f1"]
    assert load(tmp_path / "m/predictions.json") == load(folder / "predictions.json")

    capsys.readouterr()
    predict_small_squad2(tmp_path / "m", **options)
    assert f"--null_score_diff_threshold={stored} was best in an evaluation" in (
        capsys.readouterr().out
    )
    found = results_of(tmp_path / "m/predict_results.txt")
    assert found["f1"] == pytest.approx(scores["best_f1"])
    odds = load(tmp_path / "m/null_odds.json")
    predictions = load(tmp_path / "m/predictions.json")
    assert all((odds[name] > stored) <= (text == "") for name, text in predictions.items())

    predict_small_squad2(tmp_path / "m", **options, null_score_diff_threshold=0.0)
    assert load(tmp_path / "m/predictions.json") == load(folder / "predictions.json")

    # Other weights in the same directory do not take it.
    other = shutil.copytree(folder, tmp_path / "other") / "model.ckpt-40"
    predict_small_squad2(tmp_path / "m", **options, init_checkpoint=other)
    assert load(tmp_path / "m/predictions.json") == load(folder / "predictions.json")

    # Another directory that starts from this model takes it as well.
    prefix = shutil.copytree(folder, tmp_path / "n") / "model.ckpt-40"
    shutil.copy(tmp_path / "m/task.json", prefix.parent)
    predict_small_squad2(tmp_path / "o", **options, init_checkpoint=prefix)
    assert load(tmp_path / "o/predictions.json") == predictions


def test_questions_without_answers_are_answered_but_not_scored_in_version_1(tmp_path):
    folder = predict_small_squad2(tmp_path, pad_to_batch=True)
    read = squad_data.read_squad(folder / "questions.json", False, False)
    unanswered = [question for question in read.questions if not question.answers]
    assert unanswered
    predictions = load(tmp_path / "predictions.json")
    assert all(predictions[question.identifier] for question in unanswered)
    scores = (tmp_path / "predict_results.txt").read_text()
    assert scores.startswith("exact_match = ")
