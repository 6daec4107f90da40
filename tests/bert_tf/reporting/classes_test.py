"""The page of a classification: figures, mistakes, bounds."""

import time
import tracemalloc

import numpy as np
import pytest
from sklearn import metrics

from bert_tf.reporting import classes
from bert_tf.reporting.classes import Shown
from bert_tf.reporting.page import Section
from tests.support.page_of import page_of
from tests.support.pages import HOSTILE, RTL, rows_of

LABELS = ("no", "yes", "perhaps")


def made_up(count=300, labels=3, seed=0):
    draw = np.random.default_rng(seed)
    gold = draw.integers(0, labels, count)
    logits = draw.normal(size=[count, labels]) + 1.2 * np.eye(labels)[gold]
    powers = np.exp(logits)
    return gold, powers / powers.sum(axis=1, keepdims=True)


def shown(count):
    return (
        Shown(f"id-{number}", [f"first {number}", f"second {number}"]) for number in range(count)
    )


def page(gold, shares, labels=LABELS, examples=None):
    return page_of(classes.sections(labels, gold, shares, examples or shown(len(gold))))


def test_confusion_matrix_counts_and_shares():
    gold, shares = made_up()
    said = shares.argmax(axis=1)
    rows = rows_of(page(gold, shares), "Rows: right class.")
    for right, name in enumerate(LABELS):
        counts = [int(np.sum((gold == right) & (said == column))) for column in range(3)]
        total = sum(counts)
        expected = [f"{count}{100 * count / total:.1f} %" for count in counts]
        assert rows[name] == [*expected, str(total)]


def test_scores_of_classes_are_sklearns():
    gold, shares = made_up()
    report = metrics.classification_report(
        gold, shares.argmax(axis=1), target_names=LABELS, output_dict=True
    )
    rows = rows_of(page(gold, shares), "Each class")
    for name in LABELS:
        wanted = [f"{100 * report[name][key]:.1f} %" for key in ("precision", "recall", "f1-score")]
        assert rows[name] == [*wanted, str(int(report[name]["support"]))]


def test_calibration_error_is_the_definitions():
    gold, shares = made_up()
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == gold
    error = 0.0
    for low in np.arange(0, 1, 0.1):
        inside = (confidence >= low) & (confidence < low + 0.1)
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].mean())
            error += inside.mean() * gap
    found = classes.calibration(confidence, right)
    assert found.error == pytest.approx(error)
    assert found.counts.sum() == len(gold)
    text = page(gold, shares).texts["calibration"]
    assert f"Expected calibration error: {100 * error:.1f} %" in text


def test_calibration_of_certainty_and_of_nothing():
    sure = classes.calibration(np.ones(4), np.array([True, True, True, False]))
    assert sure.error == pytest.approx(0.25)
    assert sure.counts[-1] == 4
    assert classes.calibration(np.full(3, np.nan), np.zeros(3, bool)).error == 0.0


def test_most_confident_mistakes_come_first_with_their_texts():
    gold, shares = made_up()
    said = shares.argmax(axis=1)
    made = page(gold, shares)
    wrong = [n for n in range(len(gold)) if said[n] != gold[n]]
    wrong.sort(key=lambda n: -shares[n, said[n]])
    assert len(made.items) == len(wrong)
    for item, n in zip(made.items, wrong, strict=True):
        assert f"right: {LABELS[gold[n]]} ({100 * shares[n, gold[n]]:.1f} %)" in item
        assert f"predicted: {LABELS[said[n]]} ({100 * shares[n, said[n]]:.1f} %)" in item
        assert f"id-{n}" in item
        assert item.endswith(f"first {n}second {n}")


def test_controls_know_the_classes_of_the_items():
    gold, shares = made_up()
    made = page(gold, shares)
    items = [values for tag, values in made.elements if tag == "li" and "data-gold" in values]
    options = [values["value"] for tag, values in made.elements if tag == "option"]
    assert {values["data-gold"] for values in items} <= set(options)
    names = [values["name"] for tag, values in made.elements if tag == "select"]
    assert names == ["gold", "said"]
    assert all(f"data-{name}" in items[0] for name in names)
    forms = [values for tag, values in made.elements if tag == "form"]
    assert "hidden" in forms[0], "without JavaScript, controls would do nothing"


def test_no_mistakes():
    made = page(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), ("a", "b"))
    assert "There are none." in made.texts["mistakes"]
    assert not made.items


TEXTS = {
    "hostile": HOSTILE,
    "right to left": RTL,
    "accents": "e\u0301" * 5,
    "flood": "a" + "\u0301" * 10_000,
    "empty": "",
    "long": "word " * 2_000,
    "unbroken": "x" * 10_000,
    "half a pair": "a\ud83d",
    "controls": "\x00\x1b[0m\x85",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_any_text_is_shown_safely(kind):
    text = TEXTS[kind]
    labels = (text + "0", text + "1")
    examples = [Shown(text, [text, text])]
    made = page(np.array([0]), np.array([[0.1, 0.9]]), labels, iter(examples))
    (item,) = made.items
    if len(text) > 1000:
        assert "characters left out" in item
        assert len(made.html) < 40_000 + 20_000 * (kind == "flood")
    if not text:
        assert "(empty)" in item
    if kind in ("hostile", "right to left", "accents"):
        assert item.endswith(text + text)
    assert [tag for tag, _ in made.elements].count("img") == 0


def test_many_mistakes_are_bounded_and_counted():
    gold, shares = made_up(5000)
    wrong = int(np.sum(shares.argmax(axis=1) != gold))
    examples = (Shown(str(n), ["x" * 10_000, "y" * 10_000]) for n in range(5000))
    made = page(gold, shares, examples=examples)
    assert len(made.items) == 200
    assert f"200 of {wrong:,} mistakes; {wrong - 200:,} are left out." in made.texts["mistakes"]
    assert len(made.html) < 600_000


def test_many_classes_are_grouped():
    gold, shares = made_up(4000, 300)
    labels = [f"class {number}" for number in range(300)]
    made = page(gold, shares, labels)
    (matrix,) = [rows for name, rows in made.tables.items() if name.startswith("Rows: right")]
    assert len(matrix) == 1 + classes.MOST_CLASSES + 1
    assert {len(row) for row in matrix} == {classes.MOST_CLASSES + 3}
    assert sum(int(row[-1].replace(",", "")) for row in matrix[1:]) == 4000
    assert "The 20 classes of 300 with the most mistakes" in made.texts["confusion"]
    (table,) = [rows for name, rows in made.tables.items() if name.startswith("Each class")]
    assert len(table) == 1 + classes.MOST_ROWS
    assert "100 of 300 classes; 200 are left out." in made.texts["classes"]


def test_only_right_cells_are_coloured_as_right():
    labels = [f"class {number}" for number in range(30)]
    gold, shares = made_up(1000, 30)
    html = classes.confusion(labels, gold, shares.argmax(axis=1))
    assert html.count('class="heat same"') == classes.MOST_CLASSES
    assert classes.confusion(LABELS, np.arange(3), np.arange(3)).count('class="heat same"') == 3


def test_probabilities_that_are_no_numbers():
    gold = np.array([0, 1, 1])
    shares = np.full([3, 2], np.nan)
    made = page(gold, shares, ("a", "b"))
    assert len(made.items) == 2


def test_texts_that_ran_out_are_said():
    gold, shares = made_up()
    with pytest.raises(ValueError, match="Has the file been changed"):
        classes.sections(LABELS, gold, shares, shown(3))


def test_large_sets_need_little_memory_and_time():
    count = 400_000
    gold, shares = made_up(count)
    shares = shares.astype(np.float32)
    classes.sections(LABELS, gold[:100], shares[:100], shown(100))  # imports what it needs
    tracemalloc.start()
    begin = time.perf_counter()
    sections = classes.sections(LABELS, gold, shares, shown(count))
    seconds, (_, peak) = time.perf_counter() - begin, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sections) == 4
    assert isinstance(sections[0], Section)
    assert peak < 100e6
    assert seconds < 60
