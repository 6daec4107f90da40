"""Named entities, strings in and places out: what `run_ner` predicts, in one graph.

Shapes: B texts, W windows, T tokens of the model's input, C tags, N words of all texts, E most
entities of a text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.inputs.features import SPECIALS_SINGLE
from bert_tf.modeling.bilstm import build_feature_tagger
from bert_tf.modeling.task_heads import build_token_classifier
from bert_tf.tasks.metrics import softmax
from bert_tf.tasks.ner import SENTENCE, NerFeaturizer
from bert_tf.tasks.ner_data import (
    OUTSIDE,
    Sentence,
    column_sentence,
    entities_of,
    entity_row,
    is_tag,
    plain_sentence,
)
from bert_tf.tasks.task import POOLER, encoder_inputs
from bert_tf.tokenization import FullTokenizer, require_tokens
from saved_models.building import Exported, Request
from saved_models.entities import EntityFinder
from saved_models.graph_tokenizer import GraphTokenizer
from saved_models.network import Network
from saved_models.preprocessing import pack_inputs
from saved_models.samples import ids_case
from saved_models.signatures import TaskModule, Tensors
from saved_models.windows import CHUNK, Windows, places_in, read_windows, windows_over
from saved_models.words import WHITE_SPACE, Words, split_at, split_edges

TEXT = "text_a"
WORDS = "words"  # the signature for texts that are parted into words already
NOWHERE = -1  # pads places
EXAMPLES: Mapping[str, Sequence[str]] = {
    TEXT: [
        "",
        "Peter's aunt (of the U.N.) left Köln at 7:30; \u201cOrléans\u201d, said J. Kern.",
        "東京 タワー, \u200b 한국어\u3000İstanbul ... " * 30,
    ]
}


class NerModule(TaskModule):
    """Texts of any length to the entities in them.

    `serving_default` and `serve_examples` part plain text into words as `run_ner` parts .txt files
    (`bert_tf.tasks.ner_data.plain_words`: punctuation at the edges of white-space chunks is parted
    from them); the signature `words` takes the chunks as they are, as `run_ner` does in column
    files. A text is read on its own, in overlapping windows where it is too long.

    Answers, by name, both ways:
        entities, types   string [B, E], padded with ""
        starts, ends      int32 [B, E], characters of the text, the end exclusive, padded with -1
        scores            float32 [B, E], the mean probability of the tags of the entity's words,
                          padded with 0
        count             int32 [B]

    Args:
      model: a `BertTokenClassifier` or a `FeatureTagger`, built.
      vocab_file, do_lower_case: of the model's tokenizer.
      max_seq_length: T.
      tags: what the model's C classes are.

    Raises:
      ValueError: T has no room for text, or the model has another number of classes.
      MissingTokenError: the vocabulary lacks [UNK], [CLS] or [SEP].
    """

    text_inputs: Mapping[str, tf.TensorSpec] = {TEXT: tf.TensorSpec([None], tf.string, name=TEXT)}

    def __init__(
        self,
        model: keras.Model | Network,
        vocab_file: str | Path,
        do_lower_case: bool,
        max_seq_length: int,
        tags: Sequence[str],
    ) -> None:
        super().__init__(model, "ner")
        tokenizer = FullTokenizer(vocab_file, do_lower_case)
        require_tokens(tokenizer.vocab, ("[CLS]", "[SEP]"), vocab_file)
        self.featurizer = NerFeaturizer(tokenizer, max_seq_length, tags, SENTENCE)
        self.tags = tuple(tags)
        self._room = max_seq_length - SPECIALS_SINGLE
        self.stride = max(self._room // 2, 1)  # tokens from a window to the next
        ones = np.ones([1, 2], np.int32)
        classes = self._logits(
            encoder_inputs({"input_ids": ones, "input_mask": ones, "segment_ids": 0 * ones})
        ).shape[-1]
        if classes != len(self.tags):
            raise ValueError(
                f"There must be a tag for each of the model's {classes} classes, but there are "
                f"{len(self.tags)}: {', '.join(self.tags)}. Give those that it was trained with."
            )
        self.vocab_file = tf.saved_model.Asset(str(vocab_file))
        self._tokenizer = GraphTokenizer(vocab_file, do_lower_case)
        self._finder = EntityFinder(self.tags)
        self._start, self._end = tokenizer.vocab["[CLS]"], tokenizer.vocab["[SEP]"]
        # A function that the signatures share: it holds the tokenizer's tables.
        self._read = self._no_dependency(tf.function(self._answer, autograph=False))

    def answer(self, texts: Tensors) -> Tensors:
        """Entities of plain text; see the class."""
        return self._read(texts[TEXT], split_edges(split_at(texts[TEXT], WHITE_SPACE)))

    def words(self, texts: Tensors) -> Tensors:
        """Entities of text whose words are parted by white space."""
        return self._read(texts[TEXT], split_at(texts[TEXT], WHITE_SPACE))

    def signatures(self) -> dict[str, Any]:
        """Those of every task, and `words`."""

        @tf.function(autograph=False)
        def words(**texts: tf.Tensor) -> Tensors:
            return self.words(texts)

        return super().signatures() | {WORDS: words.get_concrete_function(**self.text_inputs)}

    def _logits(self, inputs: Tensors) -> tf.Tensor:
        """[W, T, C]"""
        return self.ids(inputs)["logits"]

    def _answer(self, texts: tf.Tensor, words: Words) -> Tensors:
        logits = self._logits_of_words(words, tf.size(texts, tf.int64))  # [N, C]
        found = self._finder.find(tf.argmax(logits, axis=-1), words.texts)
        starts, ends = words.span(found.first, found.last)
        owners = tf.gather(words.texts, found.first)
        own = tf.gather(tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", "ignore"), owners)
        probabilities = tf.reduce_max(tf.nn.softmax(logits), axis=-1)
        of_words = tf.gather(probabilities, tf.ragged.range(found.first, found.last))

        def by_text(values: tf.Tensor, padding: Any) -> tf.Tensor:
            rows = tf.RaggedTensor.from_value_rowids(
                values, owners, tf.size(texts, tf.int64), validate=False
            )
            return rows.to_tensor(padding)

        return {
            "entities": by_text(
                tf.strings.substr(own, starts, ends - starts, unit="UTF8_CHAR"), ""
            ),
            "types": by_text(found.kinds, ""),
            "starts": by_text(tf.cast(starts, tf.int32), NOWHERE),
            "ends": by_text(tf.cast(ends, tf.int32), NOWHERE),
            "scores": by_text(tf.reduce_mean(of_words, axis=1), 0.0),
            "count": tf.math.unsorted_segment_sum(
                tf.ones_like(owners, tf.int32), owners, tf.size(texts)
            ),
        }

    def _logits_of_words(self, words: Words, texts: tf.Tensor) -> tf.Tensor:
        """Scores [N, C] of the words of B texts, at their first pieces."""
        pieces = self._pieces(words)
        lengths = tf.math.unsorted_segment_sum(pieces.row_lengths(), words.texts, texts)
        rooms = tf.fill(tf.shape(lengths), tf.constant(self._room, tf.int64))
        windows = windows_over(lengths, rooms, self.stride)
        inputs = pack_inputs(
            [tf.gather(pieces.values, windows.tokens)],
            tf.constant(self.featurizer.max_seq_length),
            start=self._start,
            end=self._end,
            padding=0,
        )
        logits = read_windows(self._logits, inputs, len(self.tags), cut=True)
        return _of_tokens(logits, windows, pieces.row_starts())

    def _pieces(self, words: Words) -> tf.RaggedTensor:
        """Ids, int32 ragged [N, pieces]; [UNK] of a word that the tokenizer drops."""
        spelt = self._tokenizer.spell(words.chars)
        pieces = tf.RaggedTensor.from_value_rowids(
            spelt.ids.values,
            tf.gather(spelt.rows, spelt.ids.value_rowids()),
            tf.size(words.texts, tf.int64),
            validate=False,
        )
        dropped = tf.cast(pieces.row_lengths() == 0, tf.int64)
        unknown = tf.fill([tf.reduce_sum(dropped)], self._tokenizer.unknown)
        missing = tf.RaggedTensor.from_row_lengths(unknown, dropped, validate=False)
        return tf.concat([pieces, missing], axis=1)

    def cases(
        self, model: keras.Model, texts: Mapping[str, Sequence[str]] | None = None
    ) -> list[dict[str, Any]]:
        """Calls of the signatures, and what `bert_tf.tasks` with the Keras model says to them.

        Args:
          model: what the export was made from.
          texts: texts; None for `EXAMPLES`.
        """
        texts = texts or EXAMPLES
        called = {name: list(values) for name, values in texts.items()}
        return [
            {
                "signature": signature,
                "inputs": called,
                "expected": _padded([self._expected(model, part(text)) for text in texts[TEXT]]),
            }
            for signature, part in (("serving_default", plain_sentence), (WORDS, column_sentence))
        ]

    def _expected(self, model: keras.Model, sentence: Sentence) -> list[dict[str, Any]]:
        """Rows as in `predictions.jsonl`, with scores."""
        if not sentence.words:  # of which no file has one
            return []
        tagged, table = self.featurizer.table([[sentence]])
        tags, scores = [OUTSIDE] * len(sentence.words), np.zeros(len(sentence.words))
        for first in range(0, len(tagged), CHUNK):
            part = table.batch(np.arange(first, min(first + CHUNK, len(table))), table.longest())
            logits = np.asarray(model(encoder_inputs(part))["logits"])
            for of_window, rows in zip(tagged[first : first + CHUNK], logits, strict=True):
                best, probabilities = rows.argmax(axis=1), softmax(rows).max(axis=1)
                for word in of_window:
                    tags[word.word] = self.tags[best[word.place]]
                    scores[word.word] = probabilities[word.place]
        return [
            {**entity_row(sentence, one), "score": float(scores[one.first : one.last].mean())}
            for one in entities_of(tags)
        ]


def build_ner(request: Request) -> Exported:
    """A tagger, fine-tuned or on features; ValueError where the tags are not known."""
    tags, features = request.classes, request.told.get("features")
    if others := [tag for tag in tags if not is_tag(tag)]:
        raise ValueError(
            f"Tags must be O or B-KIND, I-KIND, E-KIND or S-KIND; got {', '.join(others)} from "
            f"{request.labels_from}. Give --labels, in the order of the model's classes."
        )
    model = (
        build_feature_tagger(request.sizes, len(tags), features)
        if features
        else build_token_classifier(request.sizes, len(tags))
    )
    request.load(model, unread=[POOLER])
    network = request.network(model, unread=[POOLER], outputs=["logits"])
    module = NerModule(
        network, request.vocab_file, request.do_lower_case, request.max_seq_length, tags
    )
    cases = [*module.cases(model), ids_case(request, model, ["logits"])]
    return Exported.of(module, cases, labels=list(tags), doc_stride=module.stride)


def _padded(rows: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, list[Any]]:
    """Entities of texts as the signatures give them."""
    most = max(map(len, rows), default=0)
    names = {
        "entities": ("text", ""),
        "types": ("type", ""),
        "starts": ("start", NOWHERE),
        "ends": ("end", NOWHERE),
        "scores": ("score", 0.0),
    }
    columns: dict[str, list[Any]] = {
        name: [[one[key] for one in row] + [padding] * (most - len(row)) for row in rows]
        for name, (key, padding) in names.items()
    }
    return {**columns, "count": [len(row) for row in rows]}


def _of_tokens(scores: tf.Tensor, windows: Windows, tokens: tf.Tensor) -> tf.Tensor:
    """Scores [n, C] of tokens [n], each from the window where it has most around it."""
    shown = windows.tokens
    index = tf.boolean_mask(tf.range(tf.size(shown.values, tf.int64)), windows.best)
    total = tf.size(index, tf.int64)  # each token is best in one window
    place_of = tf.math.unsorted_segment_max(index, tf.gather(shown.values, index), total)
    place = tf.gather(place_of, tokens)
    window = tf.gather(shown.value_rowids(), place)
    in_window = tf.gather(places_in(shown), place) + 1  # after [CLS]
    return tf.gather_nd(scores, tf.stack([window, in_window], axis=1))
