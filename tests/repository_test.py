"""What a newcomer meets first: the files at the top, `make`, and `--help` of every command."""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMAND_FOLDERS = ("bert_tf", "data_prep", "saved_models")
LICENSE_SHA256 = "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4"


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "name",
    [
        *("README.md", "WORKSPACE.md", "LICENSE", "CONTRIBUTING.md", "CHANGELOG.md"),
        *("requirements.txt", "requirements-dev.txt", "constraints.txt", "pyproject.toml"),
        *("Makefile", ".ci/run", ".gitignore", ".pre-commit-config.yaml"),
        "data_prep/sample_corpus.txt",
    ],
)
def test_top_level_file_has_content(name: str) -> None:
    assert read(name).strip()


def test_license_is_apache_2() -> None:
    assert hashlib.sha256(read("LICENSE").encode()).hexdigest() == LICENSE_SHA256
    assert tomllib.loads(read("pyproject.toml"))["project"]["license"] == {"text": "Apache-2.0"}


def test_continuous_integration_runs_make_test() -> None:
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert re.search(r"^exec make test$", read(".ci/run"), re.MULTILINE)


def test_version_is_the_same_everywhere() -> None:
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    in_package = re.search(r'^__version__ = "(.*)"', read("bert_tf/__init__.py"), re.MULTILINE)
    assert in_package is None or in_package.group(1) == version
    assert f"[{version}]" in read("CHANGELOG.md")


# --- Requirements ---


def pins(name: str) -> dict[str, str]:
    lines = [line for line in read(name).splitlines() if line and not line.startswith("#")]
    unpinned = [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.!+-]+", line)]
    assert not unpinned, f"{name} must hold only name==version: {unpinned}"
    pairs = [line.split("==") for line in lines]
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in pairs}


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_requirements_are_pinned_as_in_constraints(name: str) -> None:
    constraints = pins("constraints.txt")
    assert pins(name).items() <= constraints.items()


def test_package_names_what_requirements_pin() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert project["requires-python"] == ">=3.11,<3.12"
    named = {re.split(r"[<>=]", entry)[0].replace("_", "-") for entry in project["dependencies"]}
    assert named == pins("requirements.txt").keys()


# --- make ---


def make(*arguments: str) -> str:
    # -n after a setup: the stamp may be absent where the tests run in another environment.
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "-C", str(ROOT), "--no-print-directory", *arguments],
        env=clean, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("setup", ""),
        ("demo", "scripts/demo.sh"),
        ("test", "-m pytest"),
        ("test", "-m mypy"),
        ("test", "-m ruff check"),
        ("check", "-m pytest"),
        ("lint", "-m ruff format --check"),
        ("types", "-m mypy"),
        ("unit", "-m pytest"),
        ("clean", "demo_out"),
    ],
)
def test_make_target(target: str, command: str) -> None:
    assert command in make("-n", target)


@needs_make
def test_make_alone_lists_the_targets() -> None:
    shown = make()
    for target in re.search(r"^\.PHONY: (.*)$", read("Makefile"), re.MULTILINE)[1].split():
        assert re.search(rf"^  {target}\s+\w", shown, re.MULTILINE), target


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"TEXT": "no/such.txt"}, "there is no 'no/such.txt'"),
        ({"SENTENCE": "no gap here"}, "SENTENCE must hold [MASK]"),
        ({"STEPS": "0"}, "STEPS must be a whole number"),
        ({"DEMO_DIR": "."}, "DEMO_DIR must be new, empty or an earlier demo's folder"),
    ],
)
def test_demo_refuses(variables: dict[str, str], message: str) -> None:
    done = subprocess.run(
        ["bash", str(ROOT / "scripts/demo.sh")],
        env={**os.environ, **variables}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == ""


def test_setup_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "scripts/make_venv.sh"), "no-such-python", str(tmp_path / "venv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "needs Python 3.11; 'no-such-python' is nothing that runs" in done.stderr
    assert "make setup PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_setup_refuses_an_environment_of_another_python(tmp_path: Path) -> None:
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.99.0 && exit 0\nexit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "scripts/make_venv.sh"), sys.executable, str(tmp_path / "venv")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "holds Python 3.99.0" in done.stderr


def test_setup_completes_an_environment_without_pip(tmp_path: Path) -> None:
    """What `uv venv` makes; it must not be cleared."""
    python = tmp_path / "venv/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(
        '#!/bin/sh\ncase "$2" in pip) [ -e "$0.pip" ];; ensurepip) touch "$0.pip";; esac\n'
    )
    python.chmod(0o755)
    script = ["sh", str(ROOT / "scripts/make_venv.sh"), "no-such-python", str(tmp_path / "venv")]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in python.parent.iterdir()) == ["python", "python.pip"]


# --- Commands ---


def commands() -> dict[str, str]:
    """Module name -> first line of its docstring, for every module with a function `main`."""
    found = {}
    for folder in COMMAND_FOLDERS:
        for file in sorted((ROOT / folder).glob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
                found[f"{folder}.{file.stem}"] = (ast.get_docstring(tree) or "").split("\n")[0]
    return found


# One interpreter imports TensorFlow once and forks for each command: seconds instead of a minute.
HELP = """
import json, os, runpy, sys, tempfile
import tensorflow, keras, orbit
answers = {}
for name in sys.argv[1:]:
    with tempfile.TemporaryFile("w+") as shown:
        child = os.fork()
        if not child:
            os.dup2(shown.fileno(), 1)
            os.dup2(shown.fileno(), 2)
            sys.argv = [name, "--help"]
            status = 0
            try:
                runpy.run_module(name, run_name="__main__", alter_sys=True)
            except SystemExit as exit:
                status = exit.code or 0
            except BaseException as error:
                print(repr(error))
                status = 99
            sys.stdout.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        shown.seek(0)
        answers[name] = [status, shown.read()]
print(json.dumps(answers))
"""


def test_every_command_answers_help_with_its_docstring() -> None:
    expected = commands()
    if not expected:
        pytest.skip("there is no command yet")
    done = subprocess.run(
        [sys.executable, "-c", HELP, *expected],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for name, summary in expected.items():
        status, shown = answers[name]
        assert summary, f"{name} has no docstring"
        # absl answers --help with 1.
        assert status in (0, 1), f"{name} --help ends with {status}:\n{shown}"
        assert summary in shown, f"{name} --help does not show {summary!r}:\n{shown}"
        assert "Traceback" not in shown
