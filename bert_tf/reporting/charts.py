"""Charts as SVG that lies in the page: matplotlib draws, the page's style sheet gives the colours.

Matplotlib knows one set of colours; the page has two, light and dark. It therefore draws with
stand-ins, which become variables of page.css.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

Array = npt.NDArray[Any]
Series = Mapping[str, tuple[Sequence[float] | Array, Sequence[float] | Array]]

_INK, _GRID, _FIRST, _SECOND = "#010101", "#020202", "#030303", "#040404"
_VARIABLES = {_INK: "--ink", _GRID: "--grid", _FIRST: "--gold", _SECOND: "--said"}
_COLOURS = (_FIRST, _SECOND)
_DASHES = ("-", "--")  # so that lines can be told apart without their colours
_SIZE = (4.6, 3.0)  # inches of 72 points: the width of a phone, so that letters stay readable there
_MOST_POINTS = 1500
_MOST_BARS = 64
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "bert_tf",
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "legend.labelcolor": _INK,
    "font.size": 9.5,
}
_NUMBER = re.compile(r'\bid="([^"]*)"')


def lines(
    name: str,
    about: str,
    series: Series,
    titles: tuple[str, str],
    marks: Mapping[str, float] | None = None,
) -> Markup:
    """Lines over a common x-axis.

    Args:
        name: Of the chart, unlike every other one's in the page: letters and dashes.
        about: What it shows, for those who do not see it, and as its caption.
        series: Up to two, by name: x and y.
        titles: Of the x-axis and the y-axis.
        marks: Vertical lines, by name.
    """

    def draw(axes: Any) -> None:
        for (title, (x, y)), colour, dash in zip(series.items(), _COLOURS, _DASHES, strict=False):
            keep = thinned(len(x))
            x, y = np.asarray(x)[keep], np.asarray(y)[keep]
            axes.plot(x, y, dash, color=colour, label=title, linewidth=1.6)
        for title, at in (marks or {}).items():
            axes.axvline(at, color=_INK, linewidth=1.0, linestyle=":", label=title)
        if len(series) + len(marks or {}) > 1:
            axes.legend(fontsize=8)

    return _chart(name, about, titles, draw)


def scatter(name: str, about: str, x: Array, y: Array, titles: tuple[str, str]) -> Markup:
    """Points [N] against points [N] with the diagonal, where both are equal."""

    def draw(axes: Any) -> None:
        keep = thinned(len(x))
        low, high = min(x.min(), y.min()), max(x.max(), y.max())
        axes.plot([low, high], [low, high], ":", color=_INK, linewidth=1.0, label="equal")
        axes.plot(
            x[keep], y[keep], "o", color=_FIRST, markersize=3.2, alpha=0.45, markeredgewidth=0
        )
        axes.legend(fontsize=8)

    return _chart(name, about, titles, draw)


def histogram(name: str, about: str, values: Array, titles: tuple[str, str]) -> Markup:
    """How many of the values [N] lie where."""

    def draw(axes: Any) -> None:
        counts, edges = np.histogram(values, bins=30)
        axes.bar(edges[:-1], counts, np.diff(edges) * 0.92, align="edge", color=_FIRST)
        axes.grid(visible=False, axis="x")

    return _chart(name, about, titles, draw)


def counts(name: str, about: str, counted: Array, titles: tuple[str, str]) -> Markup:
    """How often each whole number 0 .. K - 1 was counted [K]; of many, several share a bar."""

    def draw(axes: Any) -> None:
        width = -(-len(counted) // _MOST_BARS)
        starts = np.arange(0, len(counted), width)
        heights = np.add.reduceat(counted, starts)
        axes.bar(starts, heights, width * 0.92, align="edge", color=_FIRST)
        axes.grid(visible=False, axis="x")

    return _chart(name, about, titles, draw)


def reliability(name: str, about: str, confidence: Array, accuracy: Array, share: Array) -> Markup:
    """Accuracy over confidence [K] with the diagonal; the share of examples as bars below."""

    def draw(axes: Any) -> None:
        width = 0.9 / max(len(share), 1)
        centres = (np.arange(len(share)) + 0.5) / len(share)
        axes.bar(centres, share, width, color=_GRID, label="share of examples")
        axes.plot([0, 1], [0, 1], ":", color=_INK, linewidth=1.0, label="perfectly calibrated")
        axes.plot(
            confidence, accuracy, "o-", color=_FIRST, markersize=4, label="accuracy", clip_on=False
        )
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(fontsize=8, loc="upper left")

    return _chart(name, about, ("probability of the predicted class", "accuracy"), draw)


def thinned(count: int) -> Array:
    """Numbers of at most so many of `count` points as a chart needs, evenly spread."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, _MOST_POINTS).astype(np.int64))


def _chart(name: str, about: str, titles: tuple[str, str], draw: Any) -> Markup:
    # Imported here: drawing is a second of import time that training does not need.
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout="constrained")
        canvas = FigureCanvasSVG(figure)
        axes = figure.subplots()
        draw(axes)
        axes.set(xlabel=titles[0], ylabel=titles[1])
        written = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        canvas.print_svg(written, metadata=nothing)
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>").format(
        _inline(written.getvalue(), name, about), about
    )


def _inline(svg: str, name: str, about: str) -> Markup:
    """The drawing as a part of a page: own ids, the page's colours, no sizes, no addresses."""
    body = svg[svg.index("<svg") :]
    view = re.search(r'viewBox="[^"]*"', body)
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<style.*?</style>|<metadata.*?</metadata>|<!--.*?-->", "", body, flags=re.S)
    used = set(re.findall(r"#([\w-]+)", body))
    body = _NUMBER.sub(lambda found: f'id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    body = body.replace("url(#", f"url(#{name}-")
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, f"var({variable})")
    start = Markup('<svg class="chart" role="img" aria-label="{}" {}>').format(
        about, Markup(view[0] if view else "")
    )
    return start + Markup(body)  # matplotlib escapes the texts it is given
