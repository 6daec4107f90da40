"""From logits to answers: n-best lists, the answers' text in the context, the null answer.

Source: `write_predictions` and `get_final_text` of the original's run_squad.py, whose choices
are kept to the order of equal scores. Shapes: T tokens.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.tasks.squad_data import Question
from bert_tf.tasks.squad_features import TokenizedParagraph, Window
from bert_tf.tokenization import BasicTokenizer, FullTokenizer

Logits = npt.NDArray[np.float32]

# Odds of a question for which no span can be an answer; the original fails there.
NO_SPAN_ODDS = 1_000_000.0
_NO_ANSWER, PLACEHOLDER = "", "empty"


@dataclass(frozen=True)
class Span:
    """A candidate: tokens `first` to `last` of the context, or the null answer (first is -1)."""

    first: int
    last: int
    start_logit: float
    end_logit: float


@dataclass(frozen=True)
class Candidate:
    """An answer of the n-best list; the text is empty for the null answer."""

    text: str
    start_logit: float
    end_logit: float
    span: Span | None

    @property
    def score(self) -> float:
        """What candidates are ranked by."""
        return self.start_logit + self.end_logit


@dataclass(frozen=True)
class Answer:
    """What was found for a question.

    Attributes:
        nbest: Candidates, the best first.
        probabilities: Softmax of their scores.
        best: The best one with a text, if there is one.
        null_odds: Score of the null answer above that of `best`; 0.0 where questions always have
            an answer.
    """

    nbest: list[Candidate]
    probabilities: list[float]
    best: Candidate | None
    null_odds: float


class AnswerFinder:
    """Finds the answers of questions from the logits of their windows.

    Args:
        tokenizer: Of the model's vocabulary.
        n_best_size: Starts and ends of a window that are tried, and answers of an n-best list.
        max_answer_length: Tokens of an answer at most.
        version_2: Whether a question may have no answer.
    """

    def __init__(
        self, tokenizer: FullTokenizer, n_best_size: int, max_answer_length: int, version_2: bool
    ) -> None:
        for name, value in (
            ("n_best_size", n_best_size),
            ("max_answer_length", max_answer_length),
        ):
            if value < 1:
                raise ValueError(f"--{name} must be at least 1, but is {value}.")
        self._basic = BasicTokenizer(tokenizer.do_lower_case)
        self._tokenizer = tokenizer
        self.n_best_size, self.max_answer_length = n_best_size, max_answer_length
        self.version_2 = version_2

    def answer(
        self,
        question: Question,
        context: TokenizedParagraph,
        windows: Sequence[tuple[Window, Logits, Logits]],
    ) -> Answer:
        """The n-best answers of a question.

        Args:
            question: The question.
            context: Its paragraph's tokens.
            windows: Its windows with their start and end logits [T].
        """
        spans: list[Span] = []
        null: Span | None = None
        for window, start, end in windows:
            spans += self._spans(window, start, end)
            zero = Span(-1, -1, float(start[0]), float(end[0]))
            if null is None or _score(zero) < _score(null):
                null = zero
        if self.version_2 and null:
            spans.append(null)
        spans.sort(key=_score, reverse=True)
        nbest = self._distinct(question, context, spans)
        if self.version_2 and null and all(entry.text != _NO_ANSWER for entry in nbest):
            nbest.append(Candidate(_NO_ANSWER, null.start_logit, null.end_logit, None))
        if not nbest:
            nbest.append(Candidate(PLACEHOLDER, 0.0, 0.0, None))
        best = next((entry for entry in nbest if entry.text), None)
        odds = 0.0
        if self.version_2 and null:
            odds = NO_SPAN_ODDS
            if best:
                odds = _score(null) - best.start_logit - best.end_logit
        return Answer(nbest, softmax([entry.score for entry in nbest]), best, odds)

    def _spans(self, window: Window, start: Logits, end: Logits) -> list[Span]:
        """The allowed spans among the likeliest starts and ends of a window, in their order."""
        starts, ends = _likeliest(start, self.n_best_size), _likeliest(end, self.n_best_size)
        in_start, in_end = starts - window.offset, ends - window.offset  # in the context's part
        inside = (in_start >= 0) & (in_start < window.length)
        fine_start = inside & window.max_context[np.clip(in_start, 0, window.length - 1)]
        fine_end = (in_end >= 0) & (in_end < window.length)
        length = in_end[None, :] - in_start[:, None] + 1
        allowed = (
            fine_start[:, None]
            & fine_end[None, :]
            & (length >= 1)
            & (length <= self.max_answer_length)
        )
        return [
            Span(
                window.first + int(in_start[row]),
                window.first + int(in_end[column]),
                float(start[starts[row]]),
                float(end[ends[column]]),
            )
            for row, column in np.argwhere(allowed)
        ]

    def _distinct(
        self, question: Question, context: TokenizedParagraph, spans: Iterable[Span]
    ) -> list[Candidate]:
        nbest: list[Candidate] = []
        seen: set[str] = set()
        for span in spans:
            if len(nbest) >= self.n_best_size:
                break
            if span.first < 0:
                text = _NO_ANSWER  # as often as it comes: the original does not check here
            else:
                text = self._text(question, context, span)
                if text in seen:
                    continue
            seen.add(text)
            nbest.append(
                Candidate(text, span.start_logit, span.end_logit, span if span.first >= 0 else None)
            )
        return nbest

    def _text(self, question: Question, context: TokenizedParagraph, span: Span) -> str:
        pieces = " ".join(context.tokens[span.first : span.last + 1])
        predicted = " ".join(pieces.replace(" ##", "").replace("##", "").split())
        first, last = context.word_of[span.first], context.word_of[span.last]
        original = " ".join(question.paragraph.words[first : last + 1])
        return restore_text(predicted, original, self._basic)

    def choose(self, answer: Answer, threshold: float) -> str:
        """The text that is predicted; empty for no answer.

        Args:
            answer: What was found.
            threshold: Null odds above which there is no answer, in version 2.
        """
        if not self.version_2:
            return answer.nbest[0].text
        if answer.best is None or answer.null_odds > threshold:
            return _NO_ANSWER
        return answer.best.text

    def row(
        self, question: Question, context: TokenizedParagraph, answer: Answer, text: str
    ) -> dict[str, Any]:
        """A line of `predictions.jsonl`: the answer `text` with its place in the context."""
        entry = next((each for each in answer.nbest if each.text == text and each.span), None)
        start = end = None
        if entry and entry.span:
            start, end = self.characters(question, context, entry.span)
        return {
            "id": question.identifier,
            "question": question.text,
            "text": text,
            "start": start,
            "end": end,
            "span": None if start is None else question.paragraph.text[start:end],
            "score": entry.score if entry else None,
            "null_odds": answer.null_odds if self.version_2 else None,
        }

    def characters(
        self, question: Question, context: TokenizedParagraph, span: Span
    ) -> tuple[int, int]:
        """Where a span stands in the context: `text[start:end]`, exact to the character."""
        paragraph = question.paragraph

        def place(token: int) -> tuple[int, int]:
            word = context.word_of[token]
            _, offsets = self._tokenizer.tokenize_with_offsets(paragraph.words[word])
            start, end = offsets[token - context.first_token[word]]
            return paragraph.starts[word] + start, paragraph.starts[word] + end

        return place(span.first)[0], place(span.last)[1]


def _score(span: Span) -> float:
    return span.start_logit + span.end_logit


def _likeliest(logits: Logits, count: int) -> npt.NDArray[np.int64]:
    """Places of the highest logits, the highest first, the first of equals first."""
    return np.argsort(-logits, kind="stable")[:count]


def softmax(scores: Sequence[float]) -> list[float]:
    """Probabilities that add up to 1; none for no score."""
    if not scores:
        return []
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def restore_text(predicted: str, original: str, tokenizer: BasicTokenizer) -> str:
    """The part of the original words that the tokens of an answer came from.

    Args:
        predicted: The answer's tokens, joined.
        original: The words of the context that they lie in.
        tokenizer: As the text was tokenized.

    Returns:
        A part of `original`; all of it where the tokens cannot be aligned with it.

    Source: `get_final_text`: both texts are compared without spaces, character by character.
    """
    tokens = " ".join(tokenizer.tokenize(original))
    begin = tokens.find(predicted)
    if begin == -1:
        return original
    end = begin + len(predicted) - 1
    original_places = [at for at, character in enumerate(original) if character != " "]
    token_places = [at for at, character in enumerate(tokens) if character != " "]
    if len(original_places) != len(token_places):
        return original
    number_of = {place: number for number, place in enumerate(token_places)}
    if begin not in number_of or end not in number_of:
        return original
    return original[original_places[number_of[begin]] : original_places[number_of[end]] + 1]
