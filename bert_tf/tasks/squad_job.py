"""What run_squad does with its files: windows in, answers and scores out."""

import itertools
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bert_tf import files
from bert_tf.inputs.examples import ExampleTable, cached
from bert_tf.reporting import answers as answer_pages
from bert_tf.reporting.page import Findings
from bert_tf.tasks import squad_report, squad_scores
from bert_tf.tasks.job import Outputs, Setting, holds_weights, read_task, write_task
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
CHUNK = 512  # questions that are predicted at once
THRESHOLD = "null_score_diff_threshold"  # in task.json
WEIGHTS = "null_score_diff_threshold_of"  # which weights it was found with, there too

Answers = dict[str, Answer]  # by the questions' identifiers


@dataclass(frozen=True)
class SquadOptions:
    """What run_squad is told beside the training; names and defaults of the 2018 flags.

    Attributes:
        train_file: Questions to train on.
        predict_file: Questions to answer; where it has their answers, they are scored.
        version_2: Whether questions may have no answer.
        null_threshold: Null odds above which the answer is none; None takes what an evaluation
            found to be best, or else the original's 0.0.
        known_threshold: What an evaluation of the model in --init_checkpoint found.
        init_checkpoint: The weights to start from, as given.
        max_query_length: Tokens of a question.
        pad_to_batch: See `SquadTask`.
    """

    train_file: Path | None
    predict_file: Path | None
    version_2: bool
    null_threshold: float | None = None
    known_threshold: float | None = None
    init_checkpoint: str | None = None
    max_query_length: int = 64
    pad_to_batch: bool = False


@dataclass(frozen=True)
class Chunk:
    """Questions, and all their windows with their table."""

    questions: list[Question]
    windows: list[Window]
    table: ExampleTable


@dataclass
class SquadJob:
    """See `tasks.job.Job`.

    Attributes:
        options: What run_squad is told.
        setting: What every job is given; its stride is --doc_stride.
        finder: Finds answers in logits.
    """

    options: SquadOptions
    setting: Setting
    finder: AnswerFinder
    _read: SquadFile | None = None
    _evaluated: Chunk | None = None
    _chunks: list[Chunk] = field(default_factory=list)
    _answered: tuple[Outputs, Answers, float] | None = None

    def __post_init__(self) -> None:
        setting = self.setting
        self.featurizer = SquadFeaturizer(
            setting.tokenizer,
            setting.max_seq_length,
            setting.stride,
            self.options.max_query_length,
        )

    @property
    def metric(self) -> str:
        """F1 decides."""
        return "f1"

    def task(self, seed: int) -> PredictingTask:
        """The task."""
        length = self.setting.max_seq_length
        return SquadTask(self.setting.config, length, self.options.pad_to_batch, seed)

    def describe(self) -> dict[str, object]:
        """Task and lengths."""
        return {
            "task": "squad",
            "version_2": self.options.version_2,
            "doc_stride": self.setting.stride,
            "max_query_length": self.options.max_query_length,
            **self.setting.describe(),
        }

    def training_examples(self) -> ExampleTable:
        """Windows of the training file, made now or read from `train.tf_record`."""
        path = self.options.train_file
        if path is None:
            raise ValueError("--do_train needs the questions to train on: give --train_file.")

        def make() -> ExampleTable:
            read = read_squad(path, training=True, version_2=self.options.version_2)
            questions = list(read.questions)
            random.Random(_SHUFFLE_SEED).shuffle(questions)
            _, table = self.featurizer.windows(questions, training=True)
            self._report(read.unrecoverable)
            return table

        schema = training_schema(self.setting.max_seq_length)
        key = {"task": self.describe()}
        return self.setting.cached("train.tf_record", path, schema, SEQUENCES, key, make)

    def epoch_size(self, table: ExampleTable) -> int:
        """Questions of the training file: the original counts them, not their windows."""
        path = self.options.train_file
        if path is None:
            return len(table)
        return len(read_squad(path, True, self.options.version_2).questions)

    def _report(self, unrecoverable: int = 0) -> None:
        features = self.featurizer
        for count, what in (
            (unrecoverable, "questions were left out: their answer is not in the context"),
            (features.lost_answers, "answers are longer than what any window shows of them"),
            (features.cut_questions, "questions were cut to --max_query_length"),
        ):
            if count:
                self.setting.say(f"{count} {what}.")
        features.lost_answers = features.cut_questions = 0

    def evaluation_examples(self) -> ExampleTable:
        """Windows of the file to predict, which must have answers."""
        if not self._file().has_answers:
            raise ValueError(
                f"--predict_file={self.options.predict_file} must have answers to be evaluated on, "
                "but has none. Give --do_predict alone."
            )
        return self._whole().table

    def _whole(self) -> Chunk:
        """All questions at once; kept, for scores need them again."""
        if self._evaluated is None:
            questions = self._file().questions
            self._evaluated = Chunk(questions, *self.featurizer.windows(questions, training=False))
            self._keep([self._evaluated.table])
        return self._evaluated

    def _file(self) -> SquadFile:
        if self._read is None:
            if self.options.predict_file is None:
                raise ValueError("--do_predict needs the questions: give --predict_file.")
            self._read = read_squad(self.options.predict_file, False, self.options.version_2)
        return self._read

    def _keep(self, tables: Sequence[ExampleTable]) -> None:
        """Says what did not fit, and writes `eval.tf_record` as the original does."""
        self._report()
        whole = ExampleTable.concatenate(tables)
        path = self.setting.directory / "eval.tf_record"
        schema = prediction_schema(self.setting.max_seq_length)
        cached(path, schema, SEQUENCES, {"questions": whole.fingerprint()}, lambda: whole)

    def answers(self, outputs: Outputs, chunk: Chunk) -> Answers:
        """The answer of every question of a chunk, from the logits of all its windows."""
        by_question: dict[int, list[Any]] = defaultdict(list)
        logits = zip(chunk.windows, outputs["start_logits"], outputs["end_logits"], strict=True)
        for window, start, end in logits:
            by_question[window.question].append((window, start, end))
        return {
            question.identifier: self.finder.answer(
                question, self._context(question), by_question[number]
            )
            for number, question in enumerate(chunk.questions)
        }

    def _known(self, outputs: Outputs) -> tuple[Answers, float]:
        """Answers and threshold; kept, for scores, files and the page all need them."""
        if self._answered is None or self._answered[0] is not outputs:
            threshold = self.options.null_threshold or 0.0
            self._answered = (outputs, self.answers(outputs, self._whole()), threshold)
        return self._answered[1:]

    def _context(self, question: Question) -> TokenizedParagraph:
        return self.featurizer.tokenized(question.paragraph)

    def score(self, outputs: Outputs) -> dict[str, float]:
        """The official scores, at the threshold given or 0.0; of v2.0 the best threshold, too."""
        return self._scores(*self._known(outputs))

    def _scored(self) -> list[Question]:
        """Version 1.1 scores what has an answer; in 2.0, having none is one."""
        everything = self.options.version_2
        return [each for each in self._file().questions if each.answers or everything]

    def _scores(self, answers: Answers, threshold: float) -> dict[str, float]:
        gold = {question.identifier: question.answers for question in self._scored()}
        predictions = self._chosen(answers, threshold)
        if not self.options.version_2:
            return squad_scores.version_1(gold, predictions)
        texts = {name: answer.best.text if answer.best else "" for name, answer in answers.items()}
        odds = {name: answer.null_odds for name, answer in answers.items()}
        return {
            **squad_scores.version_2(gold, predictions),
            **squad_scores.best_thresholds(gold, texts, odds),
        }

    def _chosen(self, answers: Answers, threshold: float) -> dict[str, str]:
        """The text of each answer; empty for none."""
        return {name: self.finder.choose(answer, threshold) for name, answer in answers.items()}

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """The same files as a prediction; of v2.0, the threshold of the best F1 in `task.json`."""
        self._write(*self._known(outputs), directory)
        if self.options.version_2:
            known = read_task(directory)
            content = known.content if known else self.describe()
            found = {THRESHOLD: scores["best_f1_thresh"], WEIGHTS: self._weights(directory)}
            write_task(directory, {**content, **found})

    def report(self, outputs: Outputs) -> Findings:
        """Scores by kind of question, and the worst mistakes in their contexts."""
        (answers, threshold), questions = self._known(outputs), self._scored()
        version_2 = self.options.version_2
        chosen = self._chosen(answers, threshold)

        def show(number: int) -> answer_pages.ShownAnswer:
            question = questions[number]
            name = question.identifier
            context = self._context(question)
            row = self.finder.row(question, context, answers[name], chosen[name])
            return squad_report.shown(question, row["start"], row["end"])

        sections = answer_pages.sections(
            squad_report.answered(questions, answers, chosen, version_2),
            show,
            threshold if version_2 else None,
        )
        title = f"Question answering: SQuAD {'2.0' if version_2 else '1.1'}"
        return Findings(title, str(self.options.predict_file), len(questions), sections)

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """Windows of some questions at a time: the windows of a question belong together."""
        if self._evaluated is not None:  # They are made already.
            self._chunks.append(self._evaluated)
            yield self._evaluated.table
            return
        questions, windows = iter(self._file().questions), 0
        tables = []
        while part := list(itertools.islice(questions, CHUNK)):
            chunk = Chunk(part, *self.featurizer.windows(part, training=False, first=windows))
            windows += len(chunk.windows)
            tables.append(chunk.table)
            self._chunks.append(chunk)
            yield chunk.table
        self._keep(tables)

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> Outputs | None:
        """`predictions.json`, `nbest_predictions.json`, `null_odds.json` as the original's."""
        answers: Answers = {}
        for each in outputs:
            answers |= self.answers(each, self._chunks.pop(0))
        threshold = self._threshold(directory)
        self._write(answers, threshold, directory)
        scored: Outputs | None = None
        if self._file().has_answers:
            scored = {}  # Answers are all that scores and page ask for, and these are known.
            self._answered = (scored, answers, threshold)
            scores = self._scores(answers, threshold)
            text = "".join(f"{name} = {value}\n" for name, value in sorted(scores.items()))
            files.write_text(directory / "predict_results.txt", text)
            self.setting.say(text.rstrip())
        self.setting.say(f"Predicted: {directory / 'predictions.json'}")
        return scored

    def _threshold(self, directory: Path) -> float:
        """What was given, or what an evaluation of this model found, or else the original's 0.0."""
        options = self.options
        if not options.version_2 or options.null_threshold is not None:
            return options.null_threshold or 0.0
        own = read_task(directory)
        ours = own is not None and own.content.get(WEIGHTS) == self._weights(directory)
        found = own.content.get(THRESHOLD) if own is not None and ours else None
        found = options.known_threshold if found is None else found
        if found is None:
            return 0.0
        self.setting.say(f"--{THRESHOLD}={found} was best in an evaluation of this model.")
        return float(found)

    def _weights(self, directory: Path) -> str | None:
        """Which weights answer: the directory's own (None), or those that are started from."""
        return None if holds_weights(directory) else self.options.init_checkpoint

    def _write(self, answers: Answers, threshold: float, directory: Path) -> None:
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
        chosen = self._chosen(answers, threshold)
        _write_json(directory / "predictions.json", chosen)
        _write_json(directory / "nbest_predictions.json", nbest)
        if self.options.version_2:
            odds = {name: answer.null_odds for name, answer in answers.items()}
            _write_json(directory / "null_odds.json", odds)
        with files.writing(directory / "predictions.jsonl") as lines:
            for question in self._file().questions:
                name = question.identifier
                context = self._context(question)
                row = self.finder.row(question, context, answers[name], chosen[name])
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")


def _write_json(path: Path, content: object) -> None:
    files.write_text(path, json.dumps(content, indent=4) + "\n")
