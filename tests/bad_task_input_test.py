"""Every planted mistake of `bad_task_inputs` ends with its one line; other encodings are read."""

import pytest

from tests import bad_task_inputs
from tests.bad_input_test import check


@pytest.mark.parametrize("case", bad_task_inputs.CASES, ids=lambda case: case.mistake)
def test_mistake_is_named(case, tmp_path):
    check(case, tmp_path, bad_task_inputs.COMMANDS)


def test_there_are_enough():
    assert len(bad_task_inputs.CASES) >= 25
    assert len({case.mistake for case in bad_task_inputs.CASES}) == len(bad_task_inputs.CASES)


@pytest.mark.parametrize("command", bad_task_inputs.READ_AS_IT_IS)
def test_byte_order_marks_utf_16_and_line_ends_are_read(command, tmp_path):
    folders = [tmp_path / name for name in ("plain", *bad_task_inputs.ENCODINGS)]
    for folder in folders:
        folder.mkdir()
    plain = bad_task_inputs.tokenized(command, folders[0])
    for encoding, folder in zip(bad_task_inputs.ENCODINGS, folders[1:], strict=True):
        assert bad_task_inputs.tokenized(command, folder, encoding) == plain, encoding
