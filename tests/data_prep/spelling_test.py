"""What is kept of words that were spelt, and where tables lie."""

import numpy as np
import pytest
from numba import njit

from data_prep.pieces import hash_short, rows_in_lines
from data_prep.spelling import MOST_PIECES, no_words_spelt, recall, remember


@njit
def _remember(spelt, first, second, tokens, at, end):
    hashed = hash_short(np.uint64(first), np.uint64(second))
    remember(spelt, np.uint64(first), np.uint64(second), hashed, tokens, at, end)


@njit
def _recall(spelt, first, second, tokens, at):
    hashed = hash_short(np.uint64(first), np.uint64(second))
    return recall(spelt, np.uint64(first), np.uint64(second), hashed, tokens, at)


@pytest.mark.parametrize("count", range(1, 16))
def test_few_pieces_are_remembered_and_no_other_row_is_touched(count):
    spelt = no_words_spelt()
    tokens = np.arange(100, 130, dtype=np.int32)
    _remember(spelt, 7, 8, tokens, 2, 2 + count)
    assert np.count_nonzero(spelt.any(axis=1)) == (count <= MOST_PIECES)
    found = np.zeros(40, np.int32)
    if count > MOST_PIECES:
        assert _recall(spelt, 7, 8, found, 3) == 0
        assert not found.any()
        return
    assert _recall(spelt, 7, 8, found, 3) == count
    assert found[3 : 3 + count].tolist() == tokens[2 : 2 + count].tolist()
    assert np.count_nonzero(found) == count


def test_words_are_told_apart_by_all_their_bytes():
    spelt = no_words_spelt()
    tokens = np.arange(1, 4, dtype=np.int32)
    _remember(spelt, 7, 8, tokens, 0, 3)
    for first, second in ((7, 0), (0, 8), (7, 9), (8, 8)):
        assert _recall(spelt, first, second, np.zeros(9, np.int32), 0) == 0


def test_one_word_takes_the_place_of_another():
    spelt = no_words_spelt()
    tokens = np.arange(1, 4, dtype=np.int32)
    for word in range(1, 3 * len(spelt)):
        _remember(spelt, word, 0, tokens, 0, 3)
        assert _recall(spelt, word, 0, np.zeros(9, np.int32), 0) == 3
    kept = [word for word in range(1, 3 * len(spelt)) if _recall(spelt, word, 0, tokens.copy(), 0)]
    assert len(spelt) // 2 < len(kept) <= len(spelt)


@pytest.mark.parametrize(("rows", "columns"), [(1, 4), (1 << 12, 8), (1 << 10, 2)])
def test_tables_begin_with_a_line_of_the_cache(rows, columns):
    table = rows_in_lines(rows, columns)
    assert table.shape == (rows, columns)
    assert table.ctypes.data % 64 == 0
    assert table.flags.c_contiguous
    assert not table.any()
