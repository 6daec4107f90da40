"""Counts of records, beside the same counts in plain Python; what is said of them."""

import random
from collections import Counter

import numpy as np

from bert_tf.tokenization import FullTokenizer
from data_prep.block_tokens import BlockTokenizer
from data_prep.options import GenerationOptions
from data_prep.statistics import Findings, Statistics
from data_prep.unknown_words import UnknownWords
from tests.support.texts import VOCAB

LENGTH, MOST = 16, 4
OPTIONS = GenerationOptions(max_seq_length=LENGTH, max_predictions_per_seq=MOST)
CLS, SEP, MASK, UNKNOWN = 1, 2, 3, 4


def random_record(rng):
    """Ids as shown, places, labels, whether the next sentence is random, the [SEP]s."""
    size = rng.randint(5, LENGTH)
    separators = {size - 1, *rng.sample(range(2, size - 1), rng.randint(0, 2))}
    ids = [SEP if i in separators else rng.randint(3, 9) for i in range(size)]
    ids[0] = CLS
    words = [i for i in range(1, size) if i not in separators]
    places = sorted(rng.sample(words, rng.randint(0, min(MOST, len(words)))))
    labels = [rng.choice([ids[place], rng.randint(4, 9)]) for place in places]
    for place in places:  # any token may stand in for a word
        ids[place] = rng.choice([ids[place], SEP, CLS])
    return ids, places, labels, rng.randint(0, 1), separators


def row_of(ids, places, labels, is_random, *_):
    def padded(values, length):
        return [*values, *[0] * (length - len(values))]

    one = int(np.float32(1).view(np.int32))
    return [
        *padded(ids, LENGTH), *padded([1] * len(ids), LENGTH), *[0] * LENGTH,
        *padded(places, MOST), *padded(labels, MOST), *padded([one] * len(places), MOST),
        is_random,
    ]  # fmt: skip


def test_counts_are_those_of_plain_python():
    rng = random.Random(1)
    records = [random_record(rng) for _ in range(500)]
    rows = np.array([row_of(*record) for record in records], np.int32)
    parts = []
    for part in (rows[:200], rows[200:]):
        parts.append(Statistics.empty(OPTIONS))
        parts[-1].add_rows(part, MASK, UNKNOWN)
    found = parts[0] + Statistics.from_json(parts[1].to_json())

    lengths = Counter(len(ids) for ids, *_ in records)
    assert found.lengths.tolist() == [lengths[size] for size in range(LENGTH + 1)]
    places = Counter(place for _, places, *_ in records for place in places)
    assert found.positions.tolist() == [places[place] for place in range(LENGTH)]
    asked = Counter(len(places) for _, places, *_ in records)
    assert found.predictions.tolist() == [asked[count] for count in range(MOST + 1)]
    shown = [
        (ids[place], label)
        for ids, places, labels, *_ in records
        for place, label in zip(places, labels, strict=True)
    ]
    before = []
    for ids, places, labels, *_ in records:
        original = dict(enumerate(ids)) | dict(zip(places, labels, strict=True))
        before += original.values()
    masked = sum(now == MASK for now, _ in shown)
    kept = sum(now == label != MASK for now, label in shown)
    assert found.counts.tolist() == [
        sum(record[3] for record in records),
        sum(len(ids) - 1 - len(separators) for ids, *_, separators in records),
        before.count(UNKNOWN),
        masked,
        len(shown) - masked - kept,
        kept,
    ]
    assert (found.records, found.masked) == (500, len(shown))
    assert found.shares["[MASK]"] == masked / len(shown)
    assert found.mean_length == np.mean([len(ids) for ids, *_ in records])


def test_nothing_counted_is_no_division_by_zero():
    empty = Statistics.empty(OPTIONS)
    assert set(empty.shares.values()) == {0.0}
    assert empty.mean_length == 0.0


def test_findings_as_text():
    statistics = Statistics.empty(OPTIONS)
    statistics.add_rows(
        np.array([row_of([1, 5, 3, 2, 4, 2], [2], [7], 1)], np.int32), MASK, UNKNOWN
    )
    words = {"zz": 2, "aa": 2, "mm": 3}
    text = Findings(statistics, words, {"documents": 1, "tokens": 3000}, {}).text()
    assert text.splitlines() == [
        "text          1 documents, 3,000 tokens",
        "pairs         1, random next 100.00 %",
        "length        6.0 tokens on average; 100.00 % have fewer than 16",
        "masked        33.33 % of all tokens: [MASK] 100.00 %, another token 0.00 %, kept 0.00 %",
        "[UNK]         33.33 % of all tokens",
        "unknown words 'mm' 3, 'aa' 2, 'zz' 2 (a sample)",
    ]


def test_findings_without_next_sentences():
    statistics = Statistics.empty(OPTIONS)
    statistics.add_rows(
        np.array([row_of([1, 5, 3, 6, 4, 2], [2], [7], 0)], np.int32), MASK, UNKNOWN
    )
    assert statistics.tokens == 4  # all but [CLS] and [SEP]
    lines = Findings(statistics, {}, {"documents": 1}, {"next_sentence": "none"}).text()
    assert lines.splitlines()[1:3] == [
        "sequences     1",
        "length        6.0 tokens on average; 100.00 % have fewer than 16",
    ]


def test_unknown_words_are_found_in_their_lines():
    tokenizer = FullTokenizer(str(VOCAB))
    compiled = BlockTokenizer(tokenizer)
    words = UnknownWords(tokenizer)
    blocks = [
        "the lamp\nthe Ωμέγα\r of\n\nλ the\n".encode(),
        b"the sea\n",
        "the Ωμέγα Ωμέγα\n\n\nof é".encode() + b"\xff\n",
    ]
    seen = []
    for block in words.taken(blocks):
        seen.append(block)
        words.look(compiled.tokenize(block))
    assert seen == blocks
    assert words.counts == {"ωμεγα": 3, "λ": 1}
    later = UnknownWords(tokenizer, words.counts)
    later.add({"λ": 4})
    assert later.counts == {"ωμεγα": 3, "λ": 5}
