"""Charts: points where they belong, the page's colours, nothing of elsewhere."""

import re

import numpy as np
import pytest

from bert_tf.reporting import charts
from bert_tf.reporting.page import Section
from tests.support.page_of import page_of

TITLES = ("step", "loss")


def draw(name, kind="lines"):
    values = np.linspace(0.0, 1.0, 11)
    if kind == "lines":
        series = {"batch": (values, values**2), "mean": (values, values)}
        return charts.lines(name, "How <it> went.", series, TITLES, {"here": 0.4})
    if kind == "scatter":
        return charts.scatter(name, "Points.", values, values**2, ("right", "predicted"))
    if kind == "histogram":
        return charts.histogram(name, "Bars.", values, ("value", "examples"))
    return charts.reliability(name, "Curve.", values, values, np.full(10, 0.1))


KINDS = ("lines", "scatter", "histogram", "reliability")


@pytest.mark.parametrize("kind", KINDS)
def test_chart_is_part_of_a_page(kind):
    made = draw("first", kind)
    page = page_of([Section("charts", "Charts", made + draw("second", kind))])
    svg = made[made.index("<svg") :]
    assert not re.search(r"#[0-9a-f]{6}\b", svg), "a colour that the page does not know"
    assert "var(--ink)" in svg
    assert "http" not in svg
    assert "<style" not in svg
    assert "viewBox" in svg
    assert 'width="' not in svg[: svg.index(">")]
    drawings = [values for tag, values in page.elements if tag == "svg"]
    assert len(drawings) == 2
    assert all(re.match(r"How <it> went\.|\w+\.", each["aria-label"]) for each in drawings)


def test_axes_and_legend_are_texts():
    text = draw("first").striptags()
    for wanted in ("step", "loss", "batch", "mean", "here", "How <it> went."):
        assert wanted in text


def test_same_chart_twice_is_the_same():
    assert draw("first") == draw("first")


def points_of(svg):
    """Places of the circles, in the drawing's units."""
    found = re.findall(r'<use href="#[\w-]+" x="([\d.]+)" y="([\d.]+)"', svg)
    return np.array(found, np.float64)


def test_points_lie_where_they_belong():
    x = np.array([0.0, 1.0, 2.0, 4.0])
    made = charts.scatter("s", "Points.", x, 4.0 - x, ("right", "predicted"))
    group = max(re.findall(r"<g [^>]*clip-path[^>]*>(.*?)</g>", made, re.DOTALL), key=len)
    places = points_of(group)
    assert len(places) == 4
    steps = np.diff(places, axis=0)
    np.testing.assert_allclose(steps[:, 0] / steps[0, 0], [1.0, 1.0, 2.0], rtol=1e-3)
    np.testing.assert_allclose(steps[:, 1] / steps[0, 1], [1.0, 1.0, 2.0], rtol=1e-3)
    assert steps[0, 0] > 0
    assert steps[0, 1] > 0, "y grows downwards in a drawing"


def test_many_points_are_thinned_evenly():
    assert list(charts.thinned(5)) == [0, 1, 2, 3, 4]
    kept = charts.thinned(1_000_000)
    assert len(kept) == 1500
    assert (kept[0], kept[-1]) == (0, 999_999)
    assert np.diff(kept).max() - np.diff(kept).min() <= 1
    values = np.random.default_rng(1).normal(size=200_000)
    made = charts.scatter("s", "Points.", values, values, TITLES)
    assert len(made) < 300_000
    series = {"loss": (np.arange(200_000), values)}
    assert len(charts.lines("l", "Line.", series, TITLES)) < 100_000
