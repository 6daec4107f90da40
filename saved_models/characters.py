"""Code points of lines, one after another, in a graph: where they came from, and their order.

Shapes: N code points of all lines.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from saved_models.character_table import PAGE


class Chars(NamedTuple):
    """Code points of all lines, one after another, [N] each.

    Attributes:
      codes: int32.
      rows: int32, which line; ascending.
      starts, ends: int64, where in the line they came from, in bytes or what the caller counts.
    """

    codes: tf.Tensor
    rows: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor

    def where(self, keep: tf.Tensor) -> Chars:
        """Those for which `keep` holds."""
        return self.at(tf.where(keep)[:, 0])

    def at(self, index: tf.Tensor) -> Chars:
        """Those at `index`."""
        return Chars(*(tf.gather(value, index) for value in self))


def utf8_sizes(codes: tf.Tensor) -> tf.Tensor:
    """Bytes of each code point, int64."""
    return 1 + sum(tf.cast(codes >= bound, tf.int64) for bound in (0x80, 0x800, 0x10000))


def decode(lines: tf.Tensor) -> Chars:
    """Code points of lines and their bytes; malformed bytes are left out."""
    codes, starts = tf.strings.unicode_decode_with_offsets(lines, "UTF-8", errors="ignore")
    flat = codes.values
    rows = tf.cast(codes.value_rowids(), tf.int32)
    return Chars(flat, rows, starts.values, starts.values + utf8_sizes(flat))


def order_marks(chars: Chars, cjk: tf.Tensor, classes: tf.Tensor) -> tuple[Chars, tf.Tensor]:
    """Each run of combining characters sorted by class, the second half of NFD.

    Runs that changed take the whole run's bytes, so that offsets never go backwards.
    """
    starter = classes == 0
    first = (chars.rows != tf.roll(chars.rows, 1, axis=0)) | starter
    run = tf.cumsum(tf.cast(first | tf.roll(starter, 1, axis=0), tf.int64))
    order = tf.argsort(run * PAGE + tf.cast(classes, tf.int64), stable=True)
    moved = tf.cast(order != tf.range(tf.size(order)), tf.int64)
    runs = run[-1] + 1
    changed = tf.gather(tf.math.unsorted_segment_max(moved, run, runs) > 0, run)
    low = tf.gather(tf.math.unsorted_segment_min(chars.starts, run, runs), run)
    high = tf.gather(tf.math.unsorted_segment_max(chars.ends, run, runs), run)
    ordered = chars.at(order)
    ordered = ordered._replace(
        starts=tf.where(changed, low, ordered.starts), ends=tf.where(changed, high, ordered.ends)
    )
    return ordered, tf.gather(cjk, order)


class CharPlaces:
    """Finds code points by their bytes in the UTF-8 of all of them."""

    def __init__(self, codes: tf.Tensor) -> None:
        sizes = utf8_sizes(codes)
        self._starts = tf.concat([tf.cumsum(sizes, exclusive=True), [tf.reduce_sum(sizes)]], axis=0)

    def after(self, char: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """The code point that begins `size` bytes after `char` does; indices, int64."""
        byte = tf.gather(self._starts, char) + tf.cast(size, tf.int64)
        return tf.searchsorted(self._starts, byte, out_type=tf.int64)
