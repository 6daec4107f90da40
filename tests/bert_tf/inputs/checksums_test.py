"""CRC-32C: the processor's instruction, the tables, and a library give the same."""

import google_crc32c
import numpy as np
import pytest

from bert_tf.inputs import checksums


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 801])
def test_equals_a_library(start, size):
    data = np.random.default_rng(size).integers(0, 256, start + size + 5, dtype=np.uint8)
    expected = google_crc32c.value(data[start : start + size].tobytes())
    assert checksums.crc32c(data, start, start + size) == expected


def test_known_value():
    assert checksums.crc32c(np.frombuffer(b"123456789", np.uint8), 0, 9) == 0xE3069283


def test_tables_equal_the_instruction():
    if not checksums.HAS_INSTRUCTION:
        pytest.skip("this processor has no instruction for it, so the tables are what is used")
    data = np.random.default_rng(1).integers(0, 256, 800, dtype=np.uint8)
    for words in (0, 1, 100):
        by_tables = checksums._words_by_tables(data, 0, words)
        assert checksums._words_by_instruction(data, 0, words) == by_tables
