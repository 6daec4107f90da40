"""The page of entities: kinds, confusion, sentences."""

import numpy as np
import pytest
from seqeval.metrics import classification_report

from bert_tf.reporting import entities
from bert_tf.reporting.entities import Tagged
from bert_tf.tasks.ner_data import entities_of
from tests.support.page_of import page_of
from tests.support.pages import HOSTILE, RTL, rows_of


def tagged(words, gold, said):
    words = words.split() if isinstance(words, str) else words
    return Tagged(words, frozenset(gold), frozenset(said))


def page(*sentences):
    return page_of(entities.sections(sentences))


def made_up(count=200, seed=0):
    """Random tags, and sentences of their entities."""
    draw = np.random.default_rng(seed)
    names = ["O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG"]
    gold = [list(draw.choice(names, 8)) for _ in range(count)]
    said = [
        [tag if draw.random() < 0.8 else str(draw.choice(names)) for tag in tags] for tags in gold
    ]
    sentences = [
        Tagged(
            [f"w{n}" for n in range(8)],
            *(frozenset((e.kind, e.first, e.last) for e in entities_of(tags)) for tags in pair),
        )
        for pair in zip(gold, said, strict=True)
    ]
    return gold, said, sentences


def test_scores_of_kinds_are_seqevals():
    gold, said, sentences = made_up()
    report = classification_report(gold, said, output_dict=True, zero_division=0)
    rows = rows_of(page(*sentences), "An entity counts")
    for kind, name in {"PER": "PER", "LOC": "LOC", "ORG": "ORG", "micro avg": "all"}.items():
        keys = ("precision", "recall", "f1-score")
        wanted = [f"{100 * report[kind][key]:.1f} %" for key in keys]
        assert rows[name][:4] == [*wanted, str(int(report[kind]["support"]))], kind


def test_confusion_of_kinds():
    made = page(
        tagged("a b c d e f", [("PER", 0, 1)], [("PER", 0, 1)]),
        tagged("a b c d e f", [("PER", 0, 1)], [("LOC", 0, 1)]),
        tagged("a b c d e f", [("PER", 0, 2)], [("PER", 0, 1)]),
        tagged("a b c d e f", [("LOC", 0, 2)], [("LOC", 4, 5)]),
    )
    (table,) = [rows for name, rows in made.tables.items() if name.startswith("Rows: right kind")]
    assert table[0] == ["", "LOC", "PER", "(other words)", "(missed)", "all"]
    counts = {row[0]: [cell.split(".")[0] for cell in row[1:]] for row in table[1:]}
    assert counts["LOC"] == ["00", "00", "00", "1100", "1"]
    assert counts["PER"] == ["133", "133", "133", "00", "3"]
    assert counts["(no entity)"] == ["1100", "00", "00", "00", "1"]
    assert made.html.count('class="heat same"') == 2


def test_sentences_with_most_mistakes_come_first():
    made = page(
        tagged("all is right", [("PER", 0, 1)], [("PER", 0, 1)]),
        tagged("one is wrong", [("PER", 0, 1)], []),
        tagged("two are wrong", [("PER", 0, 1)], [("LOC", 1, 2)]),
        tagged("nothing here", [], []),
    )
    assert [item.split("predicted")[0] for item in made.items] == [
        "righttwoPER are wrong", "rightonePER is wrong", "rightallPER is right"
    ]  # fmt: skip
    assert made.items[0].endswith("predictedtwo areLOC wrong")
    text = made.texts["sentences"]
    assert "All 2 sentences with mistakes." in text
    assert "All 1 sentences without any." in text
    boxes = [value for value in made.attribute("class") if value.startswith("entity")]
    assert boxes == ["entity wrong"] * 3 + ["entity"] * 2
    assert made.attribute("data-state") == ["wrong", "wrong", "right"]


def test_entities_of_many_words_are_one_box():
    made = page(tagged("the New York Times", [("ORG", 1, 4)], [("LOC", 1, 3)]))
    assert made.items == ["rightthe New York TimesORGpredictedthe New YorkLOC Times"]


@pytest.mark.parametrize("text", [HOSTILE.replace(" ", "_"), RTL.split()[0], "e\u0301", "\x00"])
def test_any_text_is_shown_safely(text):
    made = page(tagged([text, text], [(text, 0, 1)], []))
    assert made.items[0].startswith(f"right{text}".replace("\x00", "\ufffd")[:60])
    assert [tag for tag, _ in made.elements].count("img") == 0


def test_long_sentences_are_cut_around_the_mistake():
    words = [f"w{n}" for n in range(10_000)]
    made = page(tagged(words, [("PER", 5000, 5001)], []))
    (item,) = made.items
    assert "[4,985 words left out]w4985 w4986" in item
    assert "w5000PER" in item
    assert "w5084 [4,915 words left out]" in item
    assert len(made.html) < 30_000


def test_an_entity_longer_than_what_is_shown():
    words = ["w"] * 500
    made = page(tagged(words, [("PER", 0, 500)], []))
    assert "[400 words left out]" in made.items[0]
    assert made.items[0].count("w") < 230


def test_an_entity_that_begins_before_what_is_shown():
    words = [f"w{n}" for n in range(300)]
    made = page(tagged(words, [("PER", 100, 200), ("LOC", 210, 211)], [("PER", 100, 200)]))
    assert "w200" in made.items[0]
    assert "[195 words left out]w195 w196 w197 w198 w199PER w200" in made.items[0]


def test_many_sentences_are_bounded():
    wrong = tagged(["x" * 1000] * 5, [("PER", 0, 1)], [])
    right = tagged("fine", [("PER", 0, 1)], [("PER", 0, 1)])
    made = page(*[wrong] * 3000, *[right] * 3000)
    assert len(made.items) == 220
    assert "200 of 3,000 sentences with mistakes; 2,800 are left out." in made.texts["sentences"]
    assert len(made.html) < 600_000


def test_many_kinds_are_bounded():
    made = page(*[tagged("a", [(f"K{n:02}", 0, 1)], []) for n in range(50)])
    (table,) = [rows for name, rows in made.tables.items() if name.startswith("Rows: right kind")]
    assert len(table) == 1 + 20 + 1
    assert "20 of 50 kinds; 30 are left out." in made.texts["confusion"]
