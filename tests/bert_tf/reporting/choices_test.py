"""The page of multiple choice."""

import numpy as np

from bert_tf.reporting import choices
from bert_tf.reporting.choices import ShownQuestion
from tests.support.page_of import page_of
from tests.support.pages import HOSTILE, rows_of

GOLD = np.array([0, 0, 1, 2])
SHARES = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]])


def page(gold=GOLD, shares=SHARES, text="choice", count=3):
    shown = (
        ShownQuestion(f"id-{n}", f"context {n}", [f"{text} {c}" for c in range(count)])
        for n in range(len(gold))
    )
    return page_of(choices.sections(gold, shares, shown))


def test_accuracy_by_place():
    rows = rows_of(page(), "By the place")
    assert rows == {
        "1": ["50.0 %", "2", "2"], "2": ["100.0 %", "1", "2"], "3": ["0.0 %", "1", "0"]
    }  # fmt: skip
    never = rows_of(page(np.array([0, 0, 0, 0])), "By the place")
    assert never["3"] == ["none", "0", "0"]


def test_confusion_of_places():
    rows = rows_of(page(), "Rows: right class.")
    assert rows["1"] == ["150.0 %", "150.0 %", "00.0 %", "2"]


def test_mistakes_show_all_choices():
    made = page(text=HOSTILE)
    assert len(made.items) == 2
    first, second = made.items
    assert "right: 1 (20.0 %)predicted: 2 (70.0 %) id-1" in first
    assert f"{HOSTILE} 0 20.0 %, right" in first
    assert f"{HOSTILE} 1 70.0 %, predicted" in first
    assert f"{HOSTILE} 2 10.0 %" in first
    assert "context 3" in second


def test_many_choices_are_bounded():
    shares = np.full([1, 100], 0.001)
    shares[0, 50] = 0.9
    made = page(np.array([99]), shares, "x" * 10_000, 100)
    assert "[88 choices left out]" in made.items[0]
    assert "90.0 %, predicted" in made.items[0]
    assert "0.1 %, right" in made.items[0]
    assert len(made.html) < 150_000
