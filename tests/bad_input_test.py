"""Every planted mistake of `bad_inputs` ends with its one line; no traceback, nothing half done."""

import re

import pytest

from tests import bad_inputs


@pytest.mark.parametrize("case", bad_inputs.CASES, ids=lambda case: case.mistake)
def test_mistake_is_named(case, tmp_path):
    check(case, tmp_path, bad_inputs.COMMANDS)


def check(case, tmp_path, commands):
    """The case's message, alone, and nothing half written."""
    output = bad_inputs.message_of(case, tmp_path, commands)
    assert "Traceback" not in output
    message = bad_inputs.error_line(output)
    assert re.search(case.message, message), output
    # One line: nothing follows the message, apart from absl's own pointer to --help.
    if "FATAL" not in output:
        assert output.rstrip().endswith(message)
    assert not list(tmp_path.glob(".partial-*"))


def test_there_are_enough():
    assert len(bad_inputs.CASES) >= 25
    assert len({case.mistake for case in bad_inputs.CASES}) == len(bad_inputs.CASES)
