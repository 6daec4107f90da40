"""PyTorch and transformers: fine-tuning on SQuAD 1.1, with the features of fast tokenizers.

Runs in its own interpreter, which needs torch and transformers; answers with the predicted text of
every question.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from benchmarks.peers import torch_training

INPUTS = ("input_ids", "token_type_ids", "attention_mask")
SPECIALS = 3  # [CLS] question [SEP] context [SEP]
CONTEXT = 1  # number of the context among the two sequences of a window


@dataclass(frozen=True)
class Window:
    """A part of a context with its question.

    Attributes:
        question: The question of the file, as it stands there.
        context: The whole context.
        inputs: Lists of ids for the model.
        places: Characters of each token in the context; None for tokens that are not of it.
    """

    question: Mapping[str, Any]
    context: str
    inputs: dict[str, list[int]]
    places: list[tuple[int, int] | None]


def windows(path: str, tokenizer: Any, order: Mapping[str, Any]) -> Iterator[Window]:
    """All windows of a file's questions, in order."""
    with open(path, encoding="utf-8") as file:
        articles = json.load(file)["data"]
    for paragraph in (each for article in articles for each in article["paragraphs"]):
        for question in paragraph["qas"]:
            yield from _windows(question, paragraph["context"], tokenizer, order)


def _windows(
    question: Mapping[str, Any], context: str, tokenizer: Any, order: Mapping[str, Any]
) -> Iterator[Window]:
    text, most = question["question"].strip(), order["max_query_length"]
    asked = tokenizer(text, add_special_tokens=False)
    count = len(asked["input_ids"])
    if count > most:
        text, count = text[: asked.token_to_chars(most - 1).end], most
    room = order["length"] - SPECIALS - count
    encoded = tokenizer(
        text,
        context,
        truncation="only_second",
        max_length=order["length"],
        # Of the tokenizer, a stride is what two windows share; in 2018, it was a step.
        stride=max(room - order["doc_stride"], 0),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    for number, offsets in enumerate(encoded["offset_mapping"]):
        sequences = encoded.sequence_ids(number)
        yield Window(
            question,
            context,
            {name: encoded[name][number] for name in INPUTS},
            [
                tuple(place) if sequence == CONTEXT else None
                for place, sequence in zip(offsets, sequences, strict=True)
            ],
        )


def answer_tokens(window: Window) -> tuple[int, int]:
    """First and last token of the answer; both 0, [CLS], where it is not all in the window."""
    answer = window.question["answers"][0]
    begin = answer["answer_start"]
    end = begin + len(answer["text"])
    inside = [
        number
        for number, place in enumerate(window.places)
        if place and place[0] < end and place[1] > begin
    ]
    shown = [place for place in window.places if place]
    if not inside or shown[0][0] > begin or shown[-1][1] < end:
        return 0, 0
    return inside[0], inside[-1]


def best_text(
    candidates: Iterable[tuple[Window, np.ndarray, np.ndarray]], order: Mapping[str, Any]
) -> str:
    """The text with the highest sum of logits among the n best starts and ends of each window."""
    best, text = -np.inf, ""
    for window, start_logits, end_logits in candidates:
        starts, ends = (
            np.argsort(logits)[: -order["n_best"] - 1 : -1] for logits in (start_logits, end_logits)
        )
        for start in starts:
            for end in ends:
                score = start_logits[start] + end_logits[end]
                fits = start <= end < start + order["max_answer_length"]
                if not fits or score <= best:
                    continue
                first, last = window.places[start], window.places[end]
                if first and last:
                    best, text = score, window.context[first[0] : last[1]]
    return text


def main() -> None:
    """Trains and predicts."""
    order = torch_training.take_order()
    tokenizer = AutoTokenizer.from_pretrained(order["model"])
    model = AutoModelForQuestionAnswering.from_pretrained(order["model"])

    def padded(rows: Sequence[Window]) -> dict[str, Any]:
        return dict(tokenizer.pad([row.inputs for row in rows], return_tensors="pt"))

    def with_answers(rows: Sequence[Window]) -> dict[str, Any]:
        starts, ends = zip(*map(answer_tokens, rows), strict=True)
        positions = {"start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}
        return {**padded(rows), **positions}

    train = list(windows(order["train"], tokenizer, order))
    questions = len({window.question["id"] for window in train})
    seconds = torch_training.train(
        model, train, with_answers, order, questions, lambda window: len(window.places)
    )

    dev = list(windows(order["dev"], tokenizer, order))
    by_question = defaultdict(list)
    for rows, output in torch_training.predictions(model, dev, padded):
        logits = output.start_logits.numpy(), output.end_logits.numpy()
        for window, start, end in zip(rows, *logits, strict=True):
            by_question[window.question["id"]].append((window, start, end))
    predictions = {name: best_text(each, order) for name, each in by_question.items()}
    torch_training.answer(seconds=seconds, predictions=predictions)


if __name__ == "__main__":
    main()
