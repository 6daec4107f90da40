"""What is kept of compiled functions is never stale, and need not be kept at all."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba.core.errors import TypingError

from bert_tf import compiled

ROOT = Path(__file__).parents[2]
CALLEE = "from bert_tf.compiled import compiled\n@compiled\ndef answer():\n    return {}\n"
CALLER = """
from bert_tf.compiled import compiled
from callee import answer
@compiled
def ask():
    return answer() + 1
if __name__ == "__main__":
    print(ask(), sum(ask.stats.cache_hits.values()))
"""


def run(folder):
    done = subprocess.run(
        [sys.executable, "caller.py"], cwd=folder, env={"PYTHONPATH": f"{ROOT}:{folder}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_kept_code_is_used_and_a_change_in_another_file_is_seen(tmp_path):
    (tmp_path / "callee.py").write_text(CALLEE.format(1))
    (tmp_path / "caller.py").write_text(CALLER)
    assert run(tmp_path) == ["2", "0"]
    assert run(tmp_path) == ["2", "1"]
    (tmp_path / "callee.py").write_text(CALLEE.format(7))
    assert run(tmp_path) == ["8", "0"]


@pytest.fixture
def forgetful():
    """`folder_to_keep` and `digest_of` without what they remember."""
    compiled.folder_to_keep.cache_clear()
    compiled.digest_of.cache_clear()
    yield
    compiled.folder_to_keep.cache_clear()
    compiled.digest_of.cache_clear()


@pytest.mark.usefixtures("forgetful")
def test_a_change_of_what_all_compiled_code_may_hold_is_seen(tmp_path, monkeypatch):
    names = [path.name for path in compiled._FOR_ALL]
    assert {"compiled.py", "tokenization.py", "unaligned.py"} <= set(names)
    copies = [tmp_path / name for name in names]
    for path, copy in zip(compiled._FOR_ALL, copies, strict=True):
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(compiled, "_FOR_ALL", copies)
    empty = tmp_path / "empty"
    empty.mkdir()
    seen = {compiled.digest_of(empty)}
    for copy in copies:
        copy.write_text(copy.read_text() + "\n# changed\n")
        compiled.digest_of.cache_clear()
        seen.add(compiled.digest_of(empty))
    assert len(seen) == 1 + len(copies)


def double(value):
    return 2 * value


@pytest.mark.usefixtures("forgetful")
def test_without_a_folder_to_keep_it_in(monkeypatch):
    def refuse(*_, **__):
        raise OSError("read-only")

    monkeypatch.setattr(Path, "mkdir", refuse)
    function = compiled.compiled(double)
    assert function(21) == 42
    assert function.stats.cache_path is None


@pytest.mark.usefixtures("forgetful")
def test_a_folder_that_the_user_names_comes_first(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled.config, "CACHE_DIR", str(tmp_path / "mine"))
    assert compiled.compiled(double)(21) == 42
    assert {path.suffix for path in tmp_path.rglob("*.nb?")} == {".nbc", ".nbi"}
    assert str(tmp_path / "mine") == compiled.config.CACHE_DIR


@compiled.uncounted
def last_of_a_part(values, size):
    part = values[:size]
    return part[size - 1]


@compiled.uncounted
def a_new_array(size):
    return np.zeros(size)


def uncounted_functions():
    paths = [path for part in ("bert_tf", "data_prep") for path in (ROOT / part).rglob("*.py")]
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(paths)]
    functions = [n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    return [f for f in functions if "uncounted" in map(ast.unparse, f.decorator_list)]


@pytest.mark.parametrize("function", uncounted_functions(), ids=lambda function: function.name)
def test_uncounted_code_makes_and_returns_no_array(function):
    numbers = {"int64", "uint64", "int32", "uint32", "uint8", "bool_"}
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("np."):
            assert ast.unparse(node.func).removeprefix("np.") in numbers
    names = set(re.findall(r"\w+", ast.unparse(function.returns)))
    assert names <= {"None", "int", "bool", "tuple", "np", *numbers}


def test_uncounted_code_leaves_references_as_they_are():
    values = np.arange(5)
    before = sys.getrefcount(values)
    assert [last_of_a_part(values, size) for size in range(1, 6)] == [0, 1, 2, 3, 4]
    assert sys.getrefcount(values) == before
    with pytest.raises(TypingError, match="Only accept returning of array passed"):
        a_new_array(3)
