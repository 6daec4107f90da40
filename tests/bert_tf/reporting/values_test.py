"""The page of a regression."""

import numpy as np

from bert_tf.reporting import values
from bert_tf.reporting.classes import Shown
from tests.support.page_of import page_of
from tests.support.pages import HOSTILE, rows_of


def page(gold, said, text="text"):
    shown = (Shown(f"id-{n}", [f"{text} {n}"]) for n in range(len(gold)))
    return page_of(values.sections(np.asarray(gold), np.asarray(said), shown))


def test_figures_of_the_residuals():
    draw = np.random.default_rng(0)
    gold = draw.uniform(0, 5, 500)
    errors = draw.normal(0.3, 0.7, 500)
    rows = rows_of(page(gold, gold + errors), "Residuals")
    found = {name: float(row[0]) for name, row in rows.items()}
    close = {
        "mean residual": errors.mean(),
        "mean absolute error": np.abs(errors).mean(),
        "root of the mean squared error": np.sqrt((errors**2).mean()),
        "residual, quantile 0.5": np.median(errors),
        "residual, quantile 1": errors.max(),
    }
    for name, value in close.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, err_msg=name)


def test_largest_errors_come_first():
    made = page([1.0, 2.0, 3.0], [1.5, 0.0, 3.1], HOSTILE)
    assert [item.endswith(f"{HOSTILE} {n}") for item, n in zip(made.items, (1, 0, 2), strict=True)]
    assert "right: 2predicted: 0off by -2" in made.items[0]
    assert "id-1" in made.items[0]
    assert len(made.items) == 3


def test_bounds():
    count = 20_000
    made = page(np.zeros(count), np.arange(count) * 1.0, "x" * 1000)
    assert len(made.items) == 200
    assert "200 of 20,000 examples; 19,800 are left out." in made.texts["errors"]
    assert "right: 0predicted: 19,999off by +2e+04" in made.items[0]
    assert len(made.html) < 700_000


def test_values_that_are_no_numbers_are_counted():
    made = page([1.0, 2.0, 3.0], [np.nan, 2.5, np.inf])
    assert "2 predictions are no finite number." in made.texts["values"]
    assert len(made.items) == 1
    nothing = page([1.0], [np.nan])
    assert "1 predictions are no finite number." in nothing.texts["values"]


def test_equal_values_can_be_drawn():
    made = page([2.0, 2.0], [2.0, 2.0])
    assert rows_of(made, "Residuals")["mean residual"] == ["0"]
