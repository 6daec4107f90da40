"""Windows of question and context as records and tables.

Source: `convert_examples_to_features` of the original's run_squad.py. Shapes: N windows, T tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.features import SPECIALS_PAIR, pack
from bert_tf.inputs.records import Feature, RecordSchema
from bert_tf.inputs.windows import max_context, spans_of
from bert_tf.tasks.squad_data import NO_POSITION, Paragraph, Question
from bert_tf.tokenization import FullTokenizer

FIRST_ID = 1_000_000_000
SEQUENCES = ("input_ids", "input_mask", "segment_ids")


def prediction_schema(max_seq_length: int) -> RecordSchema:
    """What a record to predict holds."""
    sequences = [Feature(name, "int64", max_seq_length) for name in SEQUENCES]
    return RecordSchema((Feature("unique_ids", "int64", 1), *sequences))


def training_schema(max_seq_length: int) -> RecordSchema:
    """What a record to train on holds."""
    targets = ("start_positions", "end_positions", "is_impossible")
    features = prediction_schema(max_seq_length).features
    return RecordSchema((*features, *(Feature(name, "int64", 1) for name in targets)))


@dataclass(frozen=True)
class TokenizedParagraph:
    """A context's tokens: ids, texts, and the word that each belongs to."""

    ids: list[int]
    tokens: list[str]
    word_of: list[int]
    first_token: list[int]  # of each word


@dataclass(frozen=True)
class Window:
    """A part of a context beside its question.

    Attributes:
        question: Number of the question.
        first: Number of the window's first token in the context.
        length: Tokens of the context in the window.
        offset: Place of that first token in the input sequence.
        max_context: bool [length]; whether no other window shows the token with more around it.
    """

    question: int
    first: int
    length: int
    offset: int
    max_context: npt.NDArray[np.bool_]


class SquadFeaturizer:
    """Questions to windows; paragraphs are tokenized once for all their questions.

    Args:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        doc_stride: Tokens from the start of one window to the next.
        max_query_length: Tokens of a question; what is beyond is cut, and counted.

    Attributes:
        cut_questions: Questions that were cut.
        lost_answers: Questions whose answer is longer than any of their windows shows whole.

    Raises:
        ValueError: If there is no room for a context.
    """

    def __init__(
        self, tokenizer: FullTokenizer, max_seq_length: int, doc_stride: int, max_query_length: int
    ) -> None:
        if max_seq_length <= max_query_length + SPECIALS_PAIR:
            raise ValueError(
                f"--max_seq_length must be greater than --max_query_length + 3 = "
                f"{max_query_length + SPECIALS_PAIR}, but is {max_seq_length}: there is no room "
                "for the context."
            )
        if doc_stride < 1:
            raise ValueError(f"--doc_stride must be at least 1, but is {doc_stride}.")
        self.tokenizer = tokenizer
        self.max_seq_length, self.doc_stride = max_seq_length, doc_stride
        self.max_query_length = max_query_length
        self.cut_questions = 0
        self.lost_answers = 0
        self._last: tuple[Paragraph, TokenizedParagraph] | None = None

    def tokenized(self, paragraph: Paragraph) -> TokenizedParagraph:
        """The paragraph's tokens; the last paragraph's are kept."""
        if self._last is None or self._last[0] is not paragraph:
            self._last = (paragraph, self._tokenize(paragraph))
        return self._last[1]

    def _tokenize(self, paragraph: Paragraph) -> TokenizedParagraph:
        tokens: list[str] = []
        word_of: list[int] = []
        first_token: list[int] = []
        for number, word in enumerate(paragraph.words):
            first_token.append(len(tokens))
            pieces = self.tokenizer.tokenize(word)
            tokens += pieces
            word_of += [number] * len(pieces)
        vocab = self.tokenizer.vocab
        return TokenizedParagraph([vocab[token] for token in tokens], tokens, word_of, first_token)

    def windows(
        self, questions: Sequence[Question], training: bool, first: int = 0
    ) -> tuple[list[Window], ExampleTable]:
        """All windows of the questions, in order, and their table.

        Args:
            questions: The questions.
            training: Whether the table has the positions of the answers.
            first: How many windows there were before, for the `unique_ids`.
        """
        windows: list[Window] = []
        names = prediction_schema(self.max_seq_length).features
        if training:
            names = training_schema(self.max_seq_length).features
        columns: dict[str, list[Any]] = {feature.name: [] for feature in names}
        for number, question in enumerate(questions):
            for window, row in self._rows(number, question, training):
                row["unique_ids"] = FIRST_ID + first + len(windows)
                windows.append(window)
                for name, values in columns.items():
                    values.append(row[name])
        return windows, ExampleTable.build(columns, SEQUENCES)

    def _rows(
        self, number: int, question: Question, training: bool
    ) -> Iterator[tuple[Window, dict[str, Any]]]:
        vocab, context = self.tokenizer.vocab, self.tokenized(question.paragraph)
        query = self.tokenizer.encode(question.text)
        self.cut_questions += len(query) > self.max_query_length
        query = query[: self.max_query_length]
        answer = self._answer_tokens(question, context) if training else None
        spans = spans_of(
            len(context.ids), self.max_seq_length - len(query) - SPECIALS_PAIR, self.doc_stride
        )
        found = False
        for (first, size), best in zip(spans, max_context(spans) if spans else (), strict=True):
            packed = pack(
                query,
                context.ids[first : first + size],
                max_seq_length=self.max_seq_length,
                cls_id=vocab["[CLS]"],
                sep_id=vocab["[SEP]"],
            )
            offset = len(query) + 2
            start = end = 0  # [CLS], where the window does not hold the whole answer
            if answer and first <= answer[0] and answer[1] < first + size:
                start, end = (place - first + offset for place in answer)
                found = True
            yield (
                Window(number, first, size, offset, best),
                {
                    "input_ids": packed.input_ids,
                    "input_mask": packed.input_mask,
                    "segment_ids": packed.segment_ids,
                    "start_positions": start,
                    "end_positions": end,
                    "is_impossible": int(question.is_impossible),
                },
            )
        self.lost_answers += answer is not None and not found

    def _answer_tokens(
        self, question: Question, context: TokenizedParagraph
    ) -> tuple[int, int] | None:
        """First and last token of the answer, as narrow as its own tokens allow."""
        if question.first_word == NO_POSITION:
            return None
        start = context.first_token[question.first_word]
        end = len(context.tokens) - 1
        if question.last_word < len(question.paragraph.words) - 1:
            end = context.first_token[question.last_word + 1] - 1
        wanted = self.tokenizer.tokenize(question.answer)
        for new_start in range(start, end + 1):
            # The original tries every end from the last to the first; only one has the length.
            new_end = new_start + len(wanted) - 1
            if wanted and new_end <= end and context.tokens[new_start : new_end + 1] == wanted:
                return new_start, new_end
        return start, end
