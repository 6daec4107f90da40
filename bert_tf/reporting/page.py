"""The page: what every report has, around the sections of its task.

It is one file without any request to elsewhere. A content security policy forbids requests and any
script but page.js, so that a text that should slip through unescaped could still do nothing.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from markupsafe import Markup

from bert_tf.reporting.markup import clean, folded, join, quoted, table

_LONGEST_VALUE = 2000  # of a command or a setting


@dataclass(frozen=True)
class Section:
    """A part of a page; the name, of letters and dashes, is its address within the page."""

    name: str
    title: str
    body: Markup


@dataclass(frozen=True)
class Findings:
    """What a task has to show.

    Attributes:
        task: In words.
        data: Where the examples are from.
        examples: How many there are.
        sections: Its parts.
    """

    task: str
    data: str
    examples: int
    sections: Sequence[Section]


@dataclass(frozen=True)
class Run:
    """What was computed, and by whom.

    Attributes:
        model: In words.
        command: The command line.
        made: Date and time, as it is to be shown.
        scores: All of the evaluation; the first is the chief one.
        settings: Groups of names and values.
        training: Sections about the training; none where it is not known.
    """

    model: str
    command: str
    made: str
    scores: Mapping[str, float]
    settings: Mapping[str, Mapping[str, object]]
    training: Sequence[Section] = ()


def render(findings: Findings, run: Run) -> str:
    """The page, as the text of a file."""
    settings = Section("settings", "Settings", join(_settings(run.settings)))
    sections = [*findings.sections, *run.training, settings]
    style, script = _file("page.css"), _file("page.js")
    facts = {
        "Model": run.model,
        "Data": findings.data,
        "Examples": f"{findings.examples:,}",
        "Made": run.made,
    }
    return str(
        Markup(
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            '<title>{title}</title>\n<link rel="icon" href="data:,">\n'
            "<style>\n{style}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>\n{facts}\n"
            "<pre><code>{command}</code></pre>\n{scores}\n</header>\n"
            '<nav aria-label="Sections"><ul>{links}</ul></nav>\n<main>\n{sections}</main>\n'
            "<script>{script}</script>\n</body>\n</html>\n"
        ).format(
            policy=_policy(script),
            title=clean(findings.task),
            style=style,
            facts=_facts(facts),
            command=quoted(run.command, _LONGEST_VALUE),
            scores=_scores(run.scores),
            links=join(
                Markup('<li><a href="#{}">{}</a></li>').format(each.name, each.title)
                for each in sections
            ),
            sections=join(_section(each) for each in sections),
            script=script,
        )
    )


@cache
def _file(name: str) -> Markup:
    """A file beside this module; our own, hence HTML as it is."""
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return Markup(text)


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    own = f"style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return f"default-src 'none'; img-src data:; {own}"


def _facts(facts: Mapping[str, str]) -> Markup:
    rows = join(
        Markup("<dt>{}</dt><dd>{}</dd>").format(name, quoted(value, _LONGEST_VALUE))
        for name, value in facts.items()
    )
    return Markup('<dl class="facts">{}</dl>').format(rows)


def _scores(scores: Mapping[str, float]) -> Markup:
    items = join(
        Markup("<li{}><b>{}</b><span>{}</span></li>").format(
            Markup("") if number else Markup(' class="chief"'),
            number_text(value),
            quoted(name),
        )
        for number, (name, value) in enumerate(scores.items())
    )
    return Markup('<ul class="scores" aria-label="Scores">{}</ul>').format(items)


def number_text(value: float) -> str:
    """A number with four significant digits, whole ones as such."""
    whole = value == int(value) if abs(value) < 1e15 else False
    return f"{value:,.0f}" if whole and abs(value) >= 10 else f"{value:.4g}"


def _section(section: Section) -> Markup:
    return Markup(
        '<section id="{0}" aria-labelledby="{0}-title"><h2 id="{0}-title">{1}</h2>{2}</section>\n'
    ).format(section.name, section.title, section.body)


def _settings(groups: Mapping[str, Mapping[str, object]]) -> Sequence[Markup]:
    return [
        folded(
            group,
            table(
                ["name", "value"],
                [(name, quoted(str(value), _LONGEST_VALUE)) for name, value in values.items()],
                group,
            ),
        )
        for group, values in groups.items()
    ]
