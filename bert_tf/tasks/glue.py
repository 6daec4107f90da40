"""The tasks of GLUE and XNLI: which files, which columns, which labels, which metrics.

Labels and their order, columns, and the label that stands in for the missing ones of a test file
are the original's for CoLA, MRPC, MNLI and XNLI (`*Processor` of its run_classifier.py); the
other tasks are read in the form that gluebenchmark.com publishes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bert_tf.inputs.text_files import TextFileError, read_fields


@dataclass(frozen=True)
class Example:
    """One or two texts, with the label where there is one.

    `where` says file and line, for messages.
    """

    identifier: str
    text_a: str
    text_b: str | None
    label: str | None
    where: str


@dataclass(frozen=True)
class Layout:
    """A .tsv file and the numbers of its columns; negative ones count from the end."""

    file: str
    text_a: int
    text_b: int | None = None
    label: int | None = None
    identifier: int | None = None
    header: bool = True
    language: int | None = None  # only rows of --xnli_language are read
    may_be_ragged: bool = False  # the published file has broken rows, which everybody skips


@dataclass(frozen=True)
class GlueTask:
    """A task of the benchmark; no label stands for a regression.

    `also` names a task whose development and test sets are read in the same run, and what its
    scores and files are called.
    """

    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    train: Layout | None
    dev: Layout | None
    test: Layout | None
    submission: str | None = None
    also: tuple[str, str] | None = None


_ENTAILMENT = ("entailment", "not_entailment")
_NLI = ("contradiction", "entailment", "neutral")
_ACCURACY = ("eval_accuracy",)


def _pairs(file: str, label: bool = True) -> Layout:
    return Layout(file, 1, 2, 3 if label else None, 0)


def _mnli(part: str, submission: str, also: tuple[str, str] | None = None) -> GlueTask:
    return GlueTask(
        _NLI,
        _ACCURACY,
        Layout("train.tsv", 8, 9, -1, 0),
        Layout(f"dev_{part}.tsv", 8, 9, -1, 0),
        Layout(f"test_{part}.tsv", 8, 9, None, 0),
        submission,
        also,
    )


GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(
        ("0", "1"),
        ("matthews_correlation", "eval_accuracy"),
        Layout("train.tsv", 3, None, 1, header=False),
        Layout("dev.tsv", 3, None, 1, header=False),
        Layout("test.tsv", 1, None, None, 0),
        "CoLA.tsv",
    ),
    "sst-2": GlueTask(
        ("0", "1"),
        _ACCURACY,
        Layout("train.tsv", 0, None, 1),
        Layout("dev.tsv", 0, None, 1),
        Layout("test.tsv", 1, None, None, 0),
        "SST-2.tsv",
    ),
    "mrpc": GlueTask(
        ("0", "1"),
        ("f1", "eval_accuracy"),
        Layout("train.tsv", 3, 4, 0),
        Layout("dev.tsv", 3, 4, 0),
        Layout("test.tsv", 3, 4, None, 0),
        "MRPC.tsv",
    ),
    "qqp": GlueTask(
        ("0", "1"),
        ("f1", "eval_accuracy"),
        Layout("train.tsv", 3, 4, 5, 0, may_be_ragged=True),
        Layout("dev.tsv", 3, 4, 5, 0, may_be_ragged=True),
        Layout("test.tsv", 1, 2, None, 0),
        "QQP.tsv",
    ),
    "sts-b": GlueTask(
        (),
        ("pearson", "spearman"),
        Layout("train.tsv", 7, 8, 9, 0),
        Layout("dev.tsv", 7, 8, 9, 0),
        Layout("test.tsv", 7, 8, None, 0),
        "STS-B.tsv",
    ),
    "mnli": _mnli("matched", "MNLI-m.tsv", ("mnli-mm", "mismatched")),
    "mnli-mm": _mnli("mismatched", "MNLI-mm.tsv"),
    "qnli": GlueTask(
        _ENTAILMENT,
        _ACCURACY,
        _pairs("train.tsv"),
        _pairs("dev.tsv"),
        _pairs("test.tsv", label=False),
        "QNLI.tsv",
    ),
    "rte": GlueTask(
        _ENTAILMENT,
        _ACCURACY,
        _pairs("train.tsv"),
        _pairs("dev.tsv"),
        _pairs("test.tsv", label=False),
        "RTE.tsv",
    ),
    "wnli": GlueTask(
        ("0", "1"),
        _ACCURACY,
        _pairs("train.tsv"),
        _pairs("dev.tsv"),
        _pairs("test.tsv", label=False),
        "WNLI.tsv",
    ),
    # Predicted by a model of MNLI.
    "ax": GlueTask(_NLI, _ACCURACY, None, None, Layout("diagnostic.tsv", 1, 2, None, 0), "AX.tsv"),
    "xnli": GlueTask(
        _NLI,
        _ACCURACY,
        Layout("multinli/multinli.train.{language}.tsv", 0, 1, 2),
        Layout("xnli.dev.tsv", 6, 7, 1, 9, language=0),
        Layout("xnli.test.tsv", 6, 7, 1, 9, language=0),
    ),
}
# The machine-translated training files of XNLI write it so.
_RENAMED_LABELS = {"contradictory": "contradiction"}


def find_task(name: str) -> GlueTask:
    """The task of a name in any case; ValueError with all names for another."""
    task = GLUE.get(name.lower())
    if task is None:
        raise ValueError(
            f"--task_name must be one of {', '.join(GLUE)}, but is {name!r}. For a file of your "
            "own, leave it out and give --train_file, --text_a and --label."
        )
    return task


def read_split(data_dir: Path, layout: Layout | None, language: str) -> Iterator[Example]:
    """The examples of a file in the benchmark's form.

    Args:
        data_dir: Directory of the task's files.
        layout: Which file, and its columns; None for a split that the task does not have.
        language: Of XNLI, such as `zh`.

    Raises:
        ValueError: If the task has no such split, or no row of the language.
        FileNotFoundError: If the file is missing.
        TextFileError: If a row lacks columns.
    """
    if layout is None:
        raise ValueError(
            "The diagnostic set has nothing to train or evaluate on: it is predicted by a model "
            "of MNLI. Give only --do_predict."
        )
    path = data_dir / layout.file.format(language=language)
    if not path.exists():
        raise FileNotFoundError(
            f"--data_dir={data_dir} must hold {path.name} as published, but there is no {path}."
        )
    columns = (layout.text_a, layout.text_b, layout.label, layout.identifier, layout.language)
    least = max(column + 1 if column >= 0 else -column for column in columns if column is not None)
    found = False
    for line, fields in read_fields(path):
        if (line == 1 and layout.header) or fields == [""]:
            continue
        if len(fields) < least:
            if layout.may_be_ragged:
                continue
            raise TextFileError(
                f"{path}, line {line}: must have at least {least} fields, parted by tabs, but has "
                f"{len(fields)}."
            )
        if layout.language is None or fields[layout.language] == language:
            found = True
            yield _example(fields, layout, f"{path}, line {line}", line)
    if not found:
        of = f" of language {language!r}" if layout.language is not None else ""
        raise TextFileError(f"{path} must hold at least one example{of}, but holds none.")


def _example(fields: list[str], layout: Layout, where: str, line: int) -> Example:
    label = None if layout.label is None else fields[layout.label]
    return Example(
        identifier=str(line) if layout.identifier is None else fields[layout.identifier],
        text_a=fields[layout.text_a],
        text_b=None if layout.text_b is None else fields[layout.text_b],
        label=label if label is None else _RENAMED_LABELS.get(label, label),
        where=where,
    )
