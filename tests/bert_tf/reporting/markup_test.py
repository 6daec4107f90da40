"""Texts of data in HTML: escaped, cleaned, cut."""

import unicodedata

import hypothesis
import pytest
from hypothesis import strategies
from markupsafe import Markup

from bert_tf.reporting import markup
from tests.support.pages import HOSTILE, RTL


def test_hostile_text_is_escaped():
    made = markup.quoted(HOSTILE)
    assert "<script" not in made
    assert "<img" not in made
    assert made.striptags() == HOSTILE
    assert '"' not in made.removeprefix('<bdi class="text">')


def test_directions_end_with_the_text():
    assert markup.quoted(RTL) == f'<bdi class="text">{RTL}</bdi>'
    assert 'dir="auto"' in markup.paragraph(RTL)


@pytest.mark.parametrize("text", ["", " ", "\n\t"])
def test_empty_text_is_said(text):
    assert markup.quoted(text).striptags() == "(empty)"


def test_long_text_is_cut_and_the_rest_counted():
    made = markup.quoted("x" * 10_000)
    assert made.striptags() == "x" * 600 + " [9,400 characters left out]"
    assert markup.quoted("x" * 600).striptags() == "x" * 600


def test_accents_stay_with_their_letters():
    text = "e\u0301" * 400  # the limit falls between a letter and its accent
    shown, missing = markup.cut(text, 599)
    assert (len(shown), missing) == (598, 202)
    assert shown == "e\u0301" * 299
    family = "👨\u200d👩\u200d👧" * 200
    shown, _ = markup.cut(family, 599)
    assert not shown.endswith("\u200d")
    assert not family[len(shown) :].startswith("\u200d")


def test_a_flood_of_accents_is_cut_all_the_same():
    shown, missing = markup.cut("a" + "\u0301" * 10_000, 600)
    assert 580 <= len(shown) <= 600
    assert missing == 10_001 - len(shown)


@hypothesis.given(strategies.text(strategies.characters(), max_size=60), strategies.integers(1, 60))
def test_cut_is_a_beginning_and_counts_the_rest(text, limit):
    shown, missing = markup.cut(text, limit)
    assert text.startswith(shown)
    assert len(shown) <= limit
    assert len(shown) + missing == len(text)
    if missing and len(shown) < limit:
        assert unicodedata.category(text[limit])[0] == "M" or "\u200d" in text


@hypothesis.given(strategies.text(strategies.characters(codec=None), max_size=30))
def test_clean_text_can_be_written_and_keeps_its_places(text):
    made = markup.clean(text)
    made.encode("utf-8")
    assert len(made) == len(text)
    assert not set(made) & {"\x00", "\x1b", "\ud800", "\uffff"}


def test_clean_replaces_what_html_forbids():
    assert markup.clean("a\x00b\ud83dc\x85d\te\n") == "a\ufffdb\ufffdc\ufffdd\te\n"


def test_table_escapes_all_but_markup():
    made = markup.table(["a", "<b>"], [("<i>", "<td>x"), ("r", markup.bar(0.5))], "<c>")
    assert "<i>" not in made
    assert "<td>&lt;td&gt;x</td>" in made
    assert '<td class="bar" style="--share:0.5000"><span>50.0 %</span></td>' in made
    assert 'aria-label="&lt;c&gt;"' in made


def test_bar_stays_within_its_cell():
    assert "--share:1.0000" in markup.bar(1.7)
    assert "--share:0.0000" in markup.bar(-1.0)


def test_pick_reads_no_further_than_it_must():
    taken = []

    def rows():
        for number in range(100):
            taken.append(number)
            yield f"row {number}"

    assert markup.pick(rows(), [7, 2, 5]) == ["row 7", "row 2", "row 5"]
    assert taken[-1] == 7
    assert markup.pick(rows(), []) == []


def test_pick_says_what_is_missing():
    with pytest.raises(ValueError, match=r"there is none for number 9\. Has the file been changed"):
        markup.pick(["a", "b"], [1, 9])


def test_shown_of_says_how_many_are_left_out():
    assert markup.shown_of(3, 3, "mistakes").striptags() == "All 3 mistakes."
    left = markup.shown_of(200, 1234, "mistakes").striptags()
    assert left == "200 of 1,234 mistakes; 1,034 are left out."
    assert isinstance(markup.left_out(0), Markup)
    assert markup.left_out(0) == ""
