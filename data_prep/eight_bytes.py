"""Eight bytes of text at a time, as one number, for compiled code.

A word of up to eight ASCII letters and digits is found, lower-cased and made a key by some twenty
operations on a uint64 (its first byte is the lowest), where byte after byte takes ten for each.
"""

from __future__ import annotations

import numpy as np
from numba.cpython.unsafe.numbers import leading_zeros, trailing_zeros

from bert_tf.compiled import inlined

EIGHT = 8
_EACH = np.uint64(0x0101010101010101)
_TOP = np.uint64(0x80) * _EACH  # the highest bit of each byte
_CASE = np.uint64(0x20) * _EACH  # the bit that tells a small letter from a capital
# What lifts a byte from here on, and from one beyond the end, to the highest bit.
_FROM_A, _BEYOND_Z = np.uint64(0x80 - ord("a")) * _EACH, np.uint64(0x7F - ord("z")) * _EACH
_FROM_0, _BEYOND_9 = np.uint64(0x80 - ord("0")) * _EACH, np.uint64(0x7F - ord("9")) * _EACH
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@inlined
def _letters(text: np.uint64) -> np.uint64:
    """The highest bit of each byte that is a letter, or a letter plus 0x80."""
    small = (text & ~_TOP) | _CASE
    return (small + _FROM_A) & ~(small + _BEYOND_Z) & _TOP


@inlined
def word_length(text: np.uint64) -> np.int64:
    """How many of the first bytes are ASCII letters and digits, 0 to 8."""
    low = text & ~_TOP
    digits = (low + _FROM_0) & ~(low + _BEYOND_9)
    others = ~(_letters(text) | digits) | text
    return np.int64(trailing_zeros(others & _TOP) >> np.uint64(3))


@inlined
def leading(text: np.uint64) -> np.int64:
    """How many bytes come before the zeros at the end, where none is zero among them; 0 to 8."""
    return np.int64(EIGHT) - np.int64(leading_zeros(text) >> np.uint64(3))


@inlined
def lowered(text: np.uint64) -> np.uint64:
    """The text with small letters for capitals; bytes beyond ASCII may be changed too."""
    capitals = _letters(text) & ~(text << np.uint64(2))
    return text | (capitals >> np.uint64(2))


@inlined
def first_bytes(text: np.uint64, count: int) -> np.uint64:
    """The first 0 to 8 bytes, zeros behind them."""
    return text & ~((_ALL << np.uint64(4 * count)) << np.uint64(4 * count))


@inlined
def without(text: np.uint64, behind: np.uint64, count: int) -> np.uint64:
    """The eight bytes from the byte `count` on, 1 to 15, of sixteen; zeros beyond them."""
    # In halves, as a number cannot be moved by all of its bits.
    half, rest = np.uint64(4 * min(count, EIGHT)), np.uint64(4 * max(EIGHT - count, 0))
    moved = ((text >> half) >> half) | ((behind << rest) << rest)
    return moved if count <= EIGHT else behind >> np.uint64(8 * (count - EIGHT))
