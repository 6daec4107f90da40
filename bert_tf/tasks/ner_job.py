"""What run_ner does with its files."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seqeval.metrics import classification_report

from bert_tf import files
from bert_tf.inputs.examples import ExampleTable
from bert_tf.reporting import entities as entity_pages
from bert_tf.reporting.page import Findings
from bert_tf.tasks.job import Outputs, Setting, path_of
from bert_tf.tasks.ner import SEQUENCES, NerFeaturizer, NerTask, TaggedWord, schema
from bert_tf.tasks.ner_data import (
    OUTSIDE,
    Document,
    entities_of,
    entity_row,
    learn_tags,
    read_columns,
    read_plain,
)
from bert_tf.tasks.task import PredictingTask

PLAIN_SUFFIX = ".txt"
CHUNK = 64  # documents that are predicted at once

Words = list[list[TaggedWord]]  # that each window tags


@dataclass
class NerJob:
    """See `tasks.job.Job`.

    Attributes:
        paths: `train`, `dev` and `test` to files, those that are given.
        setting: What every job is given.
        context: `document` or `sentence`.
        features: See `NerTask`.
        known_tags: Of a model trained before; None to learn them from the training file.
        tags_from: Where they are written, for messages.
    """

    paths: Mapping[str, Path]
    setting: Setting
    context: str
    features: str | None = None
    known_tags: tuple[str, ...] | None = None
    tags_from: str = "the training file"
    _documents: dict[str, list[Document]] = field(default_factory=dict)
    _tables: dict[str, tuple[Words, ExampleTable]] = field(default_factory=dict)
    _words: list[Words] = field(default_factory=list)  # of the chunks to predict

    @property
    def metric(self) -> str:
        """F1 of entities decides."""
        return "f1"

    @property
    def tags(self) -> tuple[str, ...]:
        """The classes."""
        if self.known_tags is None:
            if "train" not in self.paths:
                raise ValueError(
                    "The tags are learned from the training file, or read from the task.json of a "
                    "model trained before in --output_dir or --init_checkpoint, or the id2label of "
                    "a Hugging Face folder, but there is none of them."
                )
            self.known_tags = learn_tags(self._read("train"))
        return self.known_tags

    def task(self, seed: int) -> PredictingTask:
        """The task."""
        length = self.setting.max_seq_length
        return NerTask(self.setting.config, length, len(self.tags), seed, self.features)

    def describe(self) -> dict[str, object]:
        """Task, tags, lengths."""
        return {
            "task": "ner",
            "labels": list(self.tags),
            "context": self.context,
            "features": self.features,
            **self.setting.describe(),
        }

    def _read(self, split: str) -> list[Document]:
        if split not in self._documents:
            path = path_of(self.paths, split, "sentences")
            if path.suffix == PLAIN_SUFFIX and split == "test":
                self._documents[split] = read_plain(path)
            else:
                self._documents[split] = read_columns(path, tagged=split != "test")
        return self._documents[split]

    def _featurizer(self) -> NerFeaturizer:
        setting = self.setting
        return NerFeaturizer(
            setting.tokenizer, setting.max_seq_length, self.tags, self.context, self.tags_from
        )

    def _made(self, split: str) -> tuple[Words, ExampleTable]:
        if split not in self._tables:
            featurizer = self._featurizer()
            self._tables[split] = featurizer.table(self._read(split))
            self.setting.report(featurizer)
        return self._tables[split]

    def training_examples(self) -> ExampleTable:
        """Tokenized now, or read from `train.tf_record`."""
        self._read("train")  # A file that does not fit fails before anything is hashed.
        return self.setting.cached(
            "train.tf_record",
            self.paths["train"],
            schema(self.setting.max_seq_length),
            SEQUENCES,
            {"task": self.describe()},
            lambda: self._made("train")[1],
        )

    def epoch_size(self, table: ExampleTable) -> int:
        """All windows."""
        return len(table)

    def evaluation_examples(self) -> ExampleTable:
        """Windows of the development file."""
        return self._made("dev")[1]

    def _predicted(self, split: str, parts: Iterable[tuple[Words, Outputs]]) -> list[list[str]]:
        """The tags of every sentence's words, from the outputs of all windows, part by part."""
        sentences = [sentence for document in self._read(split) for sentence in document]
        tags = [[OUTSIDE] * len(sentence.words) for sentence in sentences]
        for tagged, outputs in parts:
            for words, row in zip(tagged, outputs["tags"], strict=True):
                for word in words:
                    tags[word.sentence][word.word] = self.tags[int(row[word.place])]
        return tags

    def _evaluated(self, outputs: Outputs) -> list[list[str]]:
        return self._predicted("dev", [(self._made("dev")[0], outputs)])

    def score(self, outputs: Outputs) -> dict[str, float]:
        """Precision, recall and F1 of entities, in all and of each kind, by seqeval."""
        gold = [list(s.tags or ()) for document in self._read("dev") for s in document]
        return entity_scores(gold, self._evaluated(outputs))

    def write_evaluation(
        self, outputs: Outputs, scores: Mapping[str, float], directory: Path
    ) -> None:
        """`eval_predictions.txt`: the words with their tags and the predicted ones."""
        self._write_columns("dev", self._evaluated(outputs), directory / "eval_predictions.txt")

    def report(self, outputs: Outputs) -> Findings:
        """Of the kinds, and sentences with their right and predicted entities."""
        sentences = [sentence for document in self._read("dev") for sentence in document]
        tagged = [
            entity_pages.Tagged(sentence.words, _entities(sentence.tags or ()), _entities(said))
            for sentence, said in zip(sentences, self._evaluated(outputs), strict=True)
        ]
        sections = entity_pages.sections(tagged)
        return Findings("Named entities", str(self.paths["dev"]), len(tagged), sections)

    def prediction_examples(self) -> Iterator[ExampleTable]:
        """Windows of some documents at a time: the sentences of a document may share them."""
        featurizer, first = self._featurizer(), 0
        documents = iter(self._read("test"))
        while part := list(itertools.islice(documents, CHUNK)):
            tagged, table = featurizer.table(part, first)
            first += sum(map(len, part))
            self._words.append(tagged)
            yield table
        self.setting.report(featurizer)

    def write_predictions(self, outputs: Iterator[Outputs], directory: Path) -> None:
        """`predictions.txt` in columns, and `predictions.jsonl` with the entities' offsets."""
        tags = self._predicted("test", ((self._words.pop(0), each) for each in outputs))
        self._write_columns("test", tags, directory / "predictions.txt")
        with files.writing(directory / "predictions.jsonl") as lines:
            sentences = (s for document in self._read("test") for s in document)
            for sentence, own in zip(sentences, tags, strict=True):
                entities = [entity_row(sentence, entity) for entity in entities_of(own)]
                row = {"text": sentence.text, "words": sentence.words, "entities": entities}
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.setting.say(f"Predicted: {directory / 'predictions.jsonl'}")

    def _write_columns(self, split: str, tags: Sequence[Sequence[str]], path: Path) -> None:
        rows = iter(tags)
        with files.writing(path) as file:
            for document in self._read(split):
                file.write(f"-DOCSTART- {OUTSIDE}\n\n")
                for sentence in document:
                    gold = sentence.tags or ("",) * len(sentence.words)
                    for word, wanted, said in zip(sentence.words, gold, next(rows), strict=True):
                        file.write(" ".join(filter(None, (word, wanted, said))) + "\n")
                    file.write("\n")


def _entities(tags: Sequence[str]) -> frozenset[entity_pages.Entity]:
    return frozenset((each.kind, each.first, each.last) for each in entities_of(tags))


def entity_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, float]:
    """Precision, recall and F1 of entities by seqeval; `KIND_f1` of each kind."""
    report = classification_report(gold, predicted, output_dict=True, zero_division=0)
    scores = {
        "precision": float(report["micro avg"]["precision"]),
        "recall": float(report["micro avg"]["recall"]),
        "f1": float(report["micro avg"]["f1-score"]),
    }
    for kind, row in sorted(report.items()):
        if not kind.endswith(" avg"):
            scores[f"{kind}_f1"] = float(row["f1-score"])
    return scores
