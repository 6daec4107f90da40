"""Files are replaced whole or not at all."""

import os
import threading
import time

import pytest

from bert_tf import files
from bert_tf.files import EarlySync, replacing, write_text


def test_the_new_file_takes_the_place_of_the_old(tmp_path):
    target = tmp_path / "curves.png"
    target.write_bytes(b"old")
    with replacing(target) as partial:
        assert partial.parent == target.parent
        assert partial != target
        assert partial.suffix == ".png"
        partial.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "results.txt"
    target.write_bytes(b"old")

    def interrupted():
        with replacing(target) as partial:
            partial.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_written_is_an_error_and_leaves_the_old_file(tmp_path):
    target = tmp_path / "results.txt"
    target.write_bytes(b"old")
    with pytest.raises(FileNotFoundError), replacing(target):
        pass
    assert target.read_bytes() == b"old"


def test_a_file_of_a_killed_run_is_overwritten(tmp_path):
    target = tmp_path / "results.txt"
    with replacing(target) as partial:
        partial.write_text("x")
    partial.write_text("of a killed run, and longer")
    write_text(target, "new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_text_is_utf_8_with_its_own_line_ends(tmp_path):
    target = tmp_path / "vocab.txt"
    write_text(target, "Orléans\nzwei\r\n")
    assert target.read_bytes() == "Orléans\nzwei\r\n".encode()


class FakeDisk:
    """Stands for `os.fsync`: notes the size of the file at each call, and fails when told to."""

    def __init__(self, monkeypatch):
        self.sizes, self.error, self.go_on = [], None, threading.Event()
        self.go_on.set()
        monkeypatch.setattr("bert_tf.files.os.fsync", self.sync)

    def sync(self, descriptor):
        self.go_on.wait(10)
        self.sizes.append(os.fstat(descriptor).st_size)
        error, self.error = self.error, None  # the system tells of an error once
        if error:
            raise error


def wait_for(condition):
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    assert condition()


def test_a_file_is_synced_while_it_grows(tmp_path, monkeypatch):
    disk = FakeDisk(monkeypatch)
    monkeypatch.setattr(files, "_SYNC_BYTES", 100)
    with (tmp_path / "records").open("wb", buffering=0) as file:
        early = EarlySync(file.fileno())
        for written in (99, 100):
            file.write(bytes(written))
            early.grown(file.tell())
        wait_for(lambda: early._running.done())
        assert disk.sizes == [199]  # 99 were too few
        disk.go_on.clear()
        for _ in range(3):  # while one sync runs no other begins
            file.write(bytes(100))
            early.grown(file.tell())
        disk.go_on.set()
        early.finish()
        early.close()
    assert disk.sizes == [199, 499, 499]


@pytest.mark.parametrize("told_by", ["grown", "finish"])
def test_an_error_of_an_early_sync_is_told_later(tmp_path, monkeypatch, told_by):
    disk = FakeDisk(monkeypatch)
    disk.error = OSError(5, "Input/output error")
    with (tmp_path / "records").open("wb", buffering=0) as file:
        early = EarlySync(file.fileno())
        early.grown(1 << 30)
        wait_for(lambda: early._running.done())
        with pytest.raises(OSError, match="Input/output error"):
            early.grown(1 << 31) if told_by == "grown" else early.finish()
        early.close()
