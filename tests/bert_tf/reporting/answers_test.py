"""The page of answers: highlighting, groups, thresholds, mistakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf.reporting import answers
from bert_tf.reporting.answers import Answered, ShownAnswer, highlighted
from bert_tf.reporting.page import Section
from bert_tf.tasks import squad_scores
from tests.support.page_of import page_of
from tests.support.pages import HOSTILE, RTL, rows_of

CONTEXT = "The lighthouse was built in 1874, by the sea."


def span(text, context=CONTEXT):
    start = context.index(text)
    return start, start + len(text)


@pytest.mark.parametrize(
    ("gold", "said", "expected"),
    [
        ([], None, CONTEXT),
        (["1874"], None, 'in <mark class="gold">1874</mark>, by'),
        (["1874"], "1874", 'in <mark class="both">1874</mark>, by'),
        (
            ["built in 1874"],
            "in 1874, by",
            '<mark class="gold">built </mark><mark class="both">in 1874</mark>'
            '<mark class="said">, by</mark> the',
        ),
        (
            ["built in 1874"],
            "in",
            '<mark class="gold">built </mark><mark class="both">in</mark>'
            '<mark class="gold"> 1874</mark>',
        ),
        (
            ["built in", "in 1874"],
            "sea",
            '<mark class="gold">built </mark><mark class="gold">in</mark>'
            '<mark class="gold"> 1874</mark>, by the <mark class="said">sea</mark>.',
        ),
    ],
)
def test_spans_are_marked_where_they_stand(gold, said, expected):
    made = highlighted(CONTEXT, [span(each) for each in gold], said and span(said))
    assert expected in made
    assert made.striptags() == CONTEXT


@given(st.data())
def test_marks_never_change_the_text(data):
    text = data.draw(st.text("ab<>&\u05d0\u0301 ", min_size=1, max_size=40))
    places = st.integers(0, len(text))
    spans = st.tuples(places, places).map(sorted).map(tuple)
    gold, said = data.draw(st.lists(spans, max_size=3)), data.draw(st.none() | spans)
    made = highlighted(text, gold, said)
    page = page_of([Section("x", "X", made)])
    assert page.texts["x"] == "X" + text
    marked = {place for start, end in [*gold, *([said] if said else [])]
              for place in range(start, end)}  # fmt: skip
    assert (not page.marks()) == (not marked)


def test_long_contexts_keep_what_is_around_the_answers():
    context = "a" * 5000 + "GOLD" + "b" * 6000 + "SAID" + "c" * 5000
    made = highlighted(context, [span("GOLD", context)], span("SAID", context)).striptags()
    assert made.startswith("[4,700 characters left out]aaa")
    assert "aGOLDb" in made
    assert "b [5,400 characters left out]b" in made
    assert "bSAIDc" in made
    assert made.endswith("c [4,700 characters left out]")
    near = "a" * 5000 + "GOLD and SAID" + "c" * 5000
    made = highlighted(near, [span("GOLD", near)], span("SAID", near)).striptags()
    assert made.count("left out") == 2
    alone = highlighted("x" * 10_000, [], None).striptags()
    assert alone.endswith("[9,100 characters left out]")
    giant = highlighted("x" * 10_000, [(10, 9000)], None).striptags()
    assert giant.endswith("[9,090 characters left out]")


def example(question="When was it built?", gold=("1874",), said="1874", **changes):
    gold = tuple(gold)
    exact = max((squad_scores.exact(each, said) for each in gold), default=float(not said))
    f1 = max((squad_scores.f1(each, said) for each in gold), default=float(not said))
    return Answered(question, gold, said, exact, f1, **{"probability": 0.5, **changes})


def show(number):
    return ShownAnswer(f"id-{number}", CONTEXT, [span("1874")], span("sea"))


def page(rows, threshold=None, shown=show):
    return page_of(answers.sections(rows, shown, threshold))


def test_scores_by_question_word_and_length():
    made = page([
        example(),
        example("When?", ["the whole long and very white lighthouse"], "white lighthouse"),
        example("How many are there?", ["12"], "13"),
        example("Of whom, and why?", ["him"], "him"),
        example("Tell me", ["a b c"], "b c"),
    ])  # fmt: skip
    words = rows_of(made, "Scores by question word")
    assert words["when"] == ["50.0 %", "75.0 %", "2"]  # (1 + 2 * 2 / (2 + 6)) / 2
    assert words["how many"] == ["0.0 %", "0.0 %", "1"]
    assert words["whom"] == ["100.0 %", "100.0 %", "1"]
    assert set(words) == {"when", "how many", "whom", "other"}
    lengths = rows_of(made, "Scores by words of the answer")
    assert {name: row[-1] for name, row in lengths.items()} == {"1": "3", "3": "1", "6 to 10": "1"}


def test_other_languages_have_no_question_words():
    made = page([example("Wann wurde er gebaut?")])
    assert "words" not in made.texts
    assert rows_of(made, "Scores by words of the answer")["1"][-1] == "1"


def test_mistakes_come_with_their_contexts():
    made = page([
        example(),
        example(said="in 1874", probability=0.9),
        example(said="sea", probability=0.2),
        example(said="by", probability=0.8),
    ])  # fmt: skip
    assert [item.split("id-")[1][0] for item in made.items] == ["3", "2", "1"]
    assert "right: 1874predicted: seaF1 0.00probability 0.20" in made.items[1]
    assert CONTEXT in made.items[0]
    assert "null odds" not in made.texts["mistakes"]
    assert "3 questions without exact match" in made.texts["mistakes"]
    assert made.marks().count("gold") == 1 + 3  # one in the legend
    assert "select" not in [tag for tag, _ in made.elements], "all are of one class"


def version_2(count=200, seed=1):
    draw = np.random.default_rng(seed)
    rows, gold, best, odds = [], {}, {}, {}
    for n in range(count):
        name = f"q{n}"
        gold[name] = ("1874",) if draw.random() < 0.6 else ()
        best[name] = str(draw.choice(["1874", "in 1874", "sea"]))
        odds[name] = float(np.round(draw.normal(-1 if gold[name] else 1, 2), 1))  # with equals
        said = "" if odds[name] > 0.5 else best[name]
        exact, f1 = squad_scores.of_questions(
            {name: gold[name]}, {name: best[name]}, version_2=True
        )[name]
        row = example(gold=gold[name], said=said, null_odds=odds[name],
                      without_threshold=(exact, f1))  # fmt: skip
        rows.append(row)
    return rows, gold, best, odds


def test_threshold_curve_is_the_scores_at_every_threshold():
    rows, gold, best, odds = version_2()
    thresholds, exact, f1 = answers.threshold_curve(rows)
    assert len(thresholds) == len(set(odds.values())) + 1
    for at, exact_here, f1_here in zip(thresholds, exact, f1, strict=True):
        chosen = {name: "" if odds[name] > at else text for name, text in best.items()}
        scores = squad_scores.version_2(gold, chosen)
        assert exact_here == pytest.approx(scores["exact"])
        assert f1_here == pytest.approx(scores["f1"])


def test_version_2_shows_kinds_thresholds_and_odds():
    rows, gold, _, _ = version_2()
    made = page(rows, threshold=0.5)
    kinds = rows_of(made, "Scores by question")
    without = [row for row in rows if not row.gold]
    assert kinds["has none"][-1] == str(len(without))
    share = 100 * np.mean([row.exact for row in without])
    assert kinds["has none"][0] == f"{share:.1f} %"
    assert kinds["all"][-1] == str(len(gold))
    _, exact, _ = answers.threshold_curve(rows)
    best = rows_of(made, "Best thresholds")
    assert float(best["exact match"][0]) == pytest.approx(exact.max(), rel=1e-3)
    assert "null odds" in made.items[0]
    assert "this run" in made.texts["threshold"]
    assert set(made.attribute("data-kind")) == {
        "no answer given", "has no answer", "another answer"
    }  # fmt: skip


def test_mistakes_without_answer_say_none():
    made = page([example(gold=(), said="sea"), example(said="")], 0.0)
    text = made.texts["mistakes"]
    assert "right: nonepredicted: sea" in text
    assert "right: 1874predicted: none" in text


@pytest.mark.parametrize("text", [HOSTILE, RTL, "x" * 10_000, "e\u0301" * 300])
def test_any_text_is_shown_safely(text):
    rows = [example(text, [text], "sea " + text)]
    context = f"{text} and {text}"

    def shown(_):
        return ShownAnswer(text, context, [(0, len(text))], (len(text) + 5, len(context)))

    made = page(rows, shown=shown)
    (item,) = made.items
    if len(context) < answers.LONGEST_CONTEXT:
        assert item.endswith(context)
    else:
        assert "characters left out" in item
    assert [tag for tag, _ in made.elements].count("img") == 0


def test_many_mistakes_are_bounded():
    rows = [example(said="sea")] * 10_000
    asked = []

    def shown(number):
        asked.append(number)
        return ShownAnswer("q", "x" * 10_000, [(5000, 5004)], None)

    made = page(rows, shown=shown)
    assert len(asked) == len(made.items) == 200
    assert (
        "200 of 10,000 questions without exact match; 9,800 are left out."
        in (made.texts["mistakes"])
    )
    assert len(made.html) < 600_000
