"""SQuAD files, v1.1 and v2.0, as examples of white-space words with their character offsets.

Source: `read_squad_examples` of the original's run_squad.py.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_tf.inputs.text_files import TextFileError, read_text

# The original parts words here, and nowhere else.
SPACES = frozenset(" \t\r\n\u202f")
NO_POSITION = -1


@dataclass(frozen=True)
class Paragraph:
    """A context: its words, and where each begins in the text."""

    text: str
    words: tuple[str, ...]
    starts: tuple[int, ...]
    word_at: Sequence[int]  # of each character, the number of its word


@dataclass(frozen=True)
class Question:
    """A question about a paragraph.

    `first_word`, `last_word` and `answer` are those to train on: -1 and "" for a question without
    answer, or where none were asked for.
    """

    identifier: str
    text: str
    paragraph: Paragraph
    answers: tuple[str, ...]
    is_impossible: bool = False
    answer: str = ""
    first_word: int = NO_POSITION
    last_word: int = NO_POSITION
    answer_starts: tuple[int, ...] = ()  # of `answers` in the context, -1 where it is not said


@dataclass(frozen=True)
class SquadFile:
    """Questions of a file, and how many were left out because their answer is not in the text."""

    questions: list[Question]
    unrecoverable: int
    has_answers: bool


def split_words(text: str) -> Paragraph:
    """A context's words as the original parts them."""
    words: list[str] = []
    starts: list[int] = []
    word_at: list[int] = []
    begin = -1
    for index, character in enumerate(text):
        if character in SPACES:
            if begin >= 0:
                words.append(text[begin:index])
                begin = -1
        elif begin < 0:
            begin = index
            starts.append(index)
        word_at.append(len(starts) - 1)
    if begin >= 0:
        words.append(text[begin:])
    return Paragraph(text, tuple(words), tuple(starts), word_at)


def read_squad(path: str | Path, training: bool, version_2: bool) -> SquadFile:
    """Reads a SQuAD file (.json or .json.gz).

    Args:
        path: The file.
        training: Whether each question needs the position of its one answer.
        version_2: Whether questions may have no answer.

    Raises:
        TextFileError: If the file is no SQuAD file, or a question lacks or exceeds what it needs.
    """
    data = _parse(path)
    questions: list[Question] = []
    unrecoverable, has_answers = 0, False
    for where, context, raw in _raw_questions(path, data):
        question = _question(where, context, raw, training, version_2)
        has_answers = has_answers or bool(question and (question.answers or question.is_impossible))
        if question is None:
            unrecoverable += 1
        else:
            questions.append(question)
    if not questions:
        raise TextFileError(f"{path} must hold at least one question, but holds none.")
    return SquadFile(questions, unrecoverable, has_answers)


def _parse(path: str | Path) -> Any:
    text = read_text(path)
    if not text.strip():
        raise TextFileError(f"{path} must be a SQuAD file, but is empty.")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise TextFileError(f"{path} must be JSON, but is not: {error}.") from None
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise TextFileError(
            f'{path} must be a SQuAD file: an object with a list "data" of articles. '
            "Is it another data set?"
        )
    return content["data"]


def _raw_questions(path: str | Path, data: list[Any]) -> Iterator[tuple[str, Paragraph, Any]]:
    for number, article in enumerate(data):
        for index, paragraph in enumerate(_get(article, "paragraphs", f"{path}, data[{number}]")):
            where = f"{path}, data[{number}].paragraphs[{index}]"
            context = split_words(str(_get(paragraph, "context", where)))
            for place, raw in enumerate(_get(paragraph, "qas", where)):
                yield f"{where}.qas[{place}]", context, raw


def _get(value: Any, key: str, where: str) -> Any:
    if not isinstance(value, dict) or key not in value:
        raise TextFileError(f'{where} must be an object with the key "{key}", but has it not.')
    return value[key]


def _question(
    where: str, paragraph: Paragraph, raw: Any, training: bool, version_2: bool
) -> Question | None:
    """A question, or None where its answer cannot be found in the words of its context."""
    identifier = str(_get(raw, "id", where))
    text = str(_get(raw, "question", where))
    impossible = version_2 and bool(raw.get("is_impossible", False))
    answers = raw.get("answers") or []
    if not isinstance(answers, list):
        raise TextFileError(f'{where}: "answers" must be a list, but is {answers!r}.')
    texts = tuple(str(_get(answer, "text", where)) for answer in answers)
    if not training or impossible:
        starts = tuple(_start(answer) for answer in answers)
        return Question(identifier, text, paragraph, texts, impossible, answer_starts=starts)
    if len(answers) != 1:
        hint = " Give --version_2_with_negative, if questions may have none." * (not answers)
        raise TextFileError(
            f"{where}: a question to train on must have exactly one answer, but {identifier} has "
            f"{len(answers)}.{hint}"
        )
    return _located(where, paragraph, identifier, text, answers[0])


def _start(answer: Any) -> int:
    start = answer.get("answer_start")
    return start if isinstance(start, int) else NO_POSITION


def _located(
    where: str, paragraph: Paragraph, identifier: str, text: str, answer: Any
) -> Question | None:
    wanted, offset = str(answer["text"]), _get(answer, "answer_start", where)
    end = offset + len(wanted) - 1 if isinstance(offset, int) else -1
    if not isinstance(offset, int) or not 0 <= offset <= end < len(paragraph.text):
        raise TextFileError(
            f"{where}: the answer {wanted!r} must lie in the context of "
            f"{len(paragraph.text)} characters, but answer_start is {offset!r}."
        )
    first, last = paragraph.word_at[offset], paragraph.word_at[end]
    if " ".join(wanted.split()) not in " ".join(paragraph.words[first : last + 1]):
        return None
    return Question(identifier, text, paragraph, (wanted,), False, wanted, first, last)
