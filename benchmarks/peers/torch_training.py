"""PyTorch and transformers: the fine-tuning loop as people write it.

AdamW with linear warm-up and decay, decay of weights but not of biases and norms, clipping at 1.0,
examples mixed anew every epoch, batches padded to their longest; on demand, examples of similar
lengths share batches, as with `group_by_length` of transformers. Modules that use it are started
with an order, a JSON object, on standard input, and answer with a line of JSON.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from benchmarks.peers.hugging_face import decay_groups

WARMUP, CLIP = 0.1, 1.0
PREDICTED_AT_ONCE = 64
STEPS_BETWEEN_WORDS = 50

# Within so many batches, examples are sorted by length.
STRETCH = 50

# Examples to the keyword arguments of the model, with labels in training.
BatchOf = Callable[[Sequence[Any]], Mapping[str, Any]]


def take_order() -> dict[str, Any]:
    """Reads the order; sets threads and seeds by it."""
    order = dict(json.loads(sys.stdin.read()))
    torch.set_num_threads(order["threads"])
    random.seed(order["seed"])
    torch.manual_seed(order["seed"])
    return order


def answer(**values: Any) -> None:
    """Answers the order."""
    print(json.dumps(values))


def optimizer_of(model: Any, rate: float, steps: int) -> tuple[Any, Any]:
    """AdamW and its schedule."""
    optimizer = torch.optim.AdamW(decay_groups(model), lr=rate, eps=1e-6)
    warmup = int(WARMUP * steps)

    def factor(step: int) -> float:
        return step / max(warmup, 1) if step < warmup else max(0.0, 1.0 - step / steps)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def grouped(examples: Sequence[Any], length_of: Callable[[Any], int], size: int) -> list[Any]:
    """The examples in batches of similar lengths, which are mixed; the last may be short."""
    rows = [
        row
        for begin in range(0, len(examples), STRETCH * size)
        for row in sorted(examples[begin : begin + STRETCH * size], key=length_of)
    ]
    whole = len(rows) // size * size
    batches = [rows[begin : begin + size] for begin in range(0, whole, size)]
    random.shuffle(batches)
    return [row for batch in batches for row in batch] + rows[whole:]


def train(
    model: Any,
    examples: Sequence[Any],
    batch_of: BatchOf,
    order: Mapping[str, Any],
    epoch: int = 0,
    length_of: Callable[[Any], int] | None = None,
) -> float:
    """Trains the model; returns the seconds it took.

    Args:
        model: Gives a loss for a batch with labels.
        examples: What there is to train on.
        batch_of: Makes a batch of some of them.
        order: Batch size, rate and epochs.
        epoch: How many examples count as an epoch, if not all.
        length_of: Length of an example, to group them by it.
    """
    size = order["batch_size"]
    steps = int((epoch or len(examples)) / size * order["epochs"])
    optimizer, schedule = optimizer_of(model, order["rate"], steps)
    model.train()
    started = time.perf_counter()
    row: list[Any] = []
    for step in range(steps):
        while len(row) < size:
            row += random.sample(examples, len(examples))
            row = grouped(row, length_of, size) if length_of else row
        loss = model(**batch_of(row[:size])).loss
        del row[:size]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step == 0:  # as on our side, what the first step sets up is left out
            started = time.perf_counter()
        if step % STEPS_BETWEEN_WORDS == 0:
            said = f"step {step}/{steps}, loss {float(loss.detach()):.4f}"
            print(f"PyTorch, seed {order['seed']}: {said}", file=sys.stderr, flush=True)
    return time.perf_counter() - started


def predictions(
    model: Any, examples: Sequence[Any], batch_of: BatchOf
) -> Iterator[tuple[Sequence[Any], Any]]:
    """Batch by batch, examples and what the trained model gives for them."""
    model.eval()
    with torch.no_grad():
        for begin in range(0, len(examples), PREDICTED_AT_ONCE):
            rows = examples[begin : begin + PREDICTED_AT_ONCE]
            yield rows, model(**batch_of(rows))
