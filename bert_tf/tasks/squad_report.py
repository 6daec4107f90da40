"""What the page of `--report` is told about the answers of a SQuAD file."""

from collections.abc import Iterator, Mapping, Sequence

from bert_tf.reporting.answers import Answered, ShownAnswer, Span
from bert_tf.tasks import squad_scores
from bert_tf.tasks.squad_answers import Answer
from bert_tf.tasks.squad_data import Question


def answered(
    questions: Sequence[Question],
    answers: Mapping[str, Answer],
    chosen: Mapping[str, str],
    version_2: bool,
) -> list[Answered]:
    """How well every question was answered, by the official scores.

    Args:
        questions: Those that are scored.
        answers: What was found, by their names.
        chosen: The predicted texts.
        version_2: Whether questions may have no answer.
    """
    gold = {question.identifier: question.answers for question in questions}
    scores = squad_scores.of_questions(gold, chosen, version_2)
    texts = {name: answer.best.text if answer.best else "" for name, answer in answers.items()}
    best = squad_scores.of_questions(gold, texts, version_2) if version_2 else scores
    return [
        Answered(
            question.text,
            question.answers,
            chosen[name],
            *scores[name],
            _probability(answers[name], chosen[name]),
            answers[name].null_odds,
            best[name],
        )
        for question in questions
        for name in [question.identifier]
    ]


def _probability(answer: Answer, text: str) -> float:
    rows = zip(answer.nbest, answer.probabilities, strict=True)
    return next((probability for entry, probability in rows if entry.text == text), 0.0)


def shown(question: Question, start: int | None, end: int | None) -> ShownAnswer:
    """A question with the places of its answers, and of the predicted one, in the context."""
    said = None if start is None or end is None else (start, end)
    context = question.paragraph.text
    return ShownAnswer(question.identifier, context, list(_places(question)), said)


def _places(question: Question) -> Iterator[Span]:
    """Where the different answers stand: where the file says, or else where the text is first."""
    context, seen = question.paragraph.text, set()
    for text, start in zip(question.answers, question.answer_starts, strict=True):
        if not (start >= 0 and context.startswith(text, start)):
            start = context.find(text)
        if start >= 0 and text and (start, len(text)) not in seen:
            seen.add((start, len(text)))
            yield start, start + len(text)
