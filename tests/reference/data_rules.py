"""The rules of the 2018 data generation, written plainly: lists of token strings, one step at a
time, every draw where the original has it. The oracle of tests and the peer of the benchmark;
slow on purpose.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

Document = list[list[str]]


class Tokenizer(Protocol):
    """What the rules need of a tokenizer."""

    vocab: dict[str, int]

    def tokenize(self, text: str) -> list[str]: ...


@dataclasses.dataclass
class Rules:
    """The flags of the 2018 script that matter here."""

    max_seq_length: int = 128
    max_predictions_per_seq: int = 20
    random_seed: int = 12345
    dupe_factor: int = 10
    masked_lm_prob: float = 0.15
    short_seq_prob: float = 0.1
    do_whole_word_mask: bool = False


@dataclasses.dataclass
class Example:
    """One training example, before it becomes features."""

    tokens: list[str]
    segments: list[int]
    positions: list[int]
    labels: list[str]
    random_next: bool


def read_documents(paths: Iterable[str], tokenizer: Tokenizer) -> list[Document]:
    """Tokenized sentences; a blank line, but no end of file, starts another document."""
    documents: list[Document] = [[]]
    for path in paths:
        with open(path, "rb") as file:
            lines = file.read().replace(b"\r", b"").split(b"\n")
        for number, raw in enumerate(lines):
            line = raw.decode("utf-8", "ignore").strip()
            if not line:
                # Nothing after the last newline of a file is no line.
                if raw or number < len(lines) - 1:
                    documents.append([])
                continue
            tokens = tokenizer.tokenize(line)
            if tokens:
                documents[-1].append(tokens)
    return [document for document in documents if document]


def make_examples(documents: list[Document], vocab: dict[str, int], rules: Rules) -> list[Example]:
    """All examples in writing order; shuffles `documents`."""
    rng = random.Random(rules.random_seed)
    rng.shuffle(documents)
    words = list(vocab)
    examples = []
    for _ in range(rules.dupe_factor):
        for number in range(len(documents)):
            examples += document_examples(documents, number, words, rules, rng)
    rng.shuffle(examples)
    return examples


def document_examples(
    documents: list[Document], number: int, words: list[str], rules: Rules, rng: random.Random
) -> list[Example]:
    """One pass over one document."""
    document = documents[number]
    room = rules.max_seq_length - 3
    target = rng.randint(2, room) if rng.random() < rules.short_seq_prob else room
    examples = []
    chunk: Document = []
    at = 0
    while at < len(document):
        chunk.append(document[at])
        size = sum(len(sentence) for sentence in chunk)
        if at < len(document) - 1 and size < target:
            at += 1
            continue
        cut = rng.randint(1, len(chunk) - 1) if len(chunk) > 1 else 1
        first = [token for sentence in chunk[:cut] for token in sentence]
        from_elsewhere = len(chunk) == 1 or rng.random() < 0.5
        if from_elsewhere:
            second = other_text(documents, number, target - len(first), rng)
            at -= len(chunk) - cut
        else:
            second = [token for sentence in chunk[cut:] for token in sentence]
        shorten(first, second, room, rng)
        tokens = ["[CLS]", *first, "[SEP]", *second, "[SEP]"]
        segments = [0] * (len(first) + 2) + [1] * (len(second) + 1)
        masked, positions, labels = mask(tokens, words, rules, rng)
        examples.append(Example(masked, segments, positions, labels, from_elsewhere))
        chunk = []
        at += 1
    return examples


def other_text(documents: list[Document], number: int, size: int, rng: random.Random) -> list[str]:
    """Sentences of another document (the same one after ten unlucky draws)."""
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != number:
            break
    start = rng.randint(0, len(documents[other]) - 1)
    text: list[str] = []
    for sentence in documents[other][start:]:
        text += sentence
        if len(text) >= size:
            break
    return text


def shorten(first: list[str], second: list[str], room: int, rng: random.Random) -> None:
    """Drops tokens of the longer list, at a random end, until both fit."""
    while len(first) + len(second) > room:
        longer = first if len(first) > len(second) else second
        longer.pop(0 if rng.random() < 0.5 else -1)


def mask(
    tokens: list[str], words: list[str], rules: Rules, rng: random.Random
) -> tuple[list[str], list[int], list[str]]:
    """The masked tokens, the masked positions in order, and the tokens that stood there."""
    groups: list[list[int]] = []
    for position, token in enumerate(tokens):
        if token in ("[CLS]", "[SEP]"):
            continue
        if rules.do_whole_word_mask and groups and token.startswith("##"):
            groups[-1].append(position)
        else:
            groups.append([position])
    rng.shuffle(groups)
    wanted = min(rules.max_predictions_per_seq, max(1, round(len(tokens) * rules.masked_lm_prob)))
    masked = list(tokens)
    done: dict[int, str] = {}
    for group in groups:
        if len(done) >= wanted:
            break
        if len(done) + len(group) > wanted:
            continue
        for position in group:
            done[position] = tokens[position]
            if rng.random() < 0.8:
                masked[position] = "[MASK]"
            elif rng.random() >= 0.5:
                masked[position] = words[rng.randint(0, len(words) - 1)]
    positions = sorted(done)
    return masked, positions, [done[position] for position in positions]


def features(example: Example, vocab: dict[str, int], rules: Rules) -> dict[str, list[Any]]:
    """The padded features of one example under the names of the record."""
    length, slots = rules.max_seq_length, rules.max_predictions_per_seq

    def padded(values: Iterable[Any], size: int, zero: Any = 0) -> list[Any]:
        values = list(values)
        while len(values) < size:
            values.append(zero)
        return values

    return {
        "input_ids": padded((vocab[token] for token in example.tokens), length),
        "input_mask": padded((1 for _ in example.tokens), length),
        "segment_ids": padded(example.segments, length),
        "masked_lm_positions": padded(example.positions, slots),
        "masked_lm_ids": padded((vocab[token] for token in example.labels), slots),
        "masked_lm_weights": padded((1.0 for _ in example.labels), slots, 0.0),
        "next_sentence_labels": [int(example.random_next)],
    }


def all_features(
    paths: Iterable[str], tokenizer: Tokenizer, rules: Rules
) -> Iterator[dict[str, list[Any]]]:
    """Files to features, in writing order."""
    documents = read_documents(paths, tokenizer)
    for example in make_examples(documents, tokenizer.vocab, rules):
        yield features(example, tokenizer.vocab, rules)
