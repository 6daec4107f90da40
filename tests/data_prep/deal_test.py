"""Stretches of the order of writing: the same examples in the same order, however long they are."""

import random

import numpy as np
import pytest

from data_prep import deal
from data_prep.deal import in_stretches
from data_prep.documents import Corpus
from data_prep.drawn import row_layout
from data_prep.examples import written_batches
from data_prep.options import GenerationOptions
from data_prep.rows import ExampleWriter
from data_prep.store import Scratch
from tests.data_prep.drawn_test import TOKENS, drawn_of, random_examples
from tests.data_prep.examples_test import VOCABULARY

LENGTH, MOST = 16, 4
OPTIONS = GenerationOptions(max_seq_length=LENGTH, max_predictions_per_seq=MOST)
IDS = 99


@pytest.fixture(params=[IDS, 2**31 - 1])  # packed into half their bytes, or not
def drawn(request):
    rng = random.Random(3)
    examples = random_examples(rng, 500, LENGTH, MOST)
    order = np.array(rng.sample(range(500), 500), np.uint32)
    return drawn_of(examples, order, OPTIONS, request.param)


def corpus_of(count=TOKENS):
    rng = random.Random(4)
    tokens = np.array([rng.randint(5, 98) for _ in range(count)], np.uint16)
    return Corpus(tokens, np.array([0, count]), np.array([0, 1]))


@pytest.mark.parametrize("memory", [0, deal._MEMORY_BYTES])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rows", [1, 7, 250, 499, 500, 501])
def test_same_rows_in_the_same_order(drawn, rows, threads, memory, tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.deal._MEMORY_BYTES", memory)
    portion = 37 * drawn.rows.strides[0]  # of examples: dealt in many turns
    monkeypatch.setattr("data_prep.deal._PORTION_BYTES", portion)
    corpus = corpus_of()
    expected = ExampleWriter(drawn, corpus, VOCABULARY, OPTIONS).values(drawn.order)
    with Scratch(tmp_path) as scratch:
        stretches = list(in_stretches(drawn, scratch, threads, rows))
    made = [ExampleWriter(s, corpus, VOCABULARY, OPTIONS).values(s.order) for s in stretches]
    assert [len(values) for values in made[:-1]] == [min(rows, 500)] * (len(made) - 1)
    np.testing.assert_array_equal(np.concatenate(made), expected)


def test_how_long_stretches_are():
    row = 8 * row_layout(OPTIONS, IDS).columns
    short, longest = deal._SHORT_STRETCH_BYTES // row, deal.STRETCH_BYTES // row
    assert deal._rows_of_stretch(1000, row) == short
    many = deal._MANY_STRETCHES
    assert deal._rows_of_stretch(2 * many * short, row) == 2 * short
    assert deal._rows_of_stretch(2 * many * longest, row) == longest


@pytest.mark.parametrize("outputs", [1, 3])
def test_outputs_take_turns_across_stretches(drawn, outputs, tmp_path, monkeypatch):
    with Scratch(tmp_path) as scratch:
        job = (drawn, corpus_of(), VOCABULARY, OPTIONS, scratch, outputs)
        whole = [b"".join(parts) for parts in zip(*written(job), strict=True)]
        monkeypatch.setattr("data_prep.deal._rows_of_stretch", lambda *_: 100)
        dealt = written(job)
        assert len(dealt) == 5
        assert [b"".join(parts) for parts in zip(*dealt, strict=True)] == whole


def written(job):
    return [[bytes(frames) for frames, _ in batch] for batch in written_batches(*job, threads=2)]


def test_spans_read_from_the_file_equal_the_map(tmp_path, monkeypatch):
    tokens = np.arange(3000, dtype=np.int32) % 90 + 5
    with Scratch(tmp_path) as scratch:
        on_disk = scratch.array(np.uint16)
        on_disk.append(tokens)
        corpus = Corpus(on_disk.view(), np.array([0, 3000]), np.array([0, 1]), on_disk.fileno())
        starts = np.random.default_rng(1).integers(0, 2900, (40, 2))
        pairs = np.stack(
            [starts[:, 0], starts[:, 0] + 60, starts[:, 1], starts[:, 1] + 99, starts[:, 0] % 2], 1
        )
        mapped = [corpus.tokens[p[a] : p[a + 1]].tolist() for p in pairs for a in (0, 2)]
        assert corpus.tokens_of(pairs) is corpus.tokens
        monkeypatch.setattr("data_prep.documents.MAPPED_BYTES", 0)
        found = corpus.tokens_of(pairs)
        assert len(found) == 40 * (60 + 99)
        assert [found[p[a] : p[a + 1]].tolist() for p in pairs for a in (0, 2)] == mapped
        beyond = np.array([[2990, 3001, 0, 1, 0]])
        with pytest.raises(
            OSError, match=r"Tokens from 2990 on could not be read from the scratch"
        ):
            corpus.tokens_of(beyond)
