"""PyTorch and transformers: fine-tuning of a classifier on a task of GLUE.

Runs in its own interpreter, which needs torch and transformers; answers with the logits of the
development set.
"""

import csv
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoTokenizer, BertForSequenceClassification

from benchmarks.peers import torch_training

Example = tuple[str, str | None, str]


def read(path: str, columns: dict[str, Any]) -> list[Example]:
    """(text a, text b or None, label) of every row; columns are numbers, the label a text."""
    a, b, label = columns["text_a"], columns["text_b"], columns["label"]
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = rows[1:] if columns["header"] else rows
    return [(row[a], None if b is None else row[b], row[label]) for row in rows]


def main() -> None:
    """Trains and predicts."""
    order = torch_training.take_order()
    tokenizer = AutoTokenizer.from_pretrained(order["model"])
    labels = order["labels"]
    kind = {} if labels else {"problem_type": "regression"}
    model = BertForSequenceClassification.from_pretrained(
        order["model"], num_labels=len(labels) or 1, **kind
    )

    def batch_of(examples: Sequence[Example]) -> dict[str, Any]:
        first, second, said = zip(*examples, strict=True)
        batch = tokenizer(
            list(first),
            None if second[0] is None else list(second),
            truncation=True,
            max_length=order["length"],
            padding=True,
            return_tensors="pt",
        )
        target = [labels.index(each) for each in said] if labels else [float(each) for each in said]
        return {**batch, "labels": torch.tensor(target)}

    examples = read(order["train"], order["columns"])
    seconds = torch_training.train(model, examples, batch_of, order)
    dev = read(order["dev"], order["columns"])
    logits = [output.logits for _, output in torch_training.predictions(model, dev, batch_of)]
    torch_training.answer(seconds=seconds, logits=torch.cat(logits).tolist())


if __name__ == "__main__":
    main()
