"""The data sets of run_classifier: published ones, and the user's own tables."""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bert_tf.tasks.glue import GLUE, Example, GlueTask, Layout, find_task, read_split
from bert_tf.tasks.job import FLAGS_OF_SPLITS, KnownTask
from bert_tf.tasks.text_tables import Columns, learn_labels, read_examples

# What models say that were never told the names of their classes.
_NAMELESS = "LABEL_"


@dataclass(frozen=True)
class Split:
    """A file of examples.

    Attributes:
        path: The file.
        read: Reads its examples.
        part: Of a data set with several files to evaluate on, which this is: it is added to the
            names of scores and files. Empty for the first one.
        columns: What is read of the file, for the key of the cache.
        submission: File of the benchmark's submission, if there is one.
    """

    path: Path
    read: Callable[[], Iterator[Example]]
    part: str = ""
    columns: str = ""
    submission: str | None = None

    def named(self, name: str) -> str:
        """The name of a score or a file, for this part."""
        stem, dot, ending = name.partition(".")
        return f"{stem}_{self.part}{dot}{ending}" if self.part else name


@dataclass(frozen=True)
class TextData:
    """A data set: its splits, classes and metrics.

    Attributes:
        name: Of the task, for task.json.
        splits: `train`, `dev` and `test` to their files, those that there are.
        labels: Classes in order; none for a regression.
        metrics: Names in `metrics.METRICS`; the first one decides which checkpoint is best.
        pairs: Whether examples have a second text.
        labels_from: Where the classes come from, if from a model trained before.
        lacking: Splits to the file of their second part, where that is not there.
        remark: What the user should know about the classes.
    """

    name: str
    splits: Mapping[str, tuple[Split, ...]]
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    pairs: bool = False
    labels_from: str = ""
    lacking: Mapping[str, Path] = field(default_factory=dict)
    remark: str = ""

    def of(self, split: str) -> tuple[Split, ...]:
        """The files of a split; ValueError for none."""
        if split not in self.splits:
            raise ValueError(f"{FLAGS_OF_SPLITS[split]} must name the examples, but is empty.")
        return self.splits[split]


def glue_data(
    task_name: str,
    data_dir: Path,
    language: str = "zh",
    known: KnownTask | None = None,
    training: bool = False,
) -> TextData:
    """A published data set.

    Where a task has a second set to evaluate on (MNLI), it is read if its file is there.

    Args:
        task_name: In any case.
        data_dir: Directory of its files.
        language: Of XNLI.
        known: What the model was trained for, which may order the classes otherwise.
        training: Whether it will be trained now.

    Raises:
        ValueError: If the name is none, or the model has other classes.
    """
    task = find_task(task_name)
    splits: dict[str, tuple[Split, ...]] = {}
    lacking: dict[str, Path] = {}
    for split in FLAGS_OF_SPLITS:
        found = [_published(task, split, data_dir, language)]
        if task.also and split != "train":
            name, part = task.also
            second = _published(GLUE[name], split, data_dir, language, part)
            if second.path.exists():
                found.append(second)
            else:
                lacking[split] = second.path
        splits[split] = tuple(found)
    labels, source, remark = task.labels, "", ""
    if known is not None and labels:
        labels = _published_labels(task_name, labels, known, training)
        source = known.source if labels != task.labels else ""
        if _is_nameless(known) and not training:
            remark = (
                f"The model does not name its classes ({known.source}): they are taken as "
                f"{', '.join(labels)}, in this order. Name them there if the order is another."
            )
    pairs = any(each and each.text_b is not None for each in (task.train, task.dev, task.test))
    return TextData(task_name.lower(), splits, labels, task.metrics, pairs, source, lacking, remark)


def _published(task: GlueTask, split: str, data_dir: Path, language: str, part: str = "") -> Split:
    layout: Layout | None = getattr(task, split)
    path = data_dir / layout.file.format(language=language) if layout else data_dir
    read = functools.partial(read_split, data_dir, layout, language)
    submission = task.submission if split == "test" else None
    return Split(path, read, part, f"{layout}, {language}", submission)


def _published_labels(
    task_name: str, labels: tuple[str, ...], known: KnownTask, training: bool
) -> tuple[str, ...]:
    """The classes of a task in the order of the model; its own spelling of them."""
    spelled = {label.lower(): label for label in labels}
    said = tuple(label.lower() for label in known.labels)
    if len(said) == len(labels) and set(said) == set(spelled):
        return tuple(spelled[label] for label in said)
    # Published numbers are the numbers of the classes, however a model calls them.
    numbered = all(label.isdecimal() for label in labels)
    fits = len(said) == len(labels) and (numbered or _is_nameless(known))
    if not (training or fits):
        raise ValueError(
            f"--task_name={task_name} has the labels {', '.join(labels)}, but the model has "
            f"{', '.join(known.labels) or 'none'} (from {known.source}). Train with --do_train, or "
            "give a model of this task."
        )
    return labels


def _is_nameless(known: KnownTask) -> bool:
    """Whether classes are called by numbers alone, as Hugging Face does with unnamed ones."""
    return bool(known.labels) and all(label.startswith(_NAMELESS) for label in known.labels)


def own_data(
    paths: Mapping[str, Path],
    columns: Columns,
    regression: bool,
    known: KnownTask | None = None,
    training: bool = False,
) -> TextData:
    """A user's tables.

    Args:
        paths: Files of `train`, `dev` and `test`, those that are given.
        columns: Their columns; `test` needs no label.
        regression: Whether labels are numbers.
        known: What the model was trained for, whose classes are kept unless it is trained now on
            others.
        training: Whether it will be trained now.

    Raises:
        ValueError: If there are no classes to be had, or a file does not fit.
    """
    splits = {
        split: (
            Split(
                path,
                functools.partial(read_examples, path, columns, labelled=split != "test"),
                columns=str(columns),
            ),
        )
        for split, path in paths.items()
    }
    labels: tuple[str, ...] = ()
    source = ""
    if not (regression or (known is not None and known.regression and not training)):
        if known is not None and not training:
            labels, source = known.labels, known.source
        elif "train" in paths:
            labels = learn_labels(splits["train"][0].read())
            if known is not None and set(known.labels) == set(labels):
                labels = known.labels
        if not labels:
            raise ValueError(
                "The classes are learned from --train_file, or read from the task.json of a model "
                "trained before in --output_dir or --init_checkpoint, or the id2label of a Hugging "
                "Face folder, but there is none of them."
            )
    names: tuple[str, ...] = ("eval_accuracy", "macro_f1")
    if not labels:
        names = ("pearson", "spearman")
    elif len(labels) == 2:
        names = ("eval_accuracy", "f1", "matthews_correlation")
    pairs = columns.text_b is not None
    return TextData("classifier", splits, labels, names, pairs, source)
