"""Texts parted into words, in a graph; every character knows where it stands in its text.

Shapes: B texts, N words, K characters (code points) of all words.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf

from bert_tf.tasks.ner_data import APOSTROPHES, CLOSING, DIGITS, FULL_STOP, OPENING
from saved_models.characters import Chars

# Where `str.split` parts.
WHITE_SPACE = tuple(char for char in map(chr, range(sys.maxunicode + 1)) if char.isspace())


class Words(NamedTuple):
    """Words of texts, one after another.

    Attributes:
      chars: [K]; rows are words, numbered over all texts; starts and ends count characters of the
        text.
      texts: int64 [N], the text that each word is of.
    """

    chars: Chars
    texts: tf.Tensor

    def span(self, first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Where words `first` to `last` (exclusive) begin and end, int64 like these."""
        rows = tf.cast(self.chars.rows, tf.int64)
        begin, end = tf.searchsorted(rows, first), tf.searchsorted(rows, last)
        return tf.gather(self.chars.starts, begin), tf.gather(self.chars.ends, end - 1)


def split_at(texts: tf.Tensor, separators: Iterable[str]) -> Words:
    """What stands between the separators, in strings [B]; malformed bytes are left out."""
    codes = tf.strings.unicode_decode(texts, "UTF-8", errors="ignore")
    flat, owners = codes.values, codes.value_rowids()
    places = tf.range(tf.size(flat, tf.int64)) - tf.gather(codes.row_starts(), owners)
    parts = _is_one_of(flat, separators)
    first = ~parts & ((places == 0) | tf.roll(parts, 1, axis=0))
    chars = Chars(flat, tf.cumsum(tf.cast(first, tf.int32)) - 1, places, places + 1)
    return Words(chars.where(~parts), tf.boolean_mask(owners, first))


def split_edges(words: Words) -> Words:
    """Punctuation at the edges of words as words of its own: `bert_tf.tasks.ner_data.plain_words`.

    That function states the rule; the variables here are named as there.
    """
    chars, count = words.chars, tf.size(words.texts)
    codes, rows = chars.codes, chars.rows
    index = tf.range(tf.size(codes))

    def of_chars(values: tf.Tensor) -> tf.Tensor:
        return tf.gather(values, rows)

    def code_at(place: tf.Tensor) -> tf.Tensor:
        return tf.gather(codes, tf.maximum(place, 0))

    end = tf.math.unsorted_segment_max(index + 1, rows, count)
    opening, closing = _is_one_of(codes, OPENING), _is_one_of(codes, CLOSING)
    first = tf.math.unsorted_segment_min(tf.where(opening, of_chars(end), index), rows, count)
    inner = ~closing & (index >= of_chars(first))
    last = tf.math.unsorted_segment_max(
        tf.where(inner, index + 1, of_chars(first)), rows, count
    )  # exclusive
    abbreviated = (
        (first < last)
        & (last < end)
        & _is_one_of(code_at(tf.minimum(last, end - 1)), FULL_STOP)
        & ~_is_one_of(code_at(last - 1), DIGITS)
        & ((last - 1 == first) | _is_one_of(code_at(last - 2), FULL_STOP))
    )
    last += tf.cast(abbreviated, tf.int32)
    possessive = (
        (last - 2 > first)
        & _is_one_of(code_at(last - 2), APOSTROPHES)
        & _is_one_of(code_at(last - 1), "sS")
    )
    begins = (index <= of_chars(first)) | (index >= of_chars(last))
    begins |= of_chars(possessive) & (index == of_chars(last) - 2)
    texts = tf.boolean_mask(of_chars(words.texts), begins)
    return Words(chars._replace(rows=tf.cumsum(tf.cast(begins, tf.int32)) - 1), texts)


def _is_one_of(codes: tf.Tensor, characters: Iterable[str]) -> tf.Tensor:
    wanted = sorted(map(ord, characters))  # in an order that is the same in every process
    return tf.reduce_any(codes[:, None] == tf.constant(wanted), axis=1)
