"""Classification: published forms, users' tables, windows, outputs, mistakes."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bert_tf.tasks.classification import Featurizer
from bert_tf.tasks.glue import GLUE, Example, find_task, read_split
from bert_tf.tasks.metrics import METRICS
from bert_tf.tasks.text_data import glue_data
from bert_tf.tasks.text_tables import Columns, learn_labels, read_examples
from bert_tf.tokenization import FullTokenizer
from tests.support import commands, small

DATA = small.ROOT.parent / "shared" / "data"
MODEL = {"bert_config_file": small.CONFIG, "vocab_file": small.VOCAB, "max_seq_length": 32}
MORE = '"and ""so"" on, really"'
ROWS = "id,text,more,stars\n" + "".join(
    f"{n},The sea is cold,{MORE},good\n" if n % 2 else f"{n},Bread is warm,{MORE},bad\n"
    for n in range(24)
)


def table(folder, name="train.csv", rows=ROWS):
    path = folder / name
    path.write_text(rows)
    return path


def run(folder, **changes):
    flags = {
        **MODEL,
        "text_a": "text",
        "label": "stars",
        "output_dir": folder / "out",
        "init_checkpoint": small.CHECKPOINT,
        "train_batch_size": 8,
        "learning_rate": 1e-3,
        **changes,
    }
    commands.run("run_classifier", **{name: v for name, v in flags.items() if v is not None})


def test_any_table_trains_evaluates_and_predicts(tmp_path):
    path = table(tmp_path)
    files = {"train_file": path, "dev_file": path}
    run(tmp_path, **files, text_b="more", do_train=True, do_eval=True, num_train_epochs=20)
    results = (tmp_path / "out/eval_results.txt").read_text()
    assert "eval_accuracy = 1.0\n" in results
    assert "matthews_correlation = 1.0\n" in results
    assert json.loads((tmp_path / "out/task.json").read_text())["labels"] == ["bad", "good"]

    # Another run needs neither the training file nor labels.
    unlabelled = table(
        tmp_path, "new.jsonl", '{"text": "The sea is cold", "more": "x", "key": "k1"}\n'
    )
    run(tmp_path, predict_file=unlabelled, text_b="more", label=None, id="key", do_predict=True)
    (row,) = map(json.loads, (tmp_path / "out/predictions.jsonl").read_text().splitlines())
    assert (row["id"], row["label"]) == ("k1", "good")
    assert sum(row["probabilities"].values()) == pytest.approx(1.0)
    shares = [float(v) for v in (tmp_path / "out/test_results.tsv").read_text().split("\t")]
    assert shares == pytest.approx(list(row["probabilities"].values()), abs=1e-7)
    assert (tmp_path / "out/predictions.tsv").read_text() == "index\tprediction\nk1\tgood\n"


def test_regression(tmp_path):
    rows = "text\tvalue\n" + "The sea\t4.5\nBread\t-1\n" * 12
    path = table(tmp_path, "train.tsv", rows)
    options = {"label": "value", "regression": True, "do_eval": True, "do_predict": True}
    run(
        tmp_path,
        train_file=path,
        dev_file=path,
        predict_file=path,
        do_train=True,
        num_train_epochs=30,
        **options,
    )
    results = dict(
        line.split(" = ") for line in (tmp_path / "out/eval_results.txt").read_text().splitlines()
    )
    assert float(results["pearson"]) > 0.99
    assert float(results["eval_loss"]) < 0.5
    lines = (tmp_path / "out/predictions.jsonl").read_text().splitlines()
    values = [json.loads(line)["value"] for line in lines]
    assert values[0] == pytest.approx(4.5, abs=1.0)
    assert values[1] == pytest.approx(-1.0, abs=1.0)


def test_tokenized_examples_are_kept_and_made_anew(tmp_path):
    path = table(tmp_path)
    options = {"train_file": path, "do_train": True, "num_train_epochs": 1}
    run(tmp_path, **options)
    record = tmp_path / "out/train.tf_record"
    before = record.stat().st_mtime_ns
    run(tmp_path, **options, do_eval=False, save_checkpoints_steps=2)
    assert record.stat().st_mtime_ns == before
    path.write_text(path.read_text().replace("cold", "warm"))
    run(tmp_path, **options)
    assert record.stat().st_mtime_ns != before


def test_other_columns_and_languages_are_tokenized_anew(tmp_path):
    path = table(tmp_path)
    options = {"train_file": path, "do_train": True, "num_train_epochs": 1}
    record = tmp_path / "out/train.tf_record"
    run(tmp_path, **options)
    before = record.read_bytes()
    run(tmp_path, **options, text_b="more")
    assert record.read_bytes() != before

    data = {each: glue_data("xnli", tmp_path, each).of("dev")[0].columns for each in ("de", "zh")}
    assert data["de"] != data["zh"], "both languages lie in one file"


MNLI_TRAIN = "\t".join("abcdefghijkl") + "\n" + "".join(
    f"{n}\t1\tg\t\t\t\t\t\tThe sea is {'cold' if n % 3 else 'warm'}\tIt is cold\tx\t{label}\n"
    for n, label in enumerate(["contradiction", "entailment", "neutral"] * 8)
)  # fmt: skip


def mnli(folder):
    """The four files of MNLI, in the published form, the mismatched ones shorter."""
    head, *rows = MNLI_TRAIN.splitlines(keepends=True)
    unlabelled = [row.rpartition("\t")[0] + "\n" for row in (head, *rows)]
    glue(folder, MNLI_TRAIN)
    glue(folder, head + "".join(rows[:9]), "dev_matched.tsv")
    glue(folder, head + "".join(rows[9:16]), "dev_mismatched.tsv")
    glue(folder, "".join(unlabelled[:8]), "test_matched.tsv")
    glue(folder, "".join([unlabelled[0], *unlabelled[8:]]), "test_mismatched.tsv")
    return folder


def results_of(folder):
    lines = (folder / "eval_results.txt").read_text().splitlines()
    return dict(line.split(" = ") for line in lines)


def test_mnli_evaluates_and_predicts_both_sets_in_one_run(tmp_path):
    data = mnli(tmp_path / "mnli")
    common = {"data_dir": data, "text_a": None, "label": None, "do_eval": True, "do_predict": True}
    run(tmp_path, task_name="MNLI", do_train=True, num_train_epochs=1, **common)
    out, both = tmp_path / "out", results_of(tmp_path / "out")
    read = {
        name: (out / name).read_text().splitlines()
        for name in ("test_results.tsv", "test_results_mismatched.tsv", "MNLI-m.tsv", "MNLI-mm.tsv")
    }
    assert [len(lines) for lines in read.values()] == [7, 17, 8, 18]
    assert read["MNLI-m.tsv"][0] == read["MNLI-mm.tsv"][0] == "index\tprediction"
    assert [line.split("\t")[0] for line in read["MNLI-mm.tsv"][1:]] == list(map(str, range(17)))
    assert len((out / "predictions_mismatched.jsonl").read_text().splitlines()) == 17

    # Each alone, by the same weights, gives the same.
    model = {"init_checkpoint": out, **common}
    (data / "dev_mismatched.tsv").rename(tmp_path / "dev")
    (data / "test_mismatched.tsv").rename(tmp_path / "test")
    run(tmp_path, task_name="MNLI", output_dir=tmp_path / "matched", **model)
    (tmp_path / "dev").rename(data / "dev_mismatched.tsv")
    (tmp_path / "test").rename(data / "test_mismatched.tsv")
    run(tmp_path, task_name="MNLI-MM", output_dir=tmp_path / "mismatched", **model)
    matched, mismatched = (results_of(tmp_path / name) for name in ("matched", "mismatched"))
    for name in ("eval_accuracy", "eval_loss"):
        assert float(both[name]) == pytest.approx(float(matched[name]), abs=1e-6)
        assert float(both[f"{name}_mismatched"]) == pytest.approx(float(mismatched[name]), abs=1e-6)
    assert "eval_accuracy_mismatched" not in matched
    for ours, alone in (
        ("test_results.tsv", "matched/test_results.tsv"),
        ("test_results_mismatched.tsv", "mismatched/test_results.tsv"),
    ):
        np.testing.assert_allclose(np.loadtxt(out / ours), np.loadtxt(tmp_path / alone), atol=1e-6)
    assert (tmp_path / "mismatched/MNLI-mm.tsv").read_text().splitlines() == read["MNLI-mm.tsv"]


def test_a_missing_mismatched_set_is_said(tmp_path, capsys):
    data = mnli(tmp_path / "mnli")
    (data / "dev_mismatched.tsv").unlink()
    common = {"data_dir": data, "text_a": None, "label": None, "task_name": "mnli"}
    run(tmp_path, do_train=True, do_eval=True, num_train_epochs=1, **common)
    assert "dev_mismatched.tsv: that part is left out" in capsys.readouterr().out
    assert "eval_accuracy_mismatched" not in results_of(tmp_path / "out")


def test_the_diagnostic_set_is_predicted_by_a_model_of_mnli(tmp_path):
    data = mnli(tmp_path / "mnli")
    common = {"data_dir": data, "text_a": None, "label": None}
    run(tmp_path, task_name="mnli", do_train=True, num_train_epochs=1, **common)
    glue(data, "index\tsentence1\tsentence2\n0\tThe sea\tBread\n1\ta\tb\n", "diagnostic.tsv")
    run(
        tmp_path,
        task_name="ax",
        init_checkpoint=tmp_path / "out",
        output_dir=tmp_path / "ax",
        do_predict=True,
        **common,
    )
    head, *rows = (tmp_path / "ax/AX.tsv").read_text().splitlines()
    assert head == "index\tprediction"
    assert [row.split("\t")[0] for row in rows] == ["0", "1"]
    assert {row.split("\t")[1] for row in rows} <= {"contradiction", "entailment", "neutral"}


def as_hugging_face(folder, target="hf"):
    commands.run(
        "convert_checkpoint",
        input=folder / "out",
        output=folder / target,
        output_format="huggingface",
        bert_config_file=small.CONFIG,
        vocab_file=small.VOCAB,
    )
    return folder / target


def probabilities(path):
    rows = map(json.loads, path.read_text().splitlines())
    return [row["probabilities"] for row in rows]


def assert_close(left, right):
    assert len(left) == len(right) > 0
    for ours, theirs in zip(left, right, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-6)


def turned(folder, order):
    """The folder with its classes in another order, in the config and in the head."""
    config = json.loads((folder / "config.json").read_text())
    names = [config["id2label"][str(number)] for number in order]
    config["id2label"] = {str(number): name for number, name in enumerate(names)}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(folder / "model.safetensors")
    for name in ("classifier.weight", "classifier.bias"):
        tensors[name] = np.ascontiguousarray(tensors[name][order])
    save_file(tensors, folder / "model.safetensors")
    return tuple(names)


def test_labels_of_a_hugging_face_folder_and_back(tmp_path):
    path = table(tmp_path)
    run(tmp_path, train_file=path, do_train=True, num_train_epochs=3)
    folder = as_hugging_face(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert config["label2id"] == {"bad": 0, "good": 1}
    model = {"predict_file": path, "dev_file": path, "do_predict": True, "do_eval": True}
    run(tmp_path, **model)
    assert turned(folder, [1, 0]) == ("good", "bad")
    theirs = {"init_checkpoint": folder, "bert_config_file": None, "vocab_file": None}
    run(tmp_path, **model, **theirs, output_dir=tmp_path / "theirs")
    name = "predictions.jsonl"
    assert_close(probabilities(tmp_path / "out" / name), probabilities(tmp_path / "theirs" / name))
    ours, same = results_of(tmp_path / "out"), results_of(tmp_path / "theirs")
    assert float(ours["eval_loss"]) == pytest.approx(float(same["eval_loss"]), abs=1e-6)

    # Trained further on the same classes, the head keeps its order.
    again = {"train_file": path, "do_train": True, "num_train_epochs": 1, "learning_rate": 1e-12}
    run(tmp_path, **again, **model, **theirs, output_dir=tmp_path / "more")
    assert_close(probabilities(tmp_path / "out" / name), probabilities(tmp_path / "more" / name))
    assert json.loads((tmp_path / "more/task.json").read_text())["labels"] == ["good", "bad"]

    other = table(tmp_path, "other.csv", "text,stars\nsea,fair\n")
    with pytest.raises(ValueError, match=r"one of good, bad, but is 'fair'. .* id2label in .*hf"):
        run(tmp_path, **theirs, dev_file=other, do_eval=True, output_dir=tmp_path / "o")


def test_labels_of_published_tasks_follow_the_model(tmp_path):
    data = mnli(tmp_path / "mnli")
    common = {"data_dir": data, "text_a": None, "label": None, "task_name": "mnli"}
    run(tmp_path, do_train=True, num_train_epochs=1, **common)
    folder = as_hugging_face(tmp_path)
    model = {**common, "do_eval": True, "do_predict": True}
    run(tmp_path, **model)
    turned(folder, [1, 2, 0])
    config = json.loads((folder / "config.json").read_text())
    config["id2label"] = {number: name.upper() for number, name in config["id2label"].items()}
    (folder / "config.json").write_text(json.dumps(config))
    theirs = {"init_checkpoint": folder, "output_dir": tmp_path / "theirs"}
    run(tmp_path, **model, **theirs)
    assert float(results_of(tmp_path / "out")["eval_accuracy_mismatched"]) == pytest.approx(
        float(results_of(tmp_path / "theirs")["eval_accuracy_mismatched"])
    )
    assert (tmp_path / "theirs/MNLI-m.tsv").read_text() == (tmp_path / "out/MNLI-m.tsv").read_text()

    config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}  # no names: our order
    (folder / "config.json").write_text(json.dumps(config))
    run(tmp_path, **model, init_checkpoint=folder, output_dir=tmp_path / "nameless")
    config["id2label"] = {"0": "happy", "1": "sad", "2": "angry"}
    (folder / "config.json").write_text(json.dumps(config))
    message = (
        r"has the labels contradiction, .* but the model has happy, sad, angry \(from id2label"
    )
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **model, init_checkpoint=folder, output_dir=tmp_path / "x")
    config["id2label"] = {"0": "a", "2": "b"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="id2label must name classes 0 to N - 1"):
        run(tmp_path, **model, init_checkpoint=folder, output_dir=tmp_path / "x")


def test_a_task_json_of_another_model_is_refused_on_conversion(tmp_path):
    run(tmp_path, train_file=table(tmp_path), do_train=True, num_train_epochs=1)
    content = json.loads((tmp_path / "out/task.json").read_text())
    (tmp_path / "out/task.json").write_text(json.dumps({**content, "labels": ["a", "b", "c"]}))
    with pytest.raises(ValueError, match=r"a label for each of the 2 classes .* but there are 3"):
        as_hugging_face(tmp_path)
    assert not (tmp_path / "hf").exists()


def featurizer(length=16, stride=0):
    return Featurizer(FullTokenizer(small.VOCAB), length, ("no", "yes"), stride)


def example(a, b=None, label="yes"):
    return Example("0", a, b, label, "here")


def test_long_texts_are_cut_and_counted():
    made = featurizer()
    table_ = made.table([example("sea " * 40), example("sea")])
    assert table_.lengths.tolist() == [16, 4]
    assert made.report() == (
        "1 of 2 examples are longer than --max_seq_length = 16 and were cut "
        "(--long_texts=window reads all of them)."
    )
    assert featurizer().report() is None


@pytest.mark.parametrize("pair", [None, "bread " * 3, "bread " * 60])
def test_windows_show_every_token(pair):
    made = featurizer(stride=5)
    long = "the sea is cold and bread is warm in winter on the old road to the harbour " * 2
    table_ = made.table([example("sea", pair and "sea"), example(long, pair)], first=7)
    owners = table_.columns["example_ids"].tolist()
    assert owners[0] == 7
    assert set(owners[1:]) == {8}
    assert len(owners) > 3
    tokenizer = FullTokenizer(small.VOCAB)
    longer = max(long, pair or "", key=lambda text: len(tokenizer.encode(text)))
    seen = set()
    for row in table_.columns["input_ids"][1:]:
        seen |= set(row.tolist())
    assert set(tokenizer.encode(longer)) <= seen
    assert "read in several windows" in made.report()


def test_windows_of_an_example_are_averaged(tmp_path):
    rows = "text,stars\n" + ("sea " * 60 + ",good\nbread,bad\n") * 8
    path = table(tmp_path, rows=rows)
    run(
        tmp_path,
        train_file=path,
        dev_file=path,
        predict_file=path,
        do_train=True,
        do_eval=True,
        do_predict=True,
        num_train_epochs=2,
        long_texts="window",
        doc_stride=16,
    )
    assert len((tmp_path / "out/predictions.jsonl").read_text().splitlines()) == 16
    assert json.loads((tmp_path / "out/task.json").read_text())["doc_stride"] == 16
    assert "eval_accuracy" in (tmp_path / "out/eval_results.txt").read_text()


def test_labels_are_sorted_as_what_they_are():
    def labels(*names):
        return learn_labels(example("x", label=name) for name in names)

    assert labels("10", "9", "-1", "9") == ("-1", "9", "10")
    assert labels("b", "a", "10") == ("10", "a", "b")
    with pytest.raises(ValueError, match="at least two labels, but the training file has only a"):
        labels("a", "a")


PUBLISHED = {
    "cola": ("glue/CoLA", 8551, 1043, 1063),
    "mrpc": ("glue/MRPC", 3667, 408, 1725),
    "rte": ("glue/RTE", 2490, 277, 3000),
    "sts-b": ("glue/STS-B", 5749, 1500, 1379),
    "wnli": ("glue/WNLI", 635, 71, 146),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_read_whole(name):
    folder, *counts = PUBLISHED[name]
    if not (DATA / folder).exists():
        pytest.skip(f"{DATA / folder} is not here: other people's data")
    task = GLUE[name]
    for layout, count in zip((task.train, task.dev, task.test), counts, strict=True):
        examples = list(read_split(DATA / folder, layout, "en"))
        assert len(examples) == count, layout
        assert all(each.text_a.strip() for each in examples)
        if layout.label is not None and task.labels:
            assert {each.label for each in examples} == set(task.labels)
        if layout.text_b is not None:
            assert all(each.text_b for each in examples)


@pytest.mark.parametrize("name", ["mnli", "mnli-mm", "qqp", "qnli", "ax", "xnli"])
def test_samples_of_the_large_sets(name):
    folder = DATA / "samples" / {"mnli-mm": "MNLI"}.get(name, name.upper())
    if not folder.exists():
        pytest.skip(f"{folder} is not here: other people's data")
    task = find_task(name.upper())
    for layout in (task.train, task.dev, task.test):
        if layout is None:
            continue
        examples = list(read_split(folder, layout, "de"))
        assert examples
        labels = {each.label for each in examples if each.label is not None}
        assert labels <= set(task.labels)
        assert bool(labels) == (layout.label is not None)


def glue(folder, content, name="train.tsv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    return folder


MRPC = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
MISTAKES = {
    "no data": (lambda p: {"text_a": None}, "given by --task_name and --data_dir, or by your own"),
    "unknown task": (
        lambda p: {"task_name": "mrcp", "data_dir": p},
        "--task_name must be one of cola, .*, but is 'mrcp'",
    ),
    "no data_dir": (lambda p: {"task_name": "mrpc"}, "needs its files: give --data_dir"),
    "no file there": (
        lambda p: {"task_name": "mrpc", "data_dir": p},
        "must hold train.tsv as published, but there is no",
    ),
    "few fields": (
        lambda p: {"task_name": "mrpc", "data_dir": glue(p / "d", f"{MRPC}1\t2\t3\n")},
        "line 2: must have at least 5 fields, parted by tabs, but has 3",
    ),
    "no example": (
        lambda p: {"task_name": "mrpc", "data_dir": glue(p / "d", MRPC)},
        "must hold at least one example, but holds none",
    ),
    "another label": (
        lambda p: {"task_name": "mrpc", "data_dir": glue(p / "d", f"{MRPC}2\t1\t2\ta\tb\n")},
        "line 2: the label must be one of 0, 1, but is '2'",
    ),
    "nothing to train on": (
        lambda p: {"task_name": "ax", "data_dir": p},
        "it is predicted by a model of MNLI",
    ),
    "column misspelt": (
        lambda p: {"train_file": table(p), "text_a": "txt"},
        "--text_a=txt must be one of its columns, which are id, text, more, stars",
    ),
    "no label column": (
        lambda p: {"train_file": table(p), "label": None},
        "--label must name the column .* has the columns id, text, more, stars",
    ),
    "empty label": (
        lambda p: {"train_file": table(p, rows="text,stars\nsea,\n")},
        "line 2: the label in column stars must not be empty",
    ),
    "one label": (
        lambda p: {"train_file": table(p, rows="text,stars\nsea,good\n")},
        "at least two labels",
    ),
    "no number": (
        lambda p: {"train_file": table(p), "regression": True},
        "line 2: the label of a regression must be a number, but is 'bad'",
    ),
    "not a number": (
        lambda p: {"train_file": table(p, rows="text,stars\nsea,nan\n"), "regression": True},
        "must be a number, but is 'nan'",
    ),
    "empty file": (lambda p: {"train_file": table(p, rows="")}, "column names, but is empty"),
    "only names": (
        lambda p: {"train_file": table(p, rows="text,stars\n")},
        "must hold at least one example, but holds none",
    ),
    "spreadsheet": (lambda p: {"train_file": table(p, "train.xlsx")}, r"must end in \.tsv"),
    "nothing to do": (lambda p: {"do_train": False}, "At least one of --do_train"),
    "stride of a window": (
        lambda p: {"train_file": table(p), "long_texts": "window", "doc_stride": 64},
        "--doc_stride must be at least 1 and below --max_seq_length = 32, .*, but is 64",
    ),
    "length of the model": (
        lambda p: {"train_file": table(p), "max_seq_length": 4096},
        "--max_seq_length is 4096, but the model",
    ),
    "batch larger than the data": (
        lambda p: {"train_file": table(p), "train_batch_size": 512},
        "Training takes at least one batch of 512 examples",
    ),
    "no predict_file": (
        lambda p: {"train_file": table(p), "do_train": False, "do_predict": True},
        "need a fine-tuned checkpoint, but this one lacks output_weights, output_bias",
    ),
    "no config": (lambda p: {"bert_config_file": ""}, "--bert_config_file must name the JSON"),
    "damaged task.json": (
        lambda p: {
            "train_file": table(p),
            "dev_file": table(p, "dev.csv"),
            "do_train": False,
            "do_eval": True,
            "output_dir": glue(glue(p / "o", "", "model.ckpt-1.index"), "{", "task.json"),
        },
        "task.json must be JSON as training writes it",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(tmp_path, mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(tmp_path, **{"do_train": True, **make(tmp_path)})


def test_a_label_that_training_did_not_see(tmp_path):
    dev = table(tmp_path, "dev.csv", "text,stars\nsea,fair\n")
    with pytest.raises(ValueError, match=r"dev.csv, line 2: .* one of bad, good, but is 'fair'"):
        run(
            tmp_path,
            train_file=table(tmp_path),
            dev_file=dev,
            do_train=True,
            do_eval=True,
            num_train_epochs=1,
        )


def test_metrics_by_hand():
    gold, said = np.array([1, 1, 0, 0, 1]), np.array([1, 0, 0, 1, 1])
    assert METRICS["eval_accuracy"](gold, said) == pytest.approx(0.6)
    assert METRICS["f1"](gold, said) == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    # (2*1 - 1*1) / sqrt(3*3*2*2)
    assert METRICS["matthews_correlation"](gold, said) == pytest.approx(1 / 6)
    assert METRICS["matthews_correlation"](gold, np.zeros(5, int)) == 0.0
    assert METRICS["pearson"](np.array([1.0, 2, 3]), np.array([2.0, 4, 6])) == pytest.approx(1.0)
    assert METRICS["spearman"](np.array([1.0, 2, 3]), np.array([1.0, 9, 5])) == pytest.approx(0.5)
    assert METRICS["pearson"](np.array([1.0, 2]), np.array([3.0, 3])) == 0.0


def test_rows_without_identifier_are_numbered(tmp_path):
    found = list(read_examples(table(tmp_path), Columns("text", label="stars"), labelled=True))
    assert [each.identifier for each in found[:2]] == ["0", "1"]
    assert Path(found[0].where.split(",")[0]).name == "train.csv"
