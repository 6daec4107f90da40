"""From logits of windows to the best answers, and from tokens to the text of a context, in a graph.

The rules are those of `bert_tf.tasks.squad_answers`, of which the first text of the n-best list
needs but the best span. Shapes: B questions, W windows, T tokens of the model's input, K places
that are tried, F questions for which there is a span.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from bert_tf.modeling.task_heads import END, START
from saved_models.graph_tokenizer import Spelt
from saved_models.windows import Windows
from saved_models.words import Words

_NO_SCORE = tf.float64.min
_NOWHERE = tf.int64.max
_BLANK = ord(" ")


class BestSpans(NamedTuple):
    """The best span of each question that has one.

    Attributes:
      questions: int64 [F].
      first, last: int64 [F], its tokens, numbered over all texts.
      start_logits, end_logits: float64 [F].
      null: float64 [B], the score of no answer, where that is least likely; the highest number
        there is for a question without windows.
    """

    questions: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor
    start_logits: tf.Tensor
    end_logits: tf.Tensor
    null: tf.Tensor


def best_spans(
    logits: tf.Tensor,
    windows: Windows,
    offsets: tf.Tensor,
    questions: tf.Tensor,
    *,
    n_best_size: int,
    max_answer_length: int,
) -> BestSpans:
    """The best spans; of equals, the one that the original comes upon first.

    Args:
      logits: float32 [W, T, 2].
      windows: over the contexts.
      offsets: int64 [W], place of each window's first token in the input.
      questions: B.
      n_best_size: K.
      max_answer_length: tokens of an answer at most.
    """
    tried = tf.minimum(n_best_size, tf.shape(logits)[1])
    starts, start_places = tf.math.top_k(logits[..., START], tried)  # the first of equals first
    ends, end_places = tf.math.top_k(logits[..., END], tried)
    starts, ends = tf.cast(starts, tf.float64), tf.cast(ends, tf.float64)
    in_start = tf.cast(start_places, tf.int64) - offsets[:, None]  # [W, K], in the context's part
    in_end = tf.cast(end_places, tf.int64) - offsets[:, None]
    size = windows.tokens.row_lengths()[:, None]
    best = windows.tokens.with_values(windows.best).to_tensor(False)
    inside = (in_start >= 0) & (in_start < size)
    inside &= tf.gather(best, tf.clip_by_value(in_start, 0, size - 1), batch_dims=1)
    length = in_end[:, None, :] - in_start[:, :, None] + 1
    allowed = inside[:, :, None] & ((in_end >= 0) & (in_end < size))[:, None, :]
    allowed &= (length >= 1) & (length <= max_answer_length)
    scores = tf.where(allowed, starts[:, :, None] + ends[:, None, :], _NO_SCORE)
    scores = tf.reshape(scores, tf.stack([tf.shape(logits)[0], tried * tried]))
    choice, score = _first_highest(scores)
    begin = windows.tokens.row_starts()
    found, window = _best_windows(score, windows.texts, questions)
    row, column = tf.gather(choice, window) // tried, tf.gather(choice, window) % tried

    def chosen(values: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        return tf.gather_nd(values, tf.stack([window, tf.cast(place, tf.int64)], axis=1))

    first = tf.gather(begin, window) + chosen(in_start, row)
    last = tf.gather(begin, window) + chosen(in_end, column)
    nulls = tf.reduce_sum(tf.cast(logits[:, 0], tf.float64), axis=1)
    return BestSpans(
        found,
        tf.gather(windows.tokens.values, first),
        tf.gather(windows.tokens.values, last),
        chosen(starts, row),
        chosen(ends, column),
        tf.math.unsorted_segment_min(nulls, windows.texts, questions),
    )


def likelier_than_none(spans: BestSpans) -> BestSpans:
    """Without the spans that the null answer would drive out of an n-best list of one."""
    kept = spans.start_logits + spans.end_logits >= tf.gather(spans.null, spans.questions)
    fewer = {
        name: tf.boolean_mask(values, kept)
        for name, values in spans._asdict().items()
        if name != "null"
    }
    return spans._replace(**fewer)


def _first_highest(scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The first place of each row's highest score, and that score; int32 and float64 [W]."""
    highest = tf.reduce_max(scores, axis=1)
    place = tf.where(scores == highest[:, None], tf.range(tf.shape(scores)[1]), tf.int32.max)
    return tf.reduce_min(place, axis=1), highest


def _best_windows(
    score: tf.Tensor, owners: tf.Tensor, questions: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The questions that have a span, and the first of their windows that have the highest [F]."""
    highest = tf.math.unsorted_segment_max(score, owners, questions)
    candidate = (score == tf.gather(highest, owners)) & (score > _NO_SCORE)
    number = tf.where(candidate, tf.range(tf.size(score, tf.int64)), _NOWHERE)
    first = tf.math.unsorted_segment_min(number, owners, questions)
    found = first < _NOWHERE
    return tf.where(found)[:, 0], tf.boolean_mask(first, found)


def restore_texts(words: Words, spelt: Spelt, unknown: tf.Tensor, spans: BestSpans) -> tf.Tensor:
    """The part of the contexts' words that the tokens came from, string [F].

    As `squad_answers.restore_text`, where folded words are searched for the answer's tokens: they
    are found, at the latest where they are, unless one is [UNK]. What was found is a part of the
    original words by count of characters, which is right where folding has changed none of their
    number. If it has, or nothing is found, the text is that of all the words.

    Args:
      words: the words of all texts.
      spelt: their tokens.
      unknown: bool, whether each token is [UNK].
      spans: the answers' tokens.
    """
    first, last = tf.gather(spelt.first, spans.first), tf.gather(spelt.last, spans.last)
    rows, folded_rows = words.chars.rows, spelt.chars.rows
    first_word, last_word = tf.gather(folded_rows, first), tf.gather(folded_rows, last)
    begin, end = _range(rows, first_word, last_word)
    folded_begin, folded_end = _range(folded_rows, first_word, last_word)
    before = tf.cumsum(tf.cast(unknown, tf.int32), exclusive=True)
    known = tf.gather(before, spans.first) == tf.gather(before, spans.last)
    known &= ~tf.gather(unknown, spans.last)
    aligned = known & (end - begin == folded_end - folded_begin)
    found = _first_match(spelt, folded_begin, first, last)
    at = begin + found - folded_begin
    return _joined(
        words, tf.where(aligned, at, begin), tf.where(aligned, at + last - first + 1, end)
    )


def _range(rows: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Begin and end of rows `first` to `last` [F] among all of `rows`, which ascend."""
    begin = tf.searchsorted(rows, first, out_type=tf.int64)
    return begin, tf.searchsorted(rows, last, side="right", out_type=tf.int64)


def _first_match(spelt: Spelt, begin: tf.Tensor, first: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    """Where, from `begin` on, the same characters and words as from `first` to `last` come first.

    All are places among the folded characters, int64 [F]; the result is `first` at the latest.
    """
    codes = spelt.chars.codes
    # A word begins alike, too; but what comes before the first character does not matter.
    keys = 2 * codes + tf.cast(spelt.starts_word, tf.int32)
    tries = tf.ragged.range(begin, first + 1)
    place, owner = tries.values, tries.value_rowids()
    wanted, more = tf.gather(first, owner), tf.gather(last - first, owner)
    end = tf.size(codes, tf.int64) - 1

    def step(number: tf.Tensor, fits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        found = tf.gather(keys, tf.minimum(place + number, end))
        same = found == tf.gather(keys, tf.minimum(wanted + number, end))
        return number + 1, fits & (same | (number > more))

    one = tf.constant(1, tf.int64)
    most = tf.reduce_max(last - first)
    fits = tf.gather(codes, place) == tf.gather(codes, wanted)
    fits = tf.while_loop(lambda number, _: number <= most, step, [one, fits])[1]
    candidate = tf.where(fits, place, _NOWHERE)
    return tf.math.unsorted_segment_min(candidate, owner, tf.size(first))


def _joined(words: Words, begin: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """Characters `begin` to `end` [F] of all words, with a blank between words; string [F]."""
    rows = tf.cast(words.chars.rows, tf.int64)
    places = tf.range(tf.size(rows, tf.int64)) + rows  # a blank stands before every other word
    blanks = tf.fill([tf.size(rows) + tf.size(words.texts)], _BLANK)
    codes = tf.tensor_scatter_nd_update(blanks, places[:, None], words.chars.codes)
    ranges = tf.ragged.range(tf.gather(places, begin), tf.gather(places, end - 1) + 1)
    return tf.strings.unicode_encode(tf.gather(codes, ranges), "UTF-8")
