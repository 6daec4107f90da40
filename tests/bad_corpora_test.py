"""Every planted mistake of `bad_corpora` ends with its one line; a full disk leaves nothing."""

import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest
from absl import flags as absl_flags

from data_prep import build_vocab, create_pretraining_data
from tests import bad_corpora
from tests.bad_input_test import check
from tests.support import small

OUTSIDE = Path("/tmp/planted-by-bad-corpora")


@pytest.mark.parametrize("case", bad_corpora.CASES, ids=lambda case: case.mistake)
def test_mistake_is_named(case, tmp_path):
    check(case, tmp_path, bad_corpora.COMMANDS)
    names = os.listdir(tmp_path)
    assert not [name for name in names if "made.tfrecord" in name or name == "vocab.txt"]
    assert not (tmp_path / "new" / "vocab.txt").exists()
    assert not OUTSIDE.exists()


def test_there_are_enough():
    assert len(bad_corpora.CASES) + len(bad_corpora.SAID) >= 25
    assert len({case.mistake for case in bad_corpora.CASES}) == len(bad_corpora.CASES)


def run(command, line):
    """A command in this process; its exit status."""
    known = set(absl_flags.FLAGS)
    arguments = [command.__name__, *(f"--{name}={value}" for name, value in line.items())]
    try:
        with mock.patch.object(sys, "argv", arguments), pytest.raises(SystemExit) as end:
            command.main()
        return end.value.code
    finally:
        for name in set(absl_flags.FLAGS) - known:
            delattr(absl_flags.FLAGS, name)
        absl_flags.FLAGS.unparse_flags()


def warn(text, *values):
    sys.stderr.write(f"warning: {text % values}\n")


@pytest.mark.parametrize("name", bad_corpora.SAID)
def test_what_is_read_all_the_same_is_said(name, tmp_path, capsys):
    plant, message = bad_corpora.SAID[name]
    world = bad_corpora.World(tmp_path)
    line = {**bad_corpora.COMMANDS["create_pretraining_data"][1](world), **plant(world)}
    with mock.patch("absl.logging.warning", warn):
        status = run(create_pretraining_data, {**line, "dupe_factor": 1, "num_workers": 1})
    captured = capsys.readouterr()
    assert not status, captured.err
    assert re.search(message, captured.err), captured.err
    assert re.search(r"made\.tfrecord: [1-9]\d* records", captured.out)


@contextmanager
def small_disk(folder):
    """A disk of 200 kB, where one may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a disk cannot be mounted here")
    try:
        yield folder
    finally:
        # Lazily: what the run had mapped may be in use for a while.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_leaves_no_records(tmp_path, capsys):
    with small_disk(tmp_path / "disk") as disk:
        (disk / "a").write_bytes(b"older")
        line = {
            "input_file": bad_corpora.small_file(tmp_path), "output_file": disk / "a",
            "vocab_file": small.VOCAB, "num_workers": 1,
        }  # fmt: skip
        assert run(create_pretraining_data, line) == 1
        assert re.search(r"error: \[Errno 28\] No space left on device", capsys.readouterr().err)
        assert (disk / "a").read_bytes() == b"older"
        assert os.listdir(disk) == ["a"]


def test_a_full_disk_leaves_no_vocabulary(tmp_path, capsys):
    with small_disk(tmp_path / "disk") as disk:
        (disk / "vocab").write_bytes(b"older")
        (disk / "filler").write_bytes(b"x" * 192_000)
        line = {
            "input_file": small.GOLDENS / "corpus.txt", "output_file": disk / "vocab",
            "vocab_size": 12_000, "num_unused": 10_000,
        }  # fmt: skip
        assert run(build_vocab, line) == 1
        assert re.search(r"error: \[Errno 28\] No space left on device", capsys.readouterr().err)
        assert (disk / "vocab").read_bytes() == b"older"
        assert sorted(os.listdir(disk)) == ["filler", "vocab"]


KILLED = """
import os, signal
from data_prep import build_vocab, mixing
real = mixing.TextInput.blocks
def killed(self):
    yield from real(self)
    os.kill(os.getpid(), signal.SIGKILL)
mixing.TextInput.blocks = killed
build_vocab.main()
"""


def test_a_killed_build_leaves_no_vocabulary(tmp_path):
    arguments = [f"--input_file={small.GOLDENS / 'corpus.txt'}", f"--output_file={tmp_path}/v"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=small.ROOT, capture_output=True, check=False
    )
    assert done.returncode == -signal.SIGKILL
    assert os.listdir(tmp_path) == []
