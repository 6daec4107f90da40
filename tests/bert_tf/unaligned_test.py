"""Words are read from anywhere, and written anywhere."""

import numpy as np
from numba import njit

from bert_tf.unaligned import load_8, store_4, store_8


@njit
def _load(data, at):
    return load_8(data, np.uint64(at))


@njit
def _store(data, at, value):
    store_8(data, np.uint64(at), np.uint64(value))
    store_4(data, np.uint64(at + 8), np.uint32(value))


def test_words_are_little_endian_and_lie_anywhere():
    data = np.frombuffer(bytes(range(1, 20)), np.uint8)
    for at in range(12):
        assert np.uint64(_load(data, at)).tobytes() == bytes(range(at + 1, at + 9))


def test_stores_touch_their_own_bytes_alone():
    for at in range(4):
        data = np.full(16, 0xEE, np.uint8)
        _store(data, at, 0x0807060504030201)
        written = bytes([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4])
        assert data.tobytes() == b"\xee" * at + written + b"\xee" * (4 - at)
