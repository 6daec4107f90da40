"""Packing: [CLS] and [SEP] in place, truncation as the original's classifiers do it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bert_tf.inputs.features import pack, pad, truncate_pair

CLS, SEP = 101, 102


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 20))
def test_truncation_takes_from_the_end_of_the_longer_part(size_a, size_b, room):
    a, b = list(range(size_a)), list(range(100, 100 + size_b))
    expected_a, expected_b = list(a), list(b)
    while len(expected_a) + len(expected_b) > room:
        (expected_a if len(expected_a) > len(expected_b) else expected_b).pop()
    assert truncate_pair(a, b, room) == (expected_a, expected_b)
    assert (len(a), len(b)) == (size_a, size_b)  # the arguments stay as they are


def test_pair():
    packed = pack([7, 8], [9], max_seq_length=8, cls_id=CLS, sep_id=SEP)
    assert packed.input_ids == [CLS, 7, 8, SEP, 9, SEP, 0, 0]
    assert packed.segment_ids == [0, 0, 0, 0, 1, 1, 0, 0]
    assert packed.input_mask == [1, 1, 1, 1, 1, 1, 0, 0]
    assert packed.length == 6


def test_single_part_and_empty_second_part_differ():
    single = pack([7, 8, 9, 10], max_seq_length=5, cls_id=CLS, sep_id=SEP)
    assert single.input_ids == [CLS, 7, 8, 9, SEP]
    assert single.segment_ids == [0] * 5
    pair = pack([7, 8, 9, 10], [], max_seq_length=5, cls_id=CLS, sep_id=SEP)
    assert pair.input_ids == [CLS, 7, 8, SEP, SEP]
    assert pair.segment_ids == [0, 0, 0, 0, 1]


def test_equal_lengths_take_from_the_second():
    packed = pack([1, 2], [3, 4], max_seq_length=6, cls_id=CLS, sep_id=SEP)
    assert packed.input_ids == [CLS, 1, 2, SEP, 3, SEP]


@pytest.mark.parametrize(("second", "needed"), [(None, 3), ([1], 4)])
def test_no_room_is_refused(second, needed):
    with pytest.raises(ValueError, match=f"at least {needed} .*got {needed - 1}"):
        pack([1], second, max_seq_length=needed - 1, cls_id=CLS, sep_id=SEP)


def test_pad():
    assert pad([1, 2], 4, 9) == [1, 2, 9, 9]
    with pytest.raises(ValueError, match="at most 1 values, got 2"):
        pad([1, 2], 1)
