"""Files are replaced whole or not at all."""

import pytest

from bert_tf import files
from bert_tf.files import begin_sync, replacing, write_text


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


@pytest.mark.parametrize("system_has_it", [True, False])
def test_beginning_to_sync_changes_nothing(tmp_path, monkeypatch, system_has_it):
    if not system_has_it:
        monkeypatch.setattr(files, "_sync_file_range", lambda: None)
    path = tmp_path / "records"
    with path.open("wb") as file:
        file.write(bytes(10_000))
        file.flush()
        begin_sync(file.fileno(), 0, 8192)
        begin_sync(file.fileno(), 8192, 0)
        file.write(b"more")
    assert path.read_bytes() == bytes(10_000) + b"more"


def test_beginning_to_sync_names_the_bytes(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(files, "_sync_file_range", lambda: lambda *call: calls.append(call))
    begin_sync(7, 8192, 4096)
    begin_sync(7, 8192, 0)
    assert calls == [(7, 8192, 4096, 2)]
