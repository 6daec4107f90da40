"""Eight bytes at a time are what they are one by one."""

import string

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from data_prep.eight_bytes import (
    first_bytes,
    leading,
    lowered,
    without,
    word_length,
)

LETTERS = (string.ascii_letters + string.digits).encode()
TEXTS = st.binary(min_size=8, max_size=8) | st.lists(
    st.sampled_from(LETTERS + b" .,\x00@`[{/:\x10\x19\x80\xc3\xe1"), min_size=8, max_size=8
).map(bytes)


def number(text):
    return np.frombuffer(text, "<u8")[0]


def bytes_of(value):
    return np.uint64(value).tobytes()


@njit
def _length(text):
    return word_length(text)


@njit
def _lowered(text):
    return lowered(text)


@njit
def _first(text, count):
    return first_bytes(text, count)


@njit
def _leading(text):
    return leading(text)


@njit
def _without(text, behind, count):
    return without(text, behind, count)


def test_every_byte_is_a_letter_or_none():
    for byte in range(256):
        for place in range(8):
            text = bytearray(b"abcdefgh")
            text[place] = byte
            assert _length(number(bytes(text))) == (8 if byte in LETTERS else place), byte


@given(TEXTS)
def test_words_end_and_are_lowered_as_in_python(text):
    size = next((i for i, byte in enumerate(text) if byte not in LETTERS), 8)
    assert _length(number(text)) == size
    small = bytes_of(_first(np.uint64(_lowered(number(text))), size))
    assert small == text[:size].lower().ljust(8, b"\0")
    assert _leading(number(small)) == size


@given(st.binary(min_size=16, max_size=16), st.integers(1, 15))
def test_without_moves_bytes_forward(text, count):
    first, second = np.frombuffer(text, "<u8")
    moved = bytes_of(_without(first, second, count)) + bytes_of(
        _without(second, np.uint64(0), count)
    )
    assert moved == text[count:].ljust(16, b"\0")
