"""What run_squad does with its files: windows in, answers and scores out."""

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_tf import files
from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable, cached, file_digest
from bert_tf.reporting import answers as answer_pages
from bert_tf.reporting.page import Findings
from bert_tf.tasks import squad_report, squad_scores
from bert_tf.tasks.job import Outputs
from bert_tf.tasks.squad import SquadTask
from bert_tf.tasks.squad_answers import Answer, AnswerFinder
from bert_tf.tasks.squad_data import Question, SquadFile, read_squad
from bert_tf.tasks.squad_features import (
    SEQUENCES,
    SquadFeaturizer,
    TokenizedParagraph,
    Window,
    prediction_schema,
    training_schema,
)
from bert_tf.tasks.task import PredictingTask

# The original shuffles the questions with this seed before it makes records of them.
_SHUFFLE_SEED = 12345


@dataclass(frozen=True)
class SquadOptions:
    """What run_squad is told beside the training; names and defaults of the 2018 flags.

    Attributes:
        train_file: Questions to train on.
        predict_file: Questions to answer; where it has their answers, they are scored.
        version_2: Whether questions may have no answer.
        null_threshold: Null odds above which the answer is none.
        output_dir: Where tokenized examples are kept.
        vocab_file: The vocabulary, for the key of the cache.
        pad_to_batch: See `SquadTask`.
    """

    train_file: Path | None
    predict_file: Path | None
    version_2: bool
    null_threshold: float
    output_dir: Path
    vocab_file: Path
    pad_to_batch: bool = False


@dataclass
class SquadJob:
    """See `tasks.job.Job`."""

    options: SquadOptions
    config: BertConfig
    featurizer: SquadFeaturizer
    finder: AnswerFinder
    say: Callable[[str], None] = lambda _: None
    _read: SquadFile | None = None
    _windows: list[Window] = field(default_factory=list)
    _table: ExampleTable | None = None
    _answers: tuple[Any, dict[str, Answer]] | None = None

    @property
    def metric(self) -> str:
        """F1 decides."""
        return "f1"

    def task(self, seed: int) -> PredictingTask:
        """The task."""
        length = self.featurizer.max_seq_length
        return SquadTask(self.config, length, self.options.pad_to_batch, seed)

    def describe(self) -> dict[str, object]:
        """Task, lengths, and how answers are chosen."""
        features = self.featurizer
        return {
            "task": "squad",
            "version_2": self.options.version_2,
            "max_seq_length": features.max_seq_length,
            "doc_stride": features.doc_stride,
            "max_query_length": features.max_query_length,
            "do_lower_case": features.tokenizer.do_lower_case,
            "null_score_diff_threshold": self.options.null_threshold,
        }

    def training_examples(self) -> ExampleTable:
        """Windows of the training file, made now or read from `train.tf_record`."""
        path = self.options.train_file
        if path is None:
            raise ValueError("--do_train needs the questions to train on: give --train_file.")
        key = {
            "file": file_digest(path),
            "vocabulary": file_digest(self.options.vocab_file),
            "task": self.describe(),
        }

        def make() -> ExampleTable:
            read = read_squad(path, training=True, version_2=self.options.version_2)
            questions = list(read.questions)
            random.Random(_SHUFFLE_SEED).shuffle(questions)
            _, table = self.featurizer.windows(questions, training=True)
            self._report(read)
            return table

        schema = training_schema(self.featurizer.max_seq_length)
        return cached(self.options.output_dir / "train.tf_record", schema, SEQUENCES, key, make)

    def epoch_size(self, table: ExampleTable) -> int:
        """Questions of the training file: the original counts them, not their windows."""
        path = self.options.train_file
        if path is None:
            return len(table)
        return len(read_squad(path, True, self.options.version_2).questions)

    def _report(self, read: SquadFile) -> None:
        features = self.featurizer
        for count, what in (
            (read.unrecoverable, "questions were left out: their answer is not in the context"),
            (features.lost_answers, "answers are longer than what any window shows of them"),
            (features.cut_questions, "questions were cut to --max_query_length"),
        ):
            if count:
                self.say(f"{count} {what}.")
        features.lost_answers = features.cut_questions = 0

    def evaluation_examples(self) -> ExampleTable:
        """Windows of the file to predict, which must have answers."""
        table = self._predicted_table()
        if not self._file().has_answers:
            raise ValueError(
                f"--predict_file={self.options.predict_file} must have answers to be evaluated on, "
                "but has none. Give --do_predict alone."
            )
        return table

    def _file(self) -> SquadFile:
        if self._read is None:
            if self.options.predict_file is None:
                raise ValueError("--do_predict needs the questions: give --predict_file.")
            self._read = read_squad(self.options.predict_file, False, self.options.version_2)
        return self._read

    def _predicted_table(self) -> ExampleTable:
        if self._table is None:
            self._windows, self._table = self.featurizer.windows(self._file().questions, False)
            self._report(SquadFile([], 0, False))
            path = self.options.output_dir / "eval.tf_record"
            schema = prediction_schema(self.featurizer.max_seq_length)
            made = self._table
            cached(path, schema, SEQUENCES, {"questions": made.fingerprint()}, lambda: made)
        return self._table

    def answers(self, outputs: Outputs) -> dict[str, Answer]:
        """The answer of every question, from the logits of all windows."""
        if self._answers is None or self._answers[0] is not outputs:
            self._answers = (outputs, self._find(outputs))
        return self._answers[1]

    def _find(self, outputs: Outputs) -> dict[str, Answer]:
        by_question: dict[int, list[Any]] = defaultdict(list)
        logits = zip(self._windows, outputs["start_logits"], outputs["end_logits"], strict=True)
        for window, start, end in logits:
            by_question[window.question].append((window, start, end))
        return {
            question.identifier: self.finder.answer(
                question, self._context(question), by_question[number]
            )
            for number, question in enumerate(self._file().questions)
        }

    def _context(self, question: Question) -> TokenizedParagraph:
        return self.featurizer.tokenized(question.paragraph)

    def score(self, outputs: Outputs) -> dict[str, float]:
        """The official scores; of v2.0 the best thresholds, too."""
        answers = self.answers(outputs)
        gold = {question.identifier: question.answers for question in self._scored()}
        predictions = {name: self._chosen(answer) for name, answer in answers.items()}
        if not self.options.version_2:
            return squad_scores.version_1(gold, predictions)
        texts = {name: answer.best.text if answer.best else "" for name, answer in answers.items()}
        odds = {name: answer.null_odds for name, answer in answers.items()}
        return {
            **squad_scores.version_2(gold, predictions),
            **squad_scores.best_thresholds(gold, texts, odds),
        }

    def _scored(self) -> list[Question]:
        """Version 1.1 scores what has an answer; in 2.0, having none is one."""
        everything = self.options.version_2
        return [each for each in self._file().questions if each.answers or everything]

    def _chosen(self, answer: Answer) -> str:
        if not self.options.version_2:
            return answer.nbest[0].text
        if answer.best is None or answer.null_odds > self.options.null_threshold:
            return ""
        return answer.best.text

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """The same files as a prediction."""
        self._write(outputs, directory)

    def report(self, outputs: Outputs) -> Findings:
        """Scores by kind of question, and the worst mistakes in their contexts."""
        answers, questions = self.answers(outputs), self._scored()
        version_2 = self.options.version_2
        chosen = {name: self._chosen(answer) for name, answer in answers.items()}

        def show(number: int) -> answer_pages.ShownAnswer:
            question = questions[number]
            row = self._row(question, answers[question.identifier])
            return squad_report.shown(question, row["start"], row["end"])

        sections = answer_pages.sections(
            squad_report.answered(questions, answers, chosen, version_2),
            show,
            self.options.null_threshold if version_2 else None,
        )
        title = f"Question answering: SQuAD {'2.0' if version_2 else '1.1'}"
        return Findings(title, str(self.options.predict_file), len(questions), sections)

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """All windows at once: the windows of a question belong together."""
        yield self._predicted_table()

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> Outputs | None:
        """`predictions.json`, `nbest_predictions.json`, `null_odds.json` as the original's."""
        scored = None
        for each in outputs:
            self._write(each, directory)
            if self._file().has_answers:
                scored = each
                scores = self.score(each)
                text = "".join(f"{name} = {value}\n" for name, value in sorted(scores.items()))
                files.write_text(directory / "predict_results.txt", text)
                self.say(text.rstrip())
        self.say(f"Predicted: {directory / 'predictions.json'}")
        return scored

    def _write(self, outputs: Outputs, directory: Path) -> None:
        answers = self.answers(outputs)
        nbest = {
            name: [
                {
                    "text": entry.text,
                    "probability": probability,
                    "start_logit": entry.start_logit,
                    "end_logit": entry.end_logit,
                }
                for entry, probability in zip(answer.nbest, answer.probabilities, strict=True)
            ]
            for name, answer in answers.items()
        }
        chosen = {name: self._chosen(answer) for name, answer in answers.items()}
        _write_json(directory / "predictions.json", chosen)
        _write_json(directory / "nbest_predictions.json", nbest)
        if self.options.version_2:
            odds = {name: answer.null_odds for name, answer in answers.items()}
            _write_json(directory / "null_odds.json", odds)
        with files.writing(directory / "predictions.jsonl") as lines:
            for question in self._file().questions:
                row = self._row(question, answers[question.identifier])
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _row(self, question: Question, answer: Answer) -> dict[str, Any]:
        """A line of `predictions.jsonl`: the answer with its place in the context."""
        text = self._chosen(answer)
        entry = next((each for each in answer.nbest if each.text == text and each.span), None)
        start = end = None
        if entry and entry.span:
            start, end = self.finder.characters(question, self._context(question), entry.span)
        return {
            "id": question.identifier,
            "question": question.text,
            "text": text,
            "start": start,
            "end": end,
            "span": None if start is None else question.paragraph.text[start:end],
            "score": entry.score if entry else None,
            "null_odds": answer.null_odds if self.options.version_2 else None,
        }


def _write_json(path: Path, content: object) -> None:
    files.write_text(path, json.dumps(content, indent=4) + "\n")
