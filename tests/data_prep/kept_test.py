"""Arrays that outlive a crash: what was kept is found again, what was not is cut."""

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest

from data_prep import kept
from data_prep.kept import KeptArrays, NamedScratch, OpenArrays, locked

LAYOUT = {"numbers": (np.uint16, 0), "rows": (np.int64, 3)}


@pytest.fixture(autouse=True)
def _every_keep_reaches_the_disk(monkeypatch):
    monkeypatch.setattr(kept, "_SECONDS_BETWEEN_KEEPS", 0.0)


def add(arrays, step):
    arrays.append("numbers", np.full(4, step))
    arrays.append("rows", np.full((2, 3), step))


def contents(folder):
    arrays = OpenArrays(folder, LAYOUT)
    return arrays.view("numbers").tolist(), arrays.view("rows").tolist()


def test_what_came_after_the_last_keep_is_cut(tmp_path):
    with KeptArrays(tmp_path, LAYOUT, "text") as arrays:
        for step in range(3):
            add(arrays, step)
        arrays.keep(3, {"dropped": 7})
        add(arrays, 99)
    assert contents(tmp_path)[0][-1] == 99
    with KeptArrays(tmp_path, LAYOUT, "text") as arrays:
        assert (arrays.steps, arrays.facts, arrays.complete) == (3, {"dropped": 7}, False)
        add(arrays, 3)
        arrays.keep(4, {}, complete=True)
    numbers, rows = contents(tmp_path)
    assert numbers == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert rows == [[step] * 3 for step in range(4) for _ in range(2)]
    with KeptArrays(tmp_path, LAYOUT, "text") as arrays:
        assert arrays.complete


def test_keeps_that_follow_soon_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_SECONDS_BETWEEN_KEEPS", 1000.0)
    with KeptArrays(tmp_path, LAYOUT, "text") as arrays:
        add(arrays, 0)
        arrays.keep(1, {})
        assert not (tmp_path / "journal.json").exists()
        arrays.keep(1, {}, complete=True)
        assert json.loads((tmp_path / "journal.json").read_text())["steps"] == 1


def started_anew(folder, label="text"):
    with KeptArrays(folder, LAYOUT, label) as arrays:
        return arrays.steps == 0 and contents(folder) == ([], [])


@pytest.fixture
def half(tmp_path):
    with KeptArrays(tmp_path, LAYOUT, "text") as arrays:
        add(arrays, 1)
        arrays.keep(1, {})
    return tmp_path


def test_another_label_starts_anew_for_good(half):
    assert started_anew(half, "another text")
    with KeptArrays(half, LAYOUT, "another text") as arrays:
        add(arrays, 5)  # as many rows as the first label's journal spoke of
    assert started_anew(half)


def test_a_damaged_journal_starts_anew(half):
    (half / "journal.json").write_text('{"label": "te')
    assert started_anew(half)


def test_a_file_that_is_shorter_than_the_journal_says_starts_anew(half):
    os.truncate(half / "rows.bin", 40)
    assert started_anew(half)


def test_named_arrays_stay(tmp_path):
    scratch = NamedScratch(tmp_path, ["numbers", "rows"])
    with scratch:
        scratch.array(np.uint16).append(np.arange(5))
        scratch.array(np.int64, columns=3).append(np.arange(6).reshape(2, 3))
        scratch.sync()
    assert contents(tmp_path) == ([0, 1, 2, 3, 4], [[0, 1, 2], [3, 4, 5]])


def _hold(path, started):
    with locked(path):
        started.set()
        time.sleep(60)


def test_a_lock_is_free_when_its_owner_is_killed(tmp_path):
    context = multiprocessing.get_context("fork")
    started = context.Event()
    owner = context.Process(target=_hold, args=(tmp_path / "lock", started))
    owner.start()
    assert started.wait(20)
    os.kill(owner.pid, signal.SIGKILL)
    began = time.monotonic()
    with locked(tmp_path / "lock"):
        assert time.monotonic() - began < 20
    owner.join()
