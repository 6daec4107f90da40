"""Planted mistakes in the data of fine-tuning, and the line that each gives.

`python -m tests.bad_task_inputs` prints the table. Cases run as those of `bad_inputs`: through the
command's own flags and `main`, to what a person at the terminal reads.
"""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bert_tf import embed, extract_features, flags, run_classifier, run_ner, run_squad, run_swag
from tests import bad_inputs
from tests.bad_inputs import Commands, Flags, World
from tests.support import small

TABLE = "text,more,stars\n" + "The sea is cold,yes,good\nBread is warm,no,bad\n" * 8
MRPC = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
COLUMNS = "-DOCSTART- O\n\nAnna B-PER\nwas O\nin O\nOslo B-LOC\n\nBread O\n\n" * 8
CHOICES = "text,ask,a,b,right\n" + "The sea,It,is cold,is warm,a\nBread,It,is cold,is warm,b\n" * 8
CONTEXT = "The lighthouse was built in 1874, by the sea."


def _common(world: World, **own: Any) -> Flags:
    return {
        "bert_config_file": small.CONFIG,
        "vocab_file": small.VOCAB,
        "init_checkpoint": small.CHECKPOINT,
        "output_dir": world.out,
        "do_train": True,
        "max_seq_length": 32,
        "train_batch_size": 8,
        "num_train_epochs": 1,
        **own,
    }


def classifier_flags(world: World) -> Flags:
    path = world.text("train.csv", TABLE)
    return _common(world, train_file=path, text_a="text", label="stars")


def squad_flags(world: World) -> Flags:
    return _common(world, train_file=squad(world), max_query_length=8, doc_stride=8)


def ner_flags(world: World) -> Flags:
    return _common(world, train_file=world.text("train.txt", COLUMNS))


def swag_flags(world: World) -> Flags:
    path = world.text("choices.csv", CHOICES)
    own = {"context": "text", "question": "ask", "choices": "a,b", "label": "right"}
    return _common(world, train_file=path, **own)


def features_flags(world: World) -> Flags:
    return {**embed_flags(world), "output_file": world.folder / "vectors.jsonl", "layers": "-1"}


def embed_flags(world: World) -> Flags:
    names = ("bert_config_file", "vocab_file", "init_checkpoint", "max_seq_length")
    common = {name: value for name, value in _common(world).items() if name in names}
    texts = world.text("texts.txt", "the sea\nbread\n")
    return {**common, "input_file": texts, "output_file": world.folder / "vectors.npy"}


def _launched(module: Any) -> Callable[[], None]:
    return lambda: flags.launch(module.define_flags, module.main)


COMMANDS: Commands = {
    "run_classifier": (_launched(run_classifier), classifier_flags),
    "run_squad": (_launched(run_squad), squad_flags),
    "run_ner": (_launched(run_ner), ner_flags),
    "run_swag": (_launched(run_swag), swag_flags),
    "extract_features": (_launched(extract_features), features_flags),
    "embed": (_launched(embed), embed_flags),
}


def squad(world: World, name: str = "squad.json", **changes: Any) -> Path:
    """A SQuAD file of one question, changed."""
    answers = [{"text": "1874", "answer_start": CONTEXT.find("1874")}]
    qa = {"id": "q", "question": "When?", "answers": answers, **changes}
    content = {"data": [{"paragraphs": [{"context": CONTEXT, "qas": [qa]}]}]}
    return world.text(name, json.dumps(content))


def binary(world: World, name: str, content: bytes) -> Path:
    path = world.folder / name
    path.write_bytes(content)
    return path


def folder_with(world: World, name: str, content: str) -> Path:
    folder = world.folder / "data"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    return folder


def _damaged_task(world: World) -> Path:
    """A model's directory, as far as `task.json` goes by."""
    folder_with(world, "model.ckpt-1.index", "")
    return folder_with(world, "task.json", "{")


def _table(content: str, name: str = "mine.csv") -> Callable[[World], Flags]:
    return lambda world: {"train_file": world.text(name, content)}


def _squad(**changes: Any) -> Callable[[World], Flags]:
    return lambda world: {"train_file": squad(world, "mine.json", **changes)}


def _mrpc(content: str, name: str = "train.tsv") -> Callable[[World], Flags]:
    return lambda world: {"task_name": "mrpc", "data_dir": folder_with(world, name, content)}


def _huggingface(**config: Any) -> Callable[[World], Flags]:
    def plant(world: World) -> Flags:
        folder = folder_with(world, "config.json", json.dumps({"model_type": "bert", **config}))
        (folder / "pytorch_model.bin").write_bytes(b"")
        return {"init_checkpoint": folder}

    return plant


def _named(world: World, id2label: dict[str, str]) -> Path:
    """A Hugging Face folder whose config names its classes."""
    folder = world.folder / "named"
    folder.mkdir()
    config = {"model_type": "bert", "id2label": id2label}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def case_of(
    mistake: str, plant: Callable[[World], Flags], message: str, command: str = "run_classifier"
) -> bad_inputs.Case:
    """A case whose command is usually run_classifier."""
    return bad_inputs.Case(mistake, plant, message, command)


_PREDICT = {"do_train": False, "do_predict": True}
_EVALUATE = {"do_train": False, "do_eval": True}

CASES = (
    # --- run_classifier ---
    case_of(
        "no file named", lambda w: {"train_file": None}, r"given by --task_name and --data_dir, or"
    ),
    case_of(
        "no such file", lambda w: {"train_file": w.folder / "no.csv"}, r"There is no file .*no\.csv"
    ),
    case_of(
        "a directory",
        lambda w: {"train_file": folder_with(w, "x.csv", "").rename(w.folder / "d.csv")},
        r"must be a text file, but is a directory\. Name a file in it",
    ),
    case_of("an empty table", _table(""), r"line of column names, but is empty"),
    case_of(
        "a table of names alone", _table("text,stars\n"), r"at least one example, but holds none"
    ),
    case_of("a spreadsheet", _table("", "mine.xlsx"), r"must end in \.tsv, \.csv, \.jsonl"),
    case_of(
        "a missing column",
        lambda w: {"text_a": "txt"},
        r"line 2: --text_a=txt must be one of its columns, which are text, more, stars",
    ),
    case_of(
        "no --label", lambda w: {"label": None}, r"--label must name the column .*, but is empty"
    ),
    case_of(
        "an empty label", _table("text,stars\nsea,\n"), r"line 2: the label in column stars must"
    ),
    case_of(
        "one label only", _table("text,stars\nsea,good\n"), r"at least two labels, .* only good"
    ),
    case_of(
        "words as numbers",
        lambda w: {"regression": True},
        r"line 2: the label of a regression must be a number, but is 'good'",
    ),
    case_of(
        "a label that training does not have",
        lambda w: {"dev_file": w.text("dev.csv", "text,stars\nsea,fair\n"), "do_eval": True},
        r"dev\.csv, line 2: the label must be one of bad, good, but is 'fair'",
    ),
    case_of("a row too long", _table("text,stars\nsea,good,x\n"), r"line 2: must have 2 fields"),
    case_of("an open quote", _table('text,stars\n"sea,good\n'), r"no CSV \(.*a quote in them"),
    case_of("a column twice", _table("text,text,stars\n"), r"different names in its first line"),
    case_of("broken JSON", _table('{"text": "sea"\n', "m.jsonl"), r"m\.jsonl, line 1: no JSON"),
    case_of("a JSON list a line", _table("[1]\n", "m.jsonl"), r"line 1: must be a JSON object"),
    case_of(
        "UTF-16 without its mark",
        lambda w: {"train_file": binary(w, "m.csv", TABLE.encode("utf-16-le"))},
        r"or UTF-16 with a byte order mark, but holds null bytes\. Save it as UTF-8",
    ),
    case_of(
        "Latin-1",
        lambda w: {"train_file": binary(w, "m.csv", "text,stars\ncafé,good\n".encode("latin-1"))},
        r"must be utf-8 text, but .*0xe9.* Save the file as UTF-8",
    ),
    case_of(
        "a cut gzip file",
        lambda w: {"train_file": binary(w, "m.csv.gz", gzip.compress(TABLE.encode())[:40])},
        r"m\.csv\.gz.* (cannot be unpacked|cut short)",
    ),
    case_of(
        "an unknown task",
        lambda w: {"task_name": "mrcp", "data_dir": w.folder},
        r"--task_name must be one of cola",
    ),
    case_of(
        "a task without data", lambda w: {"task_name": "mrpc"}, r"needs its files: give --data_dir"
    ),
    case_of("a file of GLUE missing", _mrpc("", "dev.tsv"), r"must hold train\.tsv as published"),
    case_of(
        "few fields in GLUE", _mrpc(f"{MRPC}1\t2\t3\n"), r"line 2: must have at least 5 fields"
    ),
    case_of("no row in GLUE", _mrpc(MRPC), r"at least one example, but holds none"),
    case_of(
        "an unknown label in GLUE", _mrpc(f"{MRPC}2\t1\t2\ta\tb\n"), r"one of 0, 1, but is '2'"
    ),
    case_of(
        "training on the diagnostic set",
        lambda w: {"task_name": "ax", "data_dir": w.folder},
        r"it is predicted by a model of MNLI\. Give only --do_predict",
    ),
    case_of(
        "windows without overlap",
        lambda w: {"long_texts": "window", "doc_stride": 32},
        r"--doc_stride must be at least 1 and below --max_seq_length = 32, .* but is 32",
    ),
    case_of(
        "a stride of no windows",
        lambda w: {"doc_stride": 0},
        r"it is 0 with --long_texts=truncate, .*\. Give --long_texts=window, or",
    ),
    case_of(
        "more tokens than the model has positions",
        lambda w: {"max_seq_length": 4096},
        r"--max_seq_length is 4096, but the model",
    ),
    case_of(
        "a batch larger than the data",
        lambda w: {"train_batch_size": 512},
        r"at least one batch of 512 examples",
    ),
    case_of(
        "nothing to do", lambda w: {"do_train": False}, r"At least one of --do_train, --do_eval"
    ),
    case_of(
        "prediction by a model that was not trained for it",
        lambda w: {**_PREDICT, "predict_file": w.text("p.csv", TABLE)},
        r"lacks output_weights, output_bias\. Train with --do_train first",
    ),
    case_of(
        "labels that are nowhere to be had",
        lambda w: {**_PREDICT, "train_file": None, "predict_file": w.text("p.csv", TABLE)},
        r"The classes are learned from --train_file, or read from .* none of them",
    ),
    case_of(
        "a damaged task.json",
        lambda w: {**_PREDICT, "output_dir": _damaged_task(w)},
        r"task\.json must be JSON as training writes it",
    ),
    case_of("a pickle of weights", _huggingface(), r"is a pickle, which can run any code"),
    case_of(
        "another kind of model",
        lambda w: {**_huggingface(model_type="roberta")(w), "bert_config_file": None},
        r"model_type must be 'bert', but is 'roberta'",
    ),
    case_of(
        "labels of another model",
        lambda w: {
            **_mrpc(f"{MRPC}1\t1\t2\ta\tb\n")(w),
            **_EVALUATE,
            "task_name": "rte",
            "init_checkpoint": _named(w, {"0": "happy", "1": "sad"}),
        },
        r"rte has the labels entailment, .* but the model has happy, sad \(from id2label in",
    ),
    # --- run_squad ---
    case_of("no train_file", lambda w: {"train_file": None}, r"give --train_file", "run_squad"),
    case_of(
        "an empty SQuAD file", _table(" \n", "m.json"), r"a SQuAD file, but is empty", "run_squad"
    ),
    case_of(
        "a SQuAD file cut", _table('{"data": [', "m.json"), r"must be JSON, but is not", "run_squad"
    ),
    case_of(
        "another kind of JSON",
        _table('[{"text": 1}]', "m.json"),
        r'an object with a list "data" of articles\. Is it another data set\?',
        "run_squad",
    ),
    case_of("no question", _table('{"data": []}', "m.json"), r"at least one question", "run_squad"),
    case_of(
        "an article without paragraphs",
        _table('{"data": [{"title": ""}]}', "m.json"),
        r'data\[0\] must be an object with the key "paragraphs"',
        "run_squad",
    ),
    case_of(
        "an answer outside the context",
        _squad(answers=[{"text": "sea", "answer_start": 400}]),
        r"the answer 'sea' must lie in the context of \d+ characters, but answer_start is 400",
        "run_squad",
    ),
    case_of(
        "a start in quotes",
        _squad(answers=[{"text": "sea", "answer_start": "4"}]),
        r"but answer_start is '4'",
        "run_squad",
    ),
    case_of(
        "an answer without a start",
        _squad(answers=[{"text": "sea"}]),
        r'must be an object with the key "answer_start"',
        "run_squad",
    ),
    case_of(
        "two answers to train on",
        _squad(answers=[{"text": "sea", "answer_start": 41}] * 2),
        r"must have exactly one answer, but q has 2",
        "run_squad",
    ),
    case_of(
        "version 2.0 without its flag",
        _squad(answers=[], is_impossible=True),
        r"but q has 0\. Give --version_2_with_negative",
        "run_squad",
    ),
    case_of(
        "answers that are no list",
        _squad(answers="sea"),
        r"\"answers\" must be a list, but is 'sea'",
        "run_squad",
    ),
    case_of(
        "no room beside the question",
        lambda w: {"max_query_length": 29},
        r"--max_query_length \+ 3 = 32, but is 32: there is no room for the context",
        "run_squad",
    ),
    case_of(
        "no stride", lambda w: {"doc_stride": 0}, r"--doc_stride must be at least 1", "run_squad"
    ),
    case_of(
        "no n-best", lambda w: {"n_best_size": 0}, r"--n_best_size must be at least 1", "run_squad"
    ),
    case_of(
        "no answers to evaluate on",
        lambda w: {"predict_file": squad(w, "p.json", answers=[]), "do_eval": True},
        r"p\.json must have answers to be evaluated on, but has none\. Give --do_predict",
        "run_squad",
    ),
    # --- run_ner ---
    case_of(
        "a column file that is empty", _table("\n\n", "m.txt"), r"at least one word", "run_ner"
    ),
    case_of(
        "no tag", _table("Oslo\n", "m.txt"), r"line 1: must have a word and, .* a tag", "run_ner"
    ),
    case_of(
        "a strange tag", _table("Oslo LOC\n", "m.txt"), r"must be a tag such as O, B-PER", "run_ner"
    ),
    case_of("only O", _table("Oslo O\n", "m.txt"), r"must tag some entities", "run_ner"),
    case_of("no files for NER", lambda w: {"train_file": None}, r"The tags are learned", "run_ner"),
    case_of(
        "a tag that training does not have",
        lambda w: {"dev_file": w.text("dev.txt", "Oslo B-ORG\n"), "do_eval": True},
        r"every tag must be one of those of the training file, O, .* but 'B-ORG' is not",
        "run_ner",
    ),
    # --- run_swag ---
    case_of(
        "a missing column of choices",
        lambda w: {"choices": "a,c"},
        r"line 2: must have the column c, but has text, ask, a, b, right",
        "run_swag",
    ),
    case_of(
        "one choice", lambda w: {"choices": "a"}, r"--choices must name two columns", "run_swag"
    ),
    case_of(
        "a label that is no choice",
        _table(CHOICES.replace(",b\n", ",2\n")),
        r"line 3: the label must be the number of a choice from 0 to 1, .* but is '2'",
        "run_swag",
    ),
    case_of("no label of choices", lambda w: {"label": ""}, r"--label must name the", "run_swag"),
    case_of("no questions", lambda w: {"train_file": None}, r"given by --data_dir", "run_swag"),
    # --- extract_features, embed ---
    case_of(
        "a layer that the model lacks",
        lambda w: {"layers": "-1,-9"},
        r"--layers must name layers of the model, from -2 .* but holds -9",
        "extract_features",
    ),
    case_of(
        "layers in words", lambda w: {"layers": "last"}, r"must be numbers", "extract_features"
    ),
    case_of(
        "no model",
        lambda w: {"init_checkpoint": ""},
        r"--init_checkpoint must name a pretrained model",
        "extract_features",
    ),
    case_of(
        "no text",
        lambda w: {"input_file": w.text("none.txt", "")},
        r"at least one line, but is empty",
        "extract_features",
    ),
    case_of(
        "an ending that says no format",
        lambda w: {"output_file": w.folder / "vectors.txt"},
        r"--output_file must end in \.npy, \.npz or \.jsonl",
        "embed",
    ),
)


# What is no mistake: the same text in another encoding, with other line ends.
ENCODINGS = ("utf-8-sig", "utf-16", "utf-8")
READ_AS_IT_IS = {
    "run_classifier": "train.csv",
    "run_squad": "squad.json",
    "run_ner": "train.txt",
    "run_swag": "choices.csv",
}


def tokenized(command: str, folder: Path, encoding: str | None = None) -> bytes:
    """The records that a command makes of its usual file, rewritten with CRLF in an encoding.

    A batch larger than the data ends the run when they are written: nothing need be trained.
    """

    def plant(world: World) -> Flags:
        path = world.folder / READ_AS_IT_IS[command]
        if encoding:
            text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
            path.write_bytes(text.encode(encoding))
        return {"train_batch_size": 512}

    case = case_of("", plant, "", command)
    output = bad_inputs.message_of(case, folder, COMMANDS)
    assert "at least one batch of 512" in output, output
    return (folder / "out" / "train.tf_record").read_bytes()


def main() -> None:
    """Prints all cases with their lines."""
    bad_inputs.print_table(CASES, COMMANDS)


if __name__ == "__main__":
    main()
