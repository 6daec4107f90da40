"""Arrays on disk: read what was appended; nothing stays behind."""

import os
from pathlib import Path

import numpy as np
import pytest

from data_prep.store import Scratch


@pytest.mark.parametrize("small", [0, 1 << 20])
def test_rows_come_back_and_survive_release(tmp_path, small, monkeypatch):
    monkeypatch.setattr("data_prep.store._SMALL_BYTES", small)
    with Scratch(tmp_path) as scratch:
        numbers, rows = scratch.array(np.uint16), scratch.array(np.int64, columns=3)
        for start in range(0, 30000, 10000):
            numbers.append(np.arange(start, start + 10000))
        rows.append(np.arange(12).reshape(4, 3))
        rows.append(np.empty((0, 3)))
        views = numbers.view(), rows.view()
        for _ in range(2):
            np.testing.assert_array_equal(views[0], np.arange(30000))
            np.testing.assert_array_equal(views[1], np.arange(12).reshape(4, 3))
            scratch.release()
        assert views[0].dtype == np.uint16
        assert not views[0].flags.writeable


def test_nothing_appended_is_an_empty_array(tmp_path):
    with Scratch(tmp_path) as scratch:
        assert scratch.array(np.int64).view().shape == (0,)
        assert scratch.array(np.int64, columns=5).view().shape == (0, 5)


def test_no_file_has_a_name(tmp_path):
    with Scratch(tmp_path) as scratch:
        array = scratch.array(np.int64)
        array.append(np.arange(10))
        assert os.listdir(tmp_path) == []
        view = array.view()
    assert view.tolist() == list(range(10))  # what is still looked at stays readable


def test_release_gives_back_what_is_large_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.store._SMALL_BYTES", 8 << 20)

    def left_after_release(megabytes):
        with Scratch(tmp_path) as scratch:
            array = scratch.array(np.uint8)
            array.append(np.ones(megabytes << 20, np.uint8))
            before = resident_of_files()
            assert array.view().sum() == megabytes << 20
            scratch.release()
            return resident_of_files() - before

    assert left_after_release(6) >= 5 << 20
    assert left_after_release(20) < 5 << 20


def resident_of_files():
    """Bytes of files that count as this process's memory."""
    return int(Path("/proc/self/statm").read_text().split()[2]) * os.sysconf("SC_PAGE_SIZE")
