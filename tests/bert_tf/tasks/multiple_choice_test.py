"""Multiple choice: SWAG's form, any table, outputs, mistakes."""

import json

import numpy as np
import pytest

from bert_tf.tasks.multiple_choice import SWAG, ChoiceColumns, ChoiceFeaturizer, read_choices
from bert_tf.tokenization import FullTokenizer
from tests.support import commands, small

SAMPLES = small.ROOT.parent / "shared" / "data" / "samples" / "SWAG"
HEADER = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3"
TABLE = "text,ask,a,b,right\n" + (
    'The sea is cold,"So, it",is cold,is warm,a\nBread is warm,It,is cold,is warm,B\n' * 8
)


def write(folder, content, name="train.csv"):
    path = folder / name
    path.write_text(content)
    return path


def test_swags_form(tmp_path):
    row = "0,v,1,The sea,The sea.,It,gold,is cold,sings,flies,reads"
    path = write(tmp_path, f"{HEADER},label\n{row},2\n")
    (example,) = read_choices(path, SWAG, labelled=True)
    assert example.context == "The sea."
    assert example.choices == ("It is cold", "It sings", "It flies", "It reads")
    assert example.label == 2
    (unlabelled,) = read_choices(write(tmp_path, f"{HEADER}\n{row}\n"), SWAG, labelled=False)
    assert unlabelled.label is None


def test_samples_of_swag():
    if not SAMPLES.exists():
        pytest.skip(f"{SAMPLES} is not here: other people's data")
    for name in ("train", "val", "test"):
        examples = list(read_choices(SAMPLES / f"{name}.csv", SWAG, name != "test"))
        assert examples
        assert all(len(each.choices) == 4 for each in examples)


def columns(**changes):
    return ChoiceColumns(**{
        "context": "text", "question": "ask", "choices": ("a", "b"), "label": "right", **changes
    })  # fmt: skip


@pytest.mark.parametrize(("label", "number"), [("1", 1), ("b", 1), ("B", 1), ("is warm", 1)])
def test_labels_are_numbers_letters_or_texts(tmp_path, label, number):
    path = write(tmp_path, f"text,ask,a,b,right\nThe sea,It,is cold,is warm,{label}\n")
    (example,) = read_choices(path, columns(), labelled=True)
    assert example.label == number


def test_choices_of_a_json_list(tmp_path):
    path = write(tmp_path, '{"text": "x", "options": ["a", "b", "c"], "right": 2}\n', "f.jsonl")
    found = columns(question=None, choices=("options",))
    (example,) = read_choices(path, found, labelled=True)
    assert (example.choices, example.label) == (("a", "b", "c"), 2)


def test_sequences_of_all_choices(tmp_path):
    tokenizer = FullTokenizer(small.VOCAB)
    featurizer = ChoiceFeaturizer(tokenizer, 24)
    (example, *_) = read_choices(write(tmp_path, TABLE), columns(), labelled=True)
    table = featurizer.table([example])
    assert table.columns["input_ids"].shape == (1, 2, 24)
    for place, choice in enumerate(("So, it is cold", "So, it is warm")):
        ids = table.columns["input_ids"][0, place]
        wanted = ["[CLS]", *tokenizer.tokenize("The sea is cold"), "[SEP]"]
        wanted += [*tokenizer.tokenize(choice), "[SEP]"]
        used = int(table.columns["input_mask"][0, place].sum())
        assert [tokenizer.inv_vocab[int(number)] for number in ids[:used]] == wanted
    assert featurizer.report() is None
    short = ChoiceFeaturizer(tokenizer, 8)
    short.table([example])
    assert "1 of 1 questions are longer than --max_seq_length = 8" in short.report()


def run(folder, **changes):
    flags = {
        "bert_config_file": small.CONFIG,
        "vocab_file": small.VOCAB,
        "init_checkpoint": small.CHECKPOINT,
        "max_seq_length": 32,
        "output_dir": folder / "out",
        "train_batch_size": 8,
        "learning_rate": 1e-3,
        "context": "text",
        "question": "ask",
        "choices": "a,b",
        "label": "right",
        **changes,
    }
    commands.run("run_swag", **flags)


def test_any_table_trains_evaluates_and_predicts(tmp_path):
    path = write(tmp_path, TABLE)
    files = {"train_file": path, "dev_file": path, "predict_file": path}
    run(tmp_path, **files, do_train=True, do_eval=True, do_predict=True, num_train_epochs=2)
    results = (tmp_path / "out/eval_results.txt").read_text()
    shares = np.loadtxt(tmp_path / "out/test_results.tsv")
    assert shares.shape == (16, 2)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, atol=1e-5)
    said = shares.argmax(axis=1)
    accuracy = np.mean(said == np.tile([0, 1], 8))
    assert f"eval_accuracy = {np.float32(accuracy)}" in results
    lines = (tmp_path / "out/predictions.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["choice"] for row in rows] == said.tolist()
    assert rows[0]["text"] in ("So, it is cold", "So, it is warm")


def test_long_contexts_are_read_in_windows(tmp_path, capsys):
    long = "the glass is over their water and the clock turns when every book is in the wind " * 3
    rows = f"{long},It,is cold,is warm,a\nBread,It,is cold,is warm,B\n" * 6
    path = write(tmp_path, f"text,ask,a,b,right\n{rows}")
    files = {"train_file": path, "dev_file": path, "predict_file": path}
    run(tmp_path, **files, do_train=True, do_eval=True, do_predict=True, num_train_epochs=1)
    assert "6 of 12 questions are longer than --max_seq_length = 32 and were read in" in (
        capsys.readouterr().out
    )
    shares = np.loadtxt(tmp_path / "out/test_results.tsv")
    assert shares.shape == (12, 2)
    # The stated rule: the mean of the windows' logits. Each window as a question of its own:
    tokenizer = FullTokenizer(small.VOCAB)
    (example, *_) = read_choices(path, columns(), labelled=True)
    table = ChoiceFeaturizer(tokenizer, 32, 16).table([example])
    sep = tokenizer.vocab["[SEP]"]
    parts = [
        " ".join(tokenizer.inv_vocab[int(i)] for i in ids[1 : list(ids).index(sep)])
        for ids in table.columns["input_ids"][:, 0]
    ]
    assert len(parts) == 3
    assert not any("##" in part for part in parts)
    each = write(
        tmp_path,
        "text,ask,a,b\n" + "".join(f"{part},It,is cold,is warm\n" for part in parts),
        "each.csv",
    )
    run(tmp_path, predict_file=each, do_predict=True)
    logits = np.log(np.loadtxt(tmp_path / "out/test_results.tsv"))
    # Softmax forgets a constant of each window, and so does the softmax of the mean.
    mean = np.exp(logits.mean(axis=0))
    np.testing.assert_allclose(shares[0], mean / mean.sum(), atol=1e-5)
    results = (tmp_path / "out/eval_results.txt").read_text()
    accuracy = np.mean(shares.argmax(axis=1) == np.tile([0, 1], 6))
    assert f"eval_accuracy = {np.float32(accuracy)}" in results


def test_long_contexts_may_be_cut(tmp_path, capsys):
    path = write(tmp_path, TABLE.replace("The sea", "The sea " * 30))
    options = {"long_texts": "truncate", "num_train_epochs": 1}
    run(tmp_path, train_file=path, do_train=True, **options)
    assert "and were cut (--long_texts=window reads all of them)" in capsys.readouterr().out


MISTAKES = {
    "no file": (lambda p: {}, "given by --data_dir .SWAG., or by your own --train_file"),
    "no label": (
        lambda p: {"train_file": write(p, TABLE), "label": ""},
        "--label must name the column of the right choice",
    ),
    "missing columns": (
        lambda p: {"train_file": write(p, TABLE), "choices": "a,c"},
        "line 2: must have the column c, but has text, ask, a, b, right",
    ),
    "one choice": (
        lambda p: {"train_file": write(p, TABLE), "choices": "a"},
        "--choices must name two columns or more, or one with a JSON list",
    ),
    "label out of range": (
        lambda p: {"train_file": write(p, TABLE.replace(",B\n", ",2\n"))},
        "line 3: the label must be the number of a choice from 0 to 1, .* but is '2'",
    ),
    "empty": (lambda p: {"train_file": write(p, "")}, "column names, but is empty"),
    "no row": (
        lambda p: {"train_file": write(p, "text,ask,a,b,right\n")},
        "at least one question, but holds none",
    ),
    "uneven choices": (
        lambda p: {
            "train_file": write(
                p,
                '{"text": "", "ask": "", "o": ["a", "b"], "right": 0}\n'
                '{"text": "", "ask": "", "o": ["a", "b", "c"], "right": 0}\n',
                "f.jsonl",
            ),
            "choices": "o",
        },
        "line 2: every row must have as many choices as the first, 2, but this has 3",
    ),
    "ragged": (
        lambda p: {"train_file": write(p, TABLE + "x,y\n")},
        "must have 5 fields like the first line, but has 2",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(tmp_path, mistake):
    make, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **{"do_train": True, **make(tmp_path)})
