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


@pytest.mark.parametrize("by", ["instruction", "tables"])
@pytest.mark.parametrize(
    "sizes",
    [
        (800, 800, 800, 800),
        (801, 790, 811, 999),
        (16, 17, 23, 31),
        (15, 16, 17, 18),
        (0, 900, 7, 8),
    ],
)
def test_four_at_once(by, sizes):
    if by == "instruction" and not checksums.HAS_INSTRUCTION:
        pytest.skip("this processor has no instruction for it")
    data = np.random.default_rng(2).integers(0, 256, 4100, dtype=np.uint8)
    starts = np.array([5, 1016, 2027, 3038])
    ends, sums = starts + sizes, np.zeros(4, np.int64)
    getattr(checksums, f"_sum_four_by_{by}")(data, starts, ends, sums)
    parts = [data[start:end].tobytes() for start, end in zip(starts, ends, strict=True)]
    assert sums.tolist() == [google_crc32c.value(part) for part in parts]


@pytest.mark.parametrize("word", [0, 1, 806, 2**64 - 1])
def test_words(word):
    expected = google_crc32c.value(word.to_bytes(8, "little"))
    assert checksums.crc32c_of_word(np.uint64(word)) == expected


def test_tables_equal_the_instruction():
    if not checksums.HAS_INSTRUCTION:
        pytest.skip("this processor has no instruction for it, so the tables are what is used")
    data = np.random.default_rng(1).integers(0, 256, 800, dtype=np.uint8)
    for end in (0, 1, 8, 797):
        by_tables = checksums._sum_by_tables(data, 0, end, np.uint32(7))
        assert checksums._sum_by_instruction(data, 0, end, np.uint32(7)) == by_tables
    words = np.uint32(7), np.uint64(2**63 + 5)
    by_tables = checksums._sum_word_by_tables(*words)
    assert checksums._sum_word_by_instruction(*words) == by_tables
