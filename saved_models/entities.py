"""Tags of words to entities, in a graph: the rules of `bert_tf.tasks.ner_data.entities_of`.

Shapes: N words of all texts, E entities.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from bert_tf.tasks.ner_data import OUTSIDE

_BEGIN, _END = ("B", "S"), ("E", "S")  # prefixes that begin an entity; that are its last word
_INNER = ("I", "E")  # prefixes that begin one where none of their kind is open
_OPEN = ("B", "I")  # prefixes after which one is open


class Entities(NamedTuple):
    """Words `first` to `last` (exclusive), int64 [E]; `kinds` string [E]."""

    kinds: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor


class EntityFinder:
    """Finds entities.

    Args:
      tags: what the numbers of tags mean.
    """

    def __init__(self, tags: Sequence[str]) -> None:
        parts = [tag.partition("-") for tag in tags]
        prefixes = [prefix for prefix, _, _ in parts]
        self._kinds = [kind for _, _, kind in parts]
        names = sorted(set(self._kinds))
        self._kind_of = np.array([names.index(kind) for kind in self._kinds], np.int32)

        def having(*wanted: str) -> np.ndarray:
            return np.array([prefix in wanted for prefix in prefixes])

        self._outside, self._begin, self._inner = having(OUTSIDE), having(*_BEGIN), having(*_INNER)
        self._end, self._open = having(*_END), having(*_OPEN)
        # Any other tag leaves open what is open.
        self._known = having(OUTSIDE, *_BEGIN, *_INNER)

    def find(self, tags: tf.Tensor, texts: tf.Tensor) -> Entities:
        """Entities of texts.

        Args:
          tags: int [N].
          texts: int64 [N], the text of each word; ascending.
        """
        index = tf.range(tf.size(tags, tf.int64))
        kind = tf.gather(self._kind_of, tags)
        known = tf.where(tf.gather(self._known, tags))[:, 0]
        # What is open before a word depends on the tag before it alone, if that is a known one.
        number = tf.searchsorted(known, index, out_type=tf.int64) - 1
        none = number < 0
        before = tf.gather(tf.concat([known, [0]], axis=0), tf.maximum(number, 0))
        open_before = ~none & (tf.gather(texts, before) == texts)
        open_before &= tf.gather(self._open, tf.gather(tags, before))
        same = open_before & (tf.gather(kind, before) == kind)
        begins = tf.gather(self._begin, tags) | (tf.gather(self._inner, tags) & ~same)
        # An entity ends where another begins, before a word outside, after a last word, and with
        # its text.
        edge = tf.constant([True])
        new_text = tf.concat([edge[: tf.size(texts)], texts[1:] != texts[:-1]], axis=0)
        ends_before = begins | tf.gather(self._outside, tags) | new_text
        ends_after = tf.gather(self._end, tags)
        ends = tf.concat([ends_before, edge], axis=0) | tf.concat([~edge, ends_after], axis=0)
        places = tf.where(ends)[:, 0]
        first = tf.where(begins)[:, 0]
        last = tf.gather(places, tf.searchsorted(places, first, side="right"))
        kinds = tf.gather(tf.constant(self._kinds), tf.gather(tags, first))
        return Entities(kinds, first, last)
