"""Texts as input sequences: every token of every long text is in some window."""

import numpy as np
import pytest

from bert_tf.inputs.features import pack
from bert_tf.inputs.packing import TextPacker
from bert_tf.inputs.windows import max_context, mean_of_windows, rooms_of, side_by_side, spans_of
from bert_tf.tokenization import FullTokenizer
from tests.support import small

LONG = "the sea is cold and bread is warm in winter on the old road to the harbour " * 3
LENGTH = 20


def packer(stride=0, length=LENGTH):
    return TextPacker(FullTokenizer(small.VOCAB), length, stride)


def shown(rows, which, texts):
    """The tokens of a text that the windows of each second text show, by their places."""
    tokenizer = FullTokenizer(small.VOCAB)
    ids = tokenizer.encode(texts[which])
    seen = {}
    for row in rows:
        window = row[max(which - 1, 0)]
        first, size = window.spans[min(which, 1)]
        at = 1 if which == 0 else window.spans[0][1] + 2
        for place in range(size):
            seen[first + place] = window.packed.input_ids[at + place]
    return [seen[place] for place in sorted(seen)] == ids


@pytest.mark.parametrize("seconds", [["sea"], [LONG], ["sea", LONG, "bread is"], ["", "sea " * 40]])
@pytest.mark.parametrize("text", ["sea", LONG, "bread " * 19])
@pytest.mark.parametrize("stride", [1, 5, 19])
def test_every_token_of_every_text_is_shown(text, seconds, stride):
    made = packer(stride)
    rows = made.windows(text, seconds)
    assert all(len(row) == len(seconds) for row in rows)
    for which in range(len(seconds) + 1):
        assert shown(rows, which, [text, *seconds])
    for row in rows:
        assert all(window.packed.length <= LENGTH for window in row)
        assert len({window.spans[0] for window in row}) == 1, "all see the same part of the text"


def test_a_single_text():
    made = packer(8)
    rows = made.windows(LONG)
    assert len(rows) > 3
    assert shown(rows, 0, [LONG])
    assert len(made.windows("the sea")) == 1
    assert made.report() == (
        "1 of 2 examples are longer than --max_seq_length = 20 and were read in several windows."
    )


@pytest.mark.parametrize("second", [None, "bread " * 30, "sea"])
def test_without_windows_texts_are_cut_as_the_original_cuts(second):
    made, tokenizer = packer(), FullTokenizer(small.VOCAB)
    ((window,),) = made.windows(LONG, [second])
    vocab = tokenizer.vocab
    expected = pack(
        tokenizer.encode(LONG),
        None if second is None else tokenizer.encode(second),
        max_seq_length=LENGTH,
        cls_id=vocab["[CLS]"],
        sep_id=vocab["[SEP]"],
    )
    assert window.packed == expected
    assert "1 of 1 examples are longer than --max_seq_length = 20 and were cut" in made.report()


def test_rooms():
    assert rooms_of(100, 3, 17) == (14, 3)
    assert rooms_of(3, 100, 17) == (3, 14)
    assert rooms_of(100, 100, 17) == (9, 8)
    with pytest.raises(ValueError, match="a token of each, but there is room for 1"):
        rooms_of(5, 5, 1)
    with pytest.raises(ValueError, match="Give a longer --max_seq_length"):
        packer(1, length=4).windows("the sea", ["is cold"])


def test_texts_go_side_by_side():
    plan = side_by_side([10, 4], [4, 4], 2)
    assert [own for own, _ in plan] == spans_of(10, 4, 2)
    assert [other for _, other in plan] == [(0, 4)] * len(plan)
    assert len(side_by_side([10, 30], [4, 4], 2)) == len(spans_of(30, 4, 2))


def test_means_of_windows():
    rows = np.array([[1.0, 2.0], [3.0, 4.0], [10.0, 20.0]])
    owners = np.array([5, 5, 6])
    np.testing.assert_allclose(mean_of_windows(rows, owners), [[2.0, 3.0], [10.0, 20.0]])
    weighted = mean_of_windows(rows, owners, np.array([3.0, 1.0, 7.0]))
    np.testing.assert_allclose(weighted, [[1.5, 2.5], [10.0, 20.0]])
    np.testing.assert_allclose(mean_of_windows(rows[:, 0], owners), [2.0, 10.0])


def test_each_token_has_its_best_context_once():
    spans = spans_of(50, 12, 5)
    best = max_context(spans)
    assert sum(int(each.sum()) for each in best) == 50 < sum(len(each) for each in best)
