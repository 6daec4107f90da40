"""Examples of classification from any user's table, by the names of its columns."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bert_tf.inputs.text_files import TextFileError, column_names, read_rows
from bert_tf.tasks.glue import Example


@dataclass(frozen=True)
class Columns:
    """Names of columns; None for those that the table does not have."""

    text_a: str
    text_b: str | None = None
    label: str | None = None
    identifier: str | None = None


def read_examples(path: str | Path, columns: Columns, labelled: bool) -> Iterator[Example]:
    """The examples of a .tsv, .csv or .jsonl file.

    Args:
        path: The file.
        columns: Its columns.
        labelled: Whether every row must have a label; otherwise labels are not read.

    Raises:
        TextFileError: If a column is missing, a label is empty, or there is no row.
    """
    wanted = {
        "--text_a": columns.text_a,
        "--text_b": columns.text_b,
        "--label": columns.label if labelled else None,
        "--id": columns.identifier,
    }
    if labelled and columns.label is None:
        raise ValueError(
            "--label must name the column with the label of each example, but is empty. "
            f"{path} has the columns {', '.join(column_names(path))}."
        )
    count = 0
    for line, row in read_rows(path):
        where = f"{path}, line {line}"
        for flag, name in wanted.items():
            if name is not None and name not in row:
                raise TextFileError(
                    f"{where}: {flag}={name} must be one of its columns, which are "
                    f"{', '.join(row)}."
                )
        label = row[columns.label] if labelled and columns.label else None
        if label == "":
            raise TextFileError(
                f"{where}: the label in column {columns.label} must not be empty. Fill it in, or "
                "remove the row."
            )
        count += 1
        yield Example(
            identifier=row[columns.identifier] if columns.identifier else str(count - 1),
            text_a=row[columns.text_a],
            text_b=row[columns.text_b] if columns.text_b else None,
            label=label,
            where=where,
        )
    if not count:
        raise TextFileError(f"{path} must hold at least one example, but holds none.")


def learn_labels(examples: Iterable[Example]) -> tuple[str, ...]:
    """The labels of training examples, sorted: as numbers where all of them are whole ones.

    Raises:
        ValueError: If there is only one.
    """
    labels = {example.label for example in examples if example.label is not None}
    if len(labels) < 2:
        raise ValueError(
            "A classifier needs examples of at least two labels, but the training file has only "
            f"{', '.join(sorted(labels)) or 'none'}. Add others, or use --regression for numbers."
        )
    if all(label.lstrip("-").isdecimal() for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))


def as_number(example: Example) -> float:
    """The label of a regression; TextFileError where it is no finite number."""
    try:
        value = float(example.label or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TextFileError(
            f"{example.where}: the label of a regression must be a number, but is "
            f"{example.label!r}. Leave out --regression for classes."
        )
    return value
