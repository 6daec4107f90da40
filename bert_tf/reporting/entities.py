"""Entities of sentences: scores and confusion of kinds, sentences with right and predicted ones."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from bert_tf.reporting.classes import MOST_CLASSES, filter_form, matrix_table
from bert_tf.reporting.markup import (
    LONGEST_LABEL,
    MOST_SHOWN,
    bar,
    clean,
    cut,
    join,
    label,
    left_out,
    shown_of,
    table,
)
from bert_tf.reporting.page import Section

Entity = tuple[str, int, int]  # kind, first word, last word (exclusive)

MOST_WORDS = 100  # of a sentence
WORDS_BEFORE = 15  # the first mistake of a longer one
SHOWN_RIGHT = 20  # sentences without mistake that are shown
BOUNDARY, MISSED, INVENTED = "(other words)", "(missed)", "(no entity)"
_GOLDEN_ANGLE = 137.508  # degrees: hues that follow each other lie far apart


@dataclass(frozen=True)
class Tagged:
    """A sentence with its right and its predicted entities."""

    words: Sequence[str]
    gold: frozenset[Entity]
    said: frozenset[Entity]

    @property
    def wrong(self) -> frozenset[Entity]:
        """Entities that only one side has."""
        return self.gold ^ self.said


def sections(sentences: Sequence[Tagged]) -> list[Section]:
    """The parts of a page about entities."""
    kinds = sorted({kind for each in sentences for kind, _, _ in each.gold | each.said})
    return [
        Section("kinds", "Kinds of entities", by_kind(kinds, sentences)),
        Section("confusion", "Confusion of kinds", confusion(kinds, sentences)),
        Section("sentences", "Sentences", _sentences(kinds, sentences)),
    ]


def by_kind(kinds: Sequence[str], sentences: Iterable[Tagged]) -> Markup:
    """Precision, recall and F1 of each kind, and of all."""
    gold: Counter[str] = Counter()
    said: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for each in sentences:
        gold.update(kind for kind, _, _ in each.gold)
        said.update(kind for kind, _, _ in each.said)
        right.update(kind for kind, _, _ in each.gold & each.said)
    rows = []
    for kind in [*kinds, None]:
        hits, wanted, found = (
            counts.total() if kind is None else counts[kind] for counts in (right, gold, said)
        )
        rows.append(
            (
                "all" if kind is None else label(kind),
                bar(hits / found if found else 0.0),
                bar(hits / wanted if wanted else 0.0),
                bar(2 * hits / (wanted + found) if wanted + found else 0.0),
                f"{wanted:,}",
                f"{found:,}",
            )
        )
    heads = ["kind", "precision", "recall", "F1", "right ones", "predicted ones"]
    return table(heads, rows, "An entity counts if its kind and all of its words are right")


def confusion(kinds: Sequence[str], sentences: Iterable[Tagged]) -> Markup:
    """Which kind was taken for which; of many kinds, the most frequent ones."""
    counts: Counter[tuple[str, str]] = Counter()
    for each in sentences:
        counts.update(_pairs(each))
    frequent: Counter[str] = Counter()
    for (row, column), count in counts.items():
        frequent.update({row: count, column: count})
    kept = sorted(sorted(kinds, key=lambda kind: -frequent[kind])[:MOST_CLASSES])
    rows, columns = [*kept, INVENTED], [*kept, BOUNDARY, MISSED]
    matrix = np.array([[counts[row, column] for column in columns] for row in rows])
    note = Markup() if len(kept) == len(kinds) else shown_of(len(kept), len(kinds), "kinds")
    caption = "Rows: right kind. Columns: predicted kind of the same words."
    names = [[label(name) for name in each] for each in (rows, columns)]
    return note + matrix_table(names[0], names[1], matrix, len(kept), caption)


def _pairs(sentence: Tagged) -> Iterator[tuple[str, str]]:
    """Right and predicted kind of everything that either side calls an entity."""
    said = {(first, last): kind for kind, first, last in sentence.said}
    for kind, first, last in sentence.gold:
        if (first, last) in said:
            yield kind, said[first, last]
        elif _touches(first, last, sentence.said):
            yield kind, BOUNDARY
        else:
            yield kind, MISSED
    for kind, first, last in sentence.said:
        if not _touches(first, last, sentence.gold):
            yield INVENTED, kind


def _touches(first: int, last: int, entities: Iterable[Entity]) -> bool:
    return any(begin < last and first < end for _, begin, end in entities)


def _sentences(kinds: Sequence[str], sentences: Sequence[Tagged]) -> Markup:
    wrong = [number for number, each in enumerate(sentences) if each.wrong]
    wrong.sort(key=lambda number: -len(sentences[number].wrong))
    right = [number for number, each in enumerate(sentences) if each.gold and not each.wrong]
    kept = wrong[:MOST_SHOWN] + right[:SHOWN_RIGHT]
    hues = {kind: round(number * _GOLDEN_ANGLE) % 360 for number, kind in enumerate(kinds)}
    items = join(
        Markup('<li data-state="{}" data-number="{}">{}</li>').format(
            "wrong" if sentences[number].wrong else "right", number, _shown(sentences[number], hues)
        )
        for number in kept
    )
    states = {"wrong": "with mistakes", "right": "without"}
    return (
        Markup("<p>The most mistakes first, marked by a dashed red border.</p>")
        + shown_of(min(len(wrong), MOST_SHOWN), len(wrong), "sentences with mistakes")
        + shown_of(min(len(right), SHOWN_RIGHT), len(right), "sentences without any")
        + filter_form("sentence-list", {"sentences": ("state", states)})
        + Markup('<ol class="examples" id="sentence-list">{}</ol>').format(items)
    )


def _shown(sentence: Tagged, hues: Mapping[str, int]) -> Markup:
    first = min((begin for _, begin, _ in sentence.wrong), default=0)
    start = max(first - WORDS_BEFORE, 0) if len(sentence.words) > MOST_WORDS else 0
    part = range(start, min(start + MOST_WORDS, len(sentence.words)))

    def line(title: str, entities: frozenset[Entity]) -> Markup:
        return Markup(
            '<div class="words"><span>{}</span><span class="text" dir="auto">{}{}{}</span></div>'
        ).format(
            title,
            left_out(part.start, "words"),
            Markup(" ").join(_words(sentence, entities, part, hues)),
            left_out(len(sentence.words) - part.stop, "words"),
        )

    return line("right", sentence.gold) + line("predicted", sentence.said)


def _words(
    sentence: Tagged, entities: frozenset[Entity], part: range, hues: Mapping[str, int]
) -> Iterator[Markup]:
    """Words and, around those of an entity, a box with its kind."""
    starts = {max(entity[1], part.start): entity for entity in entities if entity[2] > part.start}
    place = part.start
    while place < part.stop:
        entity = starts.get(place)
        if entity is None:
            yield _word(sentence.words[place])
            place += 1
            continue
        kind, _, last = entity
        inside = sentence.words[place : min(last, part.stop)]
        yield Markup('<span class="entity{}" style="--hue:{}">{}<small>{}</small></span>').format(
            " wrong" if entity in sentence.wrong else "",
            hues[kind],
            Markup(" ").join(_word(word) for word in inside),
            label(kind),
        )
        place = last


def _word(word: str) -> Markup:
    shown, missing = cut(clean(word), LONGEST_LABEL)
    return Markup.escape(shown) + left_out(missing)
