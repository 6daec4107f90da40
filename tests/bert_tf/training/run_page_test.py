"""`--report` through every command, on made-up rows: one page, with the figures of its files."""

import csv
import json
import re

import numpy as np
import pytest

from bert_tf import flags
from tests.golden.squad_test import predict_small_squad2
from tests.support import commands, small
from tests.support.pages import HOSTILE, assert_sound, rows_of

WORDS = {"good": "The sea is warm", "bad": "The stone is cold"}


def run(command, folder, **changes):
    """Trains for two steps from the small checkpoint, with a page."""
    commands.run(command, **{
        "bert_config_file": small.CONFIG,
        "vocab_file": small.VOCAB,
        "init_checkpoint": small.CHECKPOINT,
        "max_seq_length": 48,
        "output_dir": folder / "out",
        "train_batch_size": 8,
        "num_train_epochs": 1,
        "report": True,
        **changes,
    })  # fmt: skip
    return page_of(folder / "out")


def page_of(directory):
    assert not list(directory.glob(".partial*"))
    return assert_sound((directory / "report.html").read_text(encoding="utf-8"))


def results(directory, name="eval_results.txt"):
    lines = (directory / name).read_text().splitlines()
    return {key: float(value) for key, value in (line.split(" = ") for line in lines)}


def assert_scores(page, scores):
    """All scores stand at the top, to four digits."""
    found = re.findall(r'<b>([^<]*)</b><span><bdi class="text">(\w+)</bdi>', page.html)
    shown = {name: float(value.replace(",", "")) for value, name in found}
    wanted = {name: value for name, value in scores.items() if name != "global_step"}
    assert shown == pytest.approx(wanted, rel=1e-3)


def table(path, label, count=16):
    rows = [{"text": f"{WORDS['good' if n % 2 else 'bad']} {HOSTILE}", "more": f"row {n}",
             "label": label(n)} for n in range(count)]  # fmt: skip
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return {"train_file": path, "dev_file": path, "text_a": "text", "text_b": "more",
            "label": "label"}  # fmt: skip


def test_classification(tmp_path, capsys):
    given = table(tmp_path / "t.csv", lambda n: ["bad", "good", "fair"][n % 3])
    page = run("run_classifier", tmp_path, **given, do_train=True, do_eval=True, do_predict=False)
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in capsys.readouterr().out
    scores = results(tmp_path / "out")
    assert_scores(page, scores)
    rows = rows_of(page, "Rows: right class.")
    assert [row[-1] for row in rows.values()] == ["6", "5", "5"]
    recall = [float(row[1].rstrip(" %")) for row in rows_of(page, "Each class").values()]
    assert np.dot(recall, [6, 5, 5]) / 1600 == pytest.approx(scores["eval_accuracy"], abs=1e-3)
    assert len(page.items) == round(16 * (1 - scores["eval_accuracy"]))
    assert all(HOSTILE in item for item in page.items)
    text = page.texts[""]
    assert str(tmp_path / "t.csv") in text
    assert "Examples16" in text
    assert "BERT, 2 layers of 32" in text
    assert rows_of(page, "Training and evaluation")["train_batch_size"] == ["8"]
    assert rows_of(page, "Task")["labels"] == ["['bad', 'fair', 'good']"]
    assert "training" in page.texts, "the curve of the loss"


def test_regression_and_windows(tmp_path):
    given = table(tmp_path / "t.csv", lambda n: n / 4)
    page = run("run_classifier", tmp_path, **given, do_train=True, do_eval=True, regression=True,
               max_seq_length=24, long_texts="window", doc_stride=8)  # fmt: skip
    scores = results(tmp_path / "out")
    assert_scores(page, scores)
    error = float(rows_of(page, "Residuals")["root of the mean squared error"][0])
    assert error**2 == pytest.approx(scores["eval_loss"], rel=2e-3)
    assert len(page.items) == 16


def test_entities(tmp_path):
    path = tmp_path / "t.txt2"
    path.write_text("Anna B-PER\nsees O\nRome B-LOC\n<script> O\n\n" * 12)
    page = run("run_ner", tmp_path, train_file=path, dev_file=path, do_train=True, do_eval=True,
               context="sentence", num_train_epochs=3)  # fmt: skip
    scores = results(tmp_path / "out")
    assert_scores(page, scores)
    rows = rows_of(page, "An entity counts")
    assert rows["all"][3] == "24"
    assert float(rows["all"][2].rstrip(" %")) == pytest.approx(100 * scores["f1"], abs=0.06)
    assert float(rows["LOC"][2].rstrip(" %")) == pytest.approx(100 * scores["LOC_f1"], abs=0.06)
    assert page.items[0].startswith("rightAnnaPER sees RomeLOC <script>")


def test_multiple_choice(tmp_path):
    path = tmp_path / "t.csv"
    rows = "The sea is cold,It,is cold,is <b>warm</b>,a\nBread is warm,It,is cold,is warm,B\n" * 8
    path.write_text("text,ask,a,b,right\n" + rows)
    page = run("run_swag", tmp_path, train_file=path, dev_file=path, do_train=True, do_eval=True,
               context="text", question="ask", choices="a,b", label="right")  # fmt: skip
    accuracy = results(tmp_path / "out")["eval_accuracy"]
    assert_scores(page, {"eval_accuracy": accuracy})
    places = rows_of(page, "By the place")
    assert [row[1] for row in places.values()] == ["8", "8"]
    shares = [float(row[0].rstrip(" %")) / 100 for row in places.values()]
    assert np.mean(shares) == pytest.approx(accuracy)
    assert len(page.items) == round(16 * (1 - accuracy))


def squad(path):
    context = f"The lighthouse was built in 1874, {HOSTILE} by the sea."
    answer = {"text": "1874", "answer_start": context.index("1874")}
    qas = [{"id": f"q{n}", "question": "When was it built?", "answers": [answer] * 2}
           for n in range(5)]  # fmt: skip
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}))
    return context


def test_answers_of_a_prediction(tmp_path, capsys):
    context = squad(tmp_path / "f.json")
    head = small.GOLDENS / "squad1" / "model.ckpt-32"
    page = run("run_squad", tmp_path, predict_file=tmp_path / "f.json", do_predict=True,
               init_checkpoint=head, max_seq_length=96)  # fmt: skip
    assert capsys.readouterr().out.count("Report: ") == 1
    scores = results(tmp_path / "out", "predict_results.txt")
    assert_scores(page, scores)
    rows = rows_of(page, "Scores by question word")
    assert rows == {"when": [f"{scores['exact_match']:.1f} %", f"{scores['f1']:.1f} %", "5"]}
    chosen = json.loads((tmp_path / "out" / "predictions.json").read_text())
    wrong = [text for text in chosen.values() if text != "1874"]
    assert len(page.items) == len(wrong)
    assert all(item.endswith(context) for item in page.items)
    assert page.marks().count("gold") + page.marks().count("both") >= 2 + len(wrong)


def test_answers_of_version_2(tmp_path):
    predict_small_squad2(tmp_path, version_2_with_negative=True, report=True)
    page = page_of(tmp_path)
    scores = results(tmp_path, "predict_results.txt")
    assert_scores(page, scores)
    kinds = rows_of(page, "Scores by question")
    assert kinds["has an answer"][-1] == f"{scores['HasAns_total']:.0f}"
    assert kinds["has none"][0] == f"{scores['NoAns_exact']:.1f} %"
    best = rows_of(page, "Best thresholds")
    assert float(best["F1"][0]) == pytest.approx(scores["best_f1"], rel=1e-3)
    assert float(best["exact match"][0]) == pytest.approx(scores["best_exact"], rel=1e-3)


def test_questions_without_answers_have_no_page(tmp_path):
    squad(tmp_path / "f.json")
    content = json.loads((tmp_path / "f.json").read_text())
    for each in content["data"][0]["paragraphs"][0]["qas"]:
        del each["answers"]
    (tmp_path / "f.json").write_text(json.dumps(content))
    head = small.GOLDENS / "squad1" / "model.ckpt-32"
    with pytest.raises(FileNotFoundError):
        run("run_squad", tmp_path, predict_file=tmp_path / "f.json", do_predict=True,
            init_checkpoint=head, max_seq_length=96)  # fmt: skip
    assert (tmp_path / "out" / "predictions.json").exists()


def test_every_seed_and_evaluation_has_its_page(tmp_path):
    given = table(tmp_path / "t.csv", lambda n: n % 2)
    options = {"do_train": True, "do_eval": True, "seeds": 2, "eval_every": 1}
    with pytest.raises(FileNotFoundError):
        run("run_classifier", tmp_path, **given, **options)
    for seed in (1, 2):
        page = page_of(tmp_path / "out" / f"seed-{seed}")
        assert "eval_accuracy of the evaluations during training." in page.texts["training"]
        assert "the best checkpoint" in page.texts[""]


def test_no_page_without_the_flag(tmp_path):
    given = table(tmp_path / "t.csv", lambda n: n % 2)
    with pytest.raises(FileNotFoundError):
        run("run_classifier", tmp_path, **given, do_train=True, do_eval=True, report=False)
    assert (tmp_path / "out" / "eval_results.txt").exists()


def test_command_line_can_be_typed_again(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/x/run_classifier.py", "--text_a=my column", "--report"])
    monkeypatch.setattr("__main__.__spec__", None)
    assert flags.command_line() == "python /x/run_classifier.py '--text_a=my column' --report"
