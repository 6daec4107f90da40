"""PyTorch and transformers: fine-tuning of a classifier on a task of GLUE, as people write it.

AdamW with linear warm-up and decay, decay of weights but not of biases and norms, clipping at 1.0,
batches padded to their longest. Runs in its own interpreter, which needs torch, transformers and
nothing of this project; prints one JSON line with the predictions on the development set.
"""

import argparse
import csv
import json
import random
import sys
import time
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer, BertForSequenceClassification

WARMUP, WEIGHT_DECAY, CLIP = 0.1, 0.01, 1.0
Example = tuple[str, str | None, str]


def read(path: str, columns: dict[str, Any]) -> list[Example]:
    """(text a, text b or None, label) of every row; columns are numbers, the label a text."""
    a, b, label = columns["text_a"], columns["text_b"], columns["label"]
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    rows = rows[1:] if columns["header"] else rows
    return [(row[a], None if b is None else row[b], row[label]) for row in rows]


def encode(
    tokenizer: Any, examples: list[Example], labels: list[str], length: int
) -> tuple[dict[str, Any], Any]:
    """One padded batch."""
    first = [example[0] for example in examples]
    second = None if examples[0][1] is None else [example[1] for example in examples]
    batch = tokenizer(
        first, second, truncation=True, max_length=length, padding=True, return_tensors="pt"
    )
    if labels:
        target = torch.tensor([labels.index(example[2]) for example in examples])
    else:
        target = torch.tensor([float(example[2]) for example in examples])
    return dict(batch), target


def optimizer_of(model: Any, rate: float, steps: int) -> tuple[Any, Any]:
    """AdamW and its schedule."""
    plain = ("bias", "LayerNorm.weight")
    named = list(model.named_parameters())
    groups = [
        {"params": [p for n, p in named if not n.endswith(plain)], "weight_decay": WEIGHT_DECAY},
        {"params": [p for n, p in named if n.endswith(plain)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, eps=1e-6)
    warmup = int(WARMUP * steps)

    def factor(step: int) -> float:
        return step / max(warmup, 1) if step < warmup else max(0.0, 1.0 - step / steps)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def main() -> None:
    """Trains and predicts."""
    task = json.loads(sys.stdin.read())
    torch.set_num_threads(task["threads"])
    random.seed(task["seed"])
    torch.manual_seed(task["seed"])
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    labels = task["labels"]
    kind = {} if labels else {"problem_type": "regression"}
    model = BertForSequenceClassification.from_pretrained(
        task["model"], num_labels=len(labels) or 1, **kind
    )
    train, dev = read(task["train"], task["columns"]), read(task["dev"], task["columns"])
    size, length = task["batch_size"], task["length"]
    steps = int(len(train) / size * task["epochs"])
    optimizer, schedule = optimizer_of(model, task["rate"], steps)
    model.train()
    started = time.perf_counter()
    row: list[Example] = []
    for step in range(steps):
        while len(row) < size:
            row += random.sample(train, len(train))
        batch, target = encode(tokenizer, row[:size], labels, length)
        del row[:size]
        loss = model(**batch, labels=target).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 50 == 0:
            print(f"torch seed {task['seed']}: step {step}/{steps}", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - started
    model.eval()
    outputs = []
    with torch.no_grad():
        for begin in range(0, len(dev), 64):
            batch, _ = encode(tokenizer, dev[begin : begin + 64], labels, length)
            outputs.append(model(**batch).logits.numpy())
    print(json.dumps({"seconds": seconds, "logits": np.concatenate(outputs).tolist()}))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    main()
