"""The page around the sections."""

import pytest
from markupsafe import Markup

from bert_tf.reporting.page import Section, number_text
from tests.support.page_of import page_of
from tests.support.pages import HOSTILE, rows_of


def test_page_says_what_was_run():
    made = page_of(
        [Section("one", "One", Markup("<p>body</p>"))],
        model="BERT, 6 layers",
        command="python -m bert_tf.run_x --report",
        scores={"f1": 0.81234, "eval_accuracy": 0.5, "total": 11873.0, "nan": float("nan")},
        settings={"Task": {"labels": ["a", "b"]}},
    )
    text = made.texts[""]
    for wanted in ("BERT, 6 layers", "data.tsv", "python -m bert_tf.run_x --report", "today"):
        assert wanted in text
    for wanted in ("0.8123f1", "0.5eval_accuracy", "11,873total", "nannan"):
        assert wanted in text
    assert rows_of(made, "Task") == {"labels": ["['a', 'b']"]}
    assert made.texts["one"] == "Onebody"
    assert [value for value in made.attribute("href") if value.startswith("#")] == [
        "#one", "#settings"
    ]  # fmt: skip
    assert made.attribute("class").count("chief") == 1


def test_everything_of_the_run_is_escaped():
    made = page_of(
        [], model=HOSTILE, command=HOSTILE, made=HOSTILE, scores={HOSTILE: 1.0},
        settings={"Task": {HOSTILE: HOSTILE}},
    )  # fmt: skip
    assert made.texts[""].count(HOSTILE) == 6
    assert [tag for tag, _ in made.elements].count("img") == 0


def test_page_is_light_and_dark_and_fits_a_phone():
    made = page_of([])
    assert "prefers-color-scheme: dark" in made.style
    assert "max-width: 34rem" in made.style
    assert "width=device-width, initial-scale=1" in made.attribute("content")
    light, dark = made.style.split("prefers-color-scheme: dark")

    def colours(text):
        return {line.split(":")[0].strip() for line in text.split(";") if ": #" in line}

    assert colours(light.split("{")[1]) - {"color-scheme"} <= colours(dark) | colours(
        dark.split("{")[2]
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (1.0, "1"), (0.81234, "0.8123"), (88.5, "88.5"), (11873.0, "11,873"),
        (100.0, "100"), (-3.0, "-3"), (1e-9, "1e-09"), (float("inf"), "inf"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert number_text(value) == text
