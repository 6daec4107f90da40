"""PyTorch and transformers: fine-tuning of a tagger, sentence by sentence.

A word is tagged at its first piece. Runs in its own interpreter, which needs torch and
transformers; answers with the tags of the development set's words.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from benchmarks.peers import torch_training
from benchmarks.peers.hugging_face import IGNORED

Example = tuple[Sequence[str], Sequence[str]]  # words and tags


def first_pieces(encoded: Any, number: int) -> Iterator[tuple[int, int]]:
    """(place, word) of the words' first pieces in a sentence of a batch."""
    before = None
    for place, word in enumerate(encoded.word_ids(number)):
        if word is not None and word != before:
            yield place, word
        before = word


def main() -> None:
    """Trains and predicts."""
    order = torch_training.take_order()
    tokenizer = AutoTokenizer.from_pretrained(order["model"])
    tags = order["tags"]
    model = AutoModelForTokenClassification.from_pretrained(order["model"], num_labels=len(tags))

    def encode(examples: Sequence[Example]) -> Any:
        return tokenizer(
            [words for words, _ in examples],
            is_split_into_words=True,
            truncation=True,
            max_length=order["length"],
            padding=True,
            return_tensors="pt",
        )

    def batch_of(examples: Sequence[Example]) -> dict[str, Any]:
        encoded = encode(examples)
        labels = torch.full_like(encoded["input_ids"], IGNORED)
        for number, (_, said) in enumerate(examples):
            for place, word in first_pieces(encoded, number):
                labels[number, place] = tags.index(said[word])
        return {**encoded, "labels": labels}

    seconds = torch_training.train(model, order["train"], batch_of, order)
    predicted = []
    for examples, output in torch_training.predictions(model, order["dev"], batch_of):
        encoded, best = encode(examples), output.logits.argmax(-1).tolist()
        for number, (words, _) in enumerate(examples):
            said = ["O"] * len(words)  # of words beyond the length, too
            for place, word in first_pieces(encoded, number):
                said[word] = tags[best[number][place]]
            predicted.append(said)
    torch_training.answer(seconds=seconds, tags=predicted)


if __name__ == "__main__":
    main()
