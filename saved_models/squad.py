"""Question answering, strings in and texts out: what `run_squad` predicts, in one graph.

Shapes: B questions, W windows, T tokens of the model's input, P tokens of all texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.features import SPECIALS_PAIR
from bert_tf.modeling.task_heads import build_span_model
from bert_tf.tasks.squad_answers import NO_SPAN_ODDS, PLACEHOLDER, AnswerFinder
from bert_tf.tasks.squad_data import NO_POSITION, SPACES, Question, split_words
from bert_tf.tasks.squad_features import SquadFeaturizer
from bert_tf.tasks.squad_job import THRESHOLD
from bert_tf.tasks.task import POOLER, encoder_inputs
from bert_tf.tokenization import FullTokenizer, require_tokens
from saved_models.building import Exported, Request
from saved_models.graph_tokenizer import GraphTokenizer
from saved_models.network import Network
from saved_models.preprocessing import pack_inputs
from saved_models.samples import ids_case
from saved_models.signatures import TaskModule, Tensors
from saved_models.squad_spans import BestSpans, best_spans, likelier_than_none, restore_texts
from saved_models.windows import CHUNK, read_windows, windows_over
from saved_models.words import split_at

QUESTION, CONTEXT = "question", "context"
# What a run or the command line may say of them, as the arguments of `SquadModule`.
_OPTIONS = ("doc_stride", "max_query_length", "n_best_size", "max_answer_length", "version_2")
_SENTENCES = (
    "The keeper of the lighthouse isn't here;  he left at 7:30 for $12.50. "
    "Ein Café in\u202fOrléans, ΟΔΟΣ und ΟΔΟΣΑ, 東京タワー, 한국어, İstanbul.\n"
)
# Contexts of one window, of many, and of none.
EXAMPLES: Mapping[str, Sequence[str]] = {
    QUESTION: ["Who left?", "Where is the café in question, " * 20, "한국어?", ""],
    CONTEXT: [_SENTENCES, _SENTENCES * 30, "e\u0301, [MASK] \u00ad[UNK]", " \n"],
}


class SquadModule(TaskModule):
    """Questions about contexts of any length to answers.

    Answers, by name, [B] each:
        text          string, as in `predictions.json`
        start, end    int32, characters of the context that the answer's tokens came from, the end
                      exclusive; -1 where there is no answer
        score         float32, the sum of the logits of the best span's start and end, the null
                      answer left aside; 0 where there is no span
        null_score    float32, as in `null_odds.json`; 0 where every question has an answer

    Args:
      model: a `BertSpanModel`, built.
      vocab_file, do_lower_case: of the model's tokenizer.
      max_seq_length: T.
      doc_stride: tokens from the start of one window to the next.
      max_query_length: tokens of a question; what is beyond is cut.
      n_best_size: starts and ends of a window that are tried.
      max_answer_length: tokens of an answer at most.
      version_2: whether a question may have no answer.
      null_threshold: null odds above which it has none.
      pad_to_batch: whether windows are only padded to the longest that are read with them. That is
        faster for short contexts; the original lets padding compete for the `n_best_size` places,
        which then does not happen.

    Raises:
      ValueError: a number that allows no answer, as `run_squad` says it.
      MissingTokenError: the vocabulary lacks [UNK], [CLS] or [SEP].
    """

    text_inputs: Mapping[str, tf.TensorSpec] = {
        name: tf.TensorSpec([None], tf.string, name=name) for name in (QUESTION, CONTEXT)
    }

    def __init__(
        self,
        model: keras.Model | Network,
        vocab_file: str | Path,
        do_lower_case: bool = True,
        max_seq_length: int = 384,
        doc_stride: int = 128,
        max_query_length: int = 64,
        n_best_size: int = 20,
        max_answer_length: int = 30,
        version_2: bool = False,
        null_threshold: float = 0.0,
        pad_to_batch: bool = False,
    ) -> None:
        super().__init__(model, "squad")
        tokenizer = FullTokenizer(vocab_file, do_lower_case)
        require_tokens(tokenizer.vocab, ("[CLS]", "[SEP]"), vocab_file)
        self.featurizer = SquadFeaturizer(tokenizer, max_seq_length, doc_stride, max_query_length)
        self.finder = AnswerFinder(tokenizer, n_best_size, max_answer_length, version_2)
        self.null_threshold, self.pad_to_batch = null_threshold, pad_to_batch
        self.vocab_file = tf.saved_model.Asset(str(vocab_file))
        self._tokenizer = GraphTokenizer(vocab_file, do_lower_case)
        self._start, self._end = tokenizer.vocab["[CLS]"], tokenizer.vocab["[SEP]"]

    def answer(self, texts: Tensors) -> Tensors:
        """Answers; see the class."""
        length = self.featurizer.max_seq_length
        questions = tf.size(texts[CONTEXT], tf.int64)
        # At once: the tokenizer's graph is large.
        words = split_at(tf.concat([texts[QUESTION], texts[CONTEXT]], axis=0), SPACES)
        spelt = self._tokenizer.spell(words.chars)
        ids, token_words = spelt.ids.values, tf.gather(spelt.rows, spelt.ids.value_rowids())  # [P]
        lengths = tf.math.unsorted_segment_sum(
            tf.ones_like(token_words), tf.gather(words.texts, token_words), 2 * questions
        )
        query_lengths, lengths = lengths[:questions], lengths[questions:]
        begin = tf.reduce_sum(query_lengths)  # of the contexts' tokens
        query = tf.RaggedTensor.from_row_lengths(ids[:begin], query_lengths, validate=False)
        query = query[:, : self.featurizer.max_query_length]
        rooms = length - SPECIALS_PAIR - query.row_lengths()
        windows = windows_over(lengths, rooms, self.featurizer.doc_stride)
        own_query = tf.gather(query, windows.texts)
        inputs = pack_inputs(
            [own_query, tf.gather(ids[begin:], windows.tokens)],
            tf.constant(length),
            start=self._start,
            end=self._end,
            padding=0,
        )
        spans = best_spans(
            read_windows(self._logits, inputs, 2, cut=self.pad_to_batch),
            windows,
            own_query.row_lengths() + 2,
            questions,
            n_best_size=self.finder.n_best_size,
            max_answer_length=self.finder.max_answer_length,
        )
        if self.finder.version_2 and self.finder.n_best_size == 1:
            spans = likelier_than_none(spans)
        spans = spans._replace(first=spans.first + begin, last=spans.last + begin)
        return self._answers(
            restore_texts(words, spelt, ids == self._tokenizer.unknown, spans),
            tf.gather(spelt.chars.starts, tf.gather(spelt.first, spans.first)),
            tf.gather(spelt.chars.ends, tf.gather(spelt.last, spans.last)),
            spans,
            lengths > 0,
        )

    def _logits(self, inputs: Tensors) -> tf.Tensor:
        """[W, T, 2], as in the model's head: scores as a start, and as an end."""
        scores = self.ids(inputs)
        return tf.stack([scores["start_logits"], scores["end_logits"]], axis=-1)

    def _answers(
        self,
        found: tf.Tensor,
        starts: tf.Tensor,
        ends: tf.Tensor,
        spans: BestSpans,
        has_windows: tf.Tensor,
    ) -> Tensors:
        """Answers of all questions [B], from those of which spans were found [F]."""

        def spread(values: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
            return tf.tensor_scatter_nd_update(others, spans.questions[:, None], values)

        count = tf.shape(has_windows)
        score = spans.start_logits + spans.end_logits
        odds = tf.zeros(count, tf.float64)
        placeholder = tf.fill(count, PLACEHOLDER)
        if self.finder.version_2:
            odds = tf.where(has_windows, tf.constant(NO_SPAN_ODDS, tf.float64), odds)
            null = tf.gather(spans.null, spans.questions)
            odds = spread(null - spans.start_logits - spans.end_logits, odds)
            placeholder = tf.where(has_windows, "", placeholder)
        answered = odds <= tf.cast(self.null_threshold, tf.float64)
        if not self.finder.version_2:
            answered = tf.fill(count, True)
        nowhere = tf.fill(count, tf.constant(NO_POSITION, tf.int64))
        return {
            "text": tf.where(answered, spread(found, placeholder), ""),
            "start": tf.cast(tf.where(answered, spread(starts, nowhere), nowhere), tf.int32),
            "end": tf.cast(tf.where(answered, spread(ends, nowhere), nowhere), tf.int32),
            "score": tf.cast(spread(score, tf.zeros(count, tf.float64)), tf.float32),
            "null_score": tf.cast(odds, tf.float32),
        }

    def cases(
        self, model: keras.Model, texts: Mapping[str, Sequence[str]] | None = None
    ) -> list[dict[str, Any]]:
        """Calls of the signatures, and what `bert_tf.tasks` with the Keras model says to them.

        Args:
          model: what the export was made from.
          texts: questions and contexts; None for `EXAMPLES`.
        """
        texts = texts or EXAMPLES
        questions = [
            Question("", question, split_words(context), ())
            for question, context in zip(texts[QUESTION], texts[CONTEXT], strict=True)
        ]
        rows = [self._expected(model, question) for question in questions]
        names = ("text", "start", "end", "score", "null_score")
        answers = {name: [row[name] for row in rows] for name in names}
        called = {name: list(values) for name, values in texts.items()}
        return [{"signature": "serving_default", "inputs": called, "expected": answers}]

    def _expected(self, model: keras.Model, question: Question) -> dict[str, Any]:
        windows, table = self.featurizer.windows([question], training=False)
        logits = self._expected_logits(model, table) if windows else []
        context = self.featurizer.tokenized(question.paragraph)
        parts = [(window, *pair) for window, pair in zip(windows, logits, strict=True)]
        answer = self.finder.answer(question, context, parts)
        text = self.finder.choose(answer, self.null_threshold)
        row = self.finder.row(question, context, answer, text)
        best = answer.best if answer.best and answer.best.span else None
        return {
            "text": text,
            "start": NO_POSITION if row["start"] is None else row["start"],
            "end": NO_POSITION if row["end"] is None else row["end"],
            "score": best.score if best else 0.0,
            "null_score": answer.null_odds,
        }

    def _expected_logits(self, model: keras.Model, table: ExampleTable) -> list[tuple[Any, Any]]:
        """Start and end logits of windows, without those of the padding if that is cut."""
        logits = []
        for first in range(0, len(table), CHUNK):
            part = table.batch(np.arange(first, min(first + CHUNK, len(table))), table.longest())
            outputs = model(encoder_inputs(part))
            columns = (np.asarray(outputs[name]) for name in ("start_logits", "end_logits"))
            for start, end, mask in zip(*columns, part["input_mask"], strict=True):
                used = int(mask.sum()) if self.pad_to_batch else len(mask)
                logits.append((start[:used], end[:used]))
        return logits


def build_squad(request: Request) -> Exported:
    """Answers to questions, with the lengths and the threshold of the run."""
    model = build_span_model(request.sizes)
    request.load(model, unread=[POOLER])
    options = {name: request.told[name] for name in _OPTIONS if name in request.told}
    module = SquadModule(
        request.network(model, unread=[POOLER]),
        request.vocab_file,
        request.do_lower_case,
        request.max_seq_length,
        **options,
        null_threshold=request.told.get(THRESHOLD, 0.0),
    )
    facts = {
        name: getattr(part, name)
        for part in (module.featurizer, module.finder)
        for name in _OPTIONS
        if hasattr(part, name)
    }
    cases = [*module.cases(model), ids_case(request, model, ["start_logits", "end_logits"])]
    return Exported.of(module, cases, **facts, null_threshold=module.null_threshold)
