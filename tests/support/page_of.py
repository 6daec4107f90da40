"""A page around sections, as a command would write it."""

from collections.abc import Sequence

from bert_tf.reporting.page import Findings, Run, Section, render
from tests.support.pages import Page, assert_sound


def page_of(sections: Sequence[Section], **changes) -> Page:
    """The parsed page; it has passed `assert_sound`."""
    run = {
        "model": "BERT",
        "command": "python -m bert_tf.run_x",
        "made": "today",
        "scores": {"accuracy": 0.5},
        "settings": {"Task": {"task": "x"}},
        **changes,
    }
    return assert_sound(render(Findings("Task", "data.tsv", 3, sections), Run(**run)))
