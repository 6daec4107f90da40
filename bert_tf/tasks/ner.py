"""Named entities as tags of words, read at each word's first piece.

Shapes: B batch, T tokens, C tags.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.features import SPECIALS_SINGLE, pack
from bert_tf.inputs.records import Feature, RecordSchema
from bert_tf.inputs.text_files import TextFileError
from bert_tf.inputs.windows import max_context, spans_of
from bert_tf.modeling.bilstm import build_feature_tagger
from bert_tf.modeling.dropout import Dropout
from bert_tf.modeling.task_heads import build_token_classifier
from bert_tf.tasks.losses import accuracy, mean_cross_entropy
from bert_tf.tasks.ner_data import Document, Sentence
from bert_tf.tasks.task import POOLER, Batch, Sums, encoder_inputs
from bert_tf.tokenization import FullTokenizer

Tensor = Any

SEQUENCES = ("input_ids", "input_mask", "segment_ids", "label_ids", "label_weights")
DOCUMENT, SENTENCE = "document", "sentence"


def schema(max_seq_length: int) -> RecordSchema:
    """What a record holds; weights are 1 where a word is tagged, at its first piece."""
    return RecordSchema(tuple(Feature(name, "int64", max_seq_length) for name in SEQUENCES))


@dataclass(frozen=True)
class TaggedWord:
    """Where a word is tagged: its sentence, its number there, and its place in a window."""

    sentence: int
    word: int
    place: int


class NerFeaturizer:
    """Documents to windows of as much context as fits; every word is tagged in one of them.

    Args:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        tags: The classes.
        context: `DOCUMENT`: sentences are read with those around them; `SENTENCE`: alone.
        tags_from: Where the classes come from, for messages.

    Attributes:
        long: Units of text that took more than one window.
        units: Units of text so far: documents or sentences.
    """

    def __init__(
        self,
        tokenizer: FullTokenizer,
        max_seq_length: int,
        tags: Sequence[str],
        context: str,
        tags_from: str = "the training file",
    ) -> None:
        if max_seq_length <= SPECIALS_SINGLE:
            raise ValueError(f"--max_seq_length must be at least 3, but is {max_seq_length}.")
        self.tokenizer, self.max_seq_length, self.context = tokenizer, max_seq_length, context
        self._numbers = {tag: number for number, tag in enumerate(tags)}
        self._tags_from = tags_from
        self._words: dict[str, list[int]] = {}
        self.long = self.units = 0

    def table(
        self, documents: Sequence[Document], first: int = 0
    ) -> tuple[list[list[TaggedWord]], ExampleTable]:
        """The words that each window tags, and the windows; sentences are counted from `first`."""
        columns: dict[str, list[Any]] = {name: [] for name in SEQUENCES}
        tagged: list[list[TaggedWord]] = []
        number = first  # of the sentence, over all documents
        for document in documents:
            units = [document] if self.context == DOCUMENT else [[each] for each in document]
            for unit in units:
                for words, row in self._windows(unit, number):
                    tagged.append(words)
                    for name, values in row.items():
                        columns[name].append(values)
                number += len(unit)
        return tagged, ExampleTable.build(columns, SEQUENCES)

    def _pieces(self, word: str) -> list[int]:
        pieces = self._words.get(word)
        if pieces is None:
            # A word of characters that the tokenizer drops still needs a place to be tagged at.
            pieces = self.tokenizer.encode(word) or [self.tokenizer.vocab["[UNK]"]]
            self._words[word] = pieces
        return pieces

    def _windows(
        self, sentences: Sequence[Sentence], first: int
    ) -> Iterator[tuple[list[TaggedWord], dict[str, npt.NDArray[Any] | list[int]]]]:
        ids: list[int] = []
        words: dict[int, tuple[int, int, int]] = {}  # place of the first piece: word and label
        for number, sentence in enumerate(sentences, start=first):
            labels = self._labels(sentence)
            for place, word in enumerate(sentence.words):
                words[len(ids)] = (number, place, labels[place])
                ids += self._pieces(word)
        room = self.max_seq_length - SPECIALS_SINGLE
        spans = spans_of(len(ids), room, max(room // 2, 1))
        self.units += 1
        self.long += len(spans) > 1
        for (begin, size), best in zip(spans, max_context(spans), strict=True):
            yield self._window(ids[begin : begin + size], begin, best, words)

    def _window(
        self,
        ids: list[int],
        begin: int,
        best: npt.NDArray[np.bool_],
        words: Mapping[int, tuple[int, int, int]],
    ) -> tuple[list[TaggedWord], dict[str, npt.NDArray[Any] | list[int]]]:
        vocab = self.tokenizer.vocab
        packed = pack(
            ids,
            max_seq_length=self.max_seq_length,
            cls_id=vocab["[CLS]"],
            sep_id=vocab["[SEP]"],
        )
        labels = np.zeros(self.max_seq_length, np.int64)
        weights = np.zeros(self.max_seq_length, np.int64)
        tagged = []
        for place in range(len(ids)):
            if best[place] and (found := words.get(begin + place)):
                sentence, word, label = found
                tagged.append(TaggedWord(sentence, word, place + 1))  # after [CLS]
                labels[place + 1], weights[place + 1] = label, 1
        return tagged, {
            "input_ids": packed.input_ids,
            "input_mask": packed.input_mask,
            "segment_ids": packed.segment_ids,
            "label_ids": labels,
            "label_weights": weights,
        }

    def _labels(self, sentence: Sentence) -> list[int]:
        if sentence.tags is None:
            return [0] * len(sentence.words)
        unknown = [tag for tag in sentence.tags if tag not in self._numbers]
        if unknown:
            raise TextFileError(
                f"{sentence.where}: every tag must be one of those of {self._tags_from}, "
                f"{', '.join(self._numbers)}, but {unknown[0]!r} is not."
            )
        return [self._numbers[tag] for tag in sentence.tags]

    def report(self) -> str | None:
        """A line about what was read in several windows, or None."""
        if not self.long:
            return None
        what = "documents" if self.context == DOCUMENT else "sentences"
        return (
            f"{self.long} of {self.units} {what} are longer than --max_seq_length = "
            f"{self.max_seq_length} and are read in several windows."
        )


class NerTask:
    """A tag for every word.

    Args:
        config: The model's sizes.
        max_seq_length: T of the records.
        num_tags: C.
        seed: Seed of the initialisation; None draws one.
        features: None to fine-tune; one of `bilstm.FEATURES` for a tagger on a frozen encoder.

    Raises:
        ValueError: If T is more than the model's positions.

    Source: arXiv 1810.04805, section 5.3.
    """

    sum_names: tuple[str, ...] = ("loss_sum", "correct", "words")
    unread: tuple[str, ...] = (POOLER,)
    token_outputs: tuple[str, ...] = ("tags",)

    def __init__(
        self,
        config: BertConfig,
        max_seq_length: int,
        num_tags: int,
        seed: int | None = None,
        features: str | None = None,
    ) -> None:
        config.check_length(max_seq_length)
        self.config, self.max_seq_length = config, max_seq_length
        self.num_tags, self.seed, self.features = num_tags, seed, features

    def build_model(self) -> keras.Model:
        """Encoder and output layer or tagger, newly initialised."""
        if self.features:
            return build_feature_tagger(self.config, self.num_tags, self.features, self.seed)
        return build_token_classifier(self.config, self.num_tags, self.seed)

    def schema(self) -> tuple[RecordSchema, Mapping[str, int]]:
        """Ids and tags are checked."""
        limits = {"input_ids": self.config.vocab_size, "label_ids": self.num_tags}
        return schema(self.max_seq_length), limits

    def _weights(self, batch: Batch) -> Tensor:
        words = ops.cast(batch["label_weights"], "float32")  # [B, T]
        return words * batch["example_weight"][:, None]

    def totals(self, batch: Batch) -> Sums:
        """Number of words."""
        return {"words": ops.sum(self._weights(batch))}

    def _logits(self, model: keras.Model, batch: Batch, dropout: Dropout | None) -> Tensor:
        return model(encoder_inputs(batch), dropout=dropout)["logits"]  # [B, T, C]

    def loss(
        self, model: keras.Model, batch: Batch, totals: Sums, dropout: Dropout | None
    ) -> tuple[Tensor, Sums]:
        """Mean cross entropy of the words; see `Task.loss`."""
        logits, weights = self._logits(model, batch, dropout), self._weights(batch)
        return mean_cross_entropy(logits, batch["label_ids"], weights, totals["words"], "words")

    def metrics(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Share of right tags."""
        return accuracy(sums, "words")

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, Tensor]:
        """The likeliest tags, int32 [B, T]."""
        logits = self._logits(model, batch, None)
        return {"tags": ops.cast(ops.argmax(logits, axis=-1), "int32")}
