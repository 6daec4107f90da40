"""What README says can be typed and run."""

import importlib
import re

import pytest
from absl import flags as absl_flags

from tests.support import small

README = (small.ROOT / "README.md").read_text(encoding="utf-8")
# The names that the Python example uses, and files that are here.
FILES = {
    '"bert_config.json"': str(small.CONFIG),
    '"uncased_L-12_H-768_A-12/bert_model.ckpt"': small.CHECKPOINT,
    '"vocab.txt"': str(small.VOCAB),
}
COMMAND = re.compile(r"^python (?:-m (?P<module>[\w.]+)|(?P<file>\S+)\.py)(?P<rest>.*)$", re.M)
FLAG = re.compile(r"--(\w+)")


def blocks(language: str) -> str:
    """All blocks of a language, with continued lines joined."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return "\n".join(found).replace("\\\n", " ")


def flags_of(module_name: str) -> set[str]:
    """The flags that a command defines, forgotten again."""
    module = importlib.import_module(module_name)
    known = set(absl_flags.FLAGS)
    try:
        module.define_flags()
        defined = set(absl_flags.FLAGS) - known
        switches = {name for name in defined if absl_flags.FLAGS[name].boolean}
    finally:
        for name in set(absl_flags.FLAGS) - known:
            delattr(absl_flags.FLAGS, name)
    return defined | {f"no{name}" for name in switches}


def commands() -> list[tuple[str, list[str]]]:
    """Module and flags of each command line."""
    return [
        (
            found["module"] or found["file"].replace("/", "."),
            FLAG.findall(found["rest"]),
        )
        for found in COMMAND.finditer(blocks("bash"))
    ]


def commands_of_tables() -> list[tuple[str, list[str]]]:
    """Module and flags of each command of the project that stands in a table."""
    cells = re.findall(r"`python -m (bert_tf\.\w+)([^`|]*)`", README)
    return [(module, FLAG.findall(rest)) for module, rest in cells]


def test_python_example_runs(capsys):
    code = blocks("python")
    for name, path in FILES.items():
        assert code.count(name) == 1, name
        code = code.replace(name, repr(path))
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    assert "weights loaded" in capsys.readouterr().out
    tokens = len(names["tokens"])
    assert len(names["offsets"]) == tokens > 0
    assert names["outputs"]["sequence_output"].shape == (1, tokens + 2, 32)
    said = re.search(r"# (\w+(?:, \w+)*), \.\.\.$", code, re.MULTILINE)[1].split(", ")
    assert names["outputs"].keys() >= set(said)


def test_every_command_is_found():
    assert len(commands()) == blocks("bash").count("python ") > 4


@pytest.mark.parametrize(("module", "flags"), [*commands(), *commands_of_tables()])
def test_command_has_the_flags(module, flags):
    assert flags
    assert set(flags) <= flags_of(module), module


def test_flags_of_the_text_exist():
    modules = {module for module, _ in [*commands(), *commands_of_tables()]}
    known = set().union(*(flags_of(module) for module in modules))
    text = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    # Rows of the results name benchmarks, whose flags are their own.
    text = "\n".join(line for line in text.splitlines() if "python" not in line)
    named = set(FLAG.findall(text))
    assert len(named) > 10
    assert named <= known, named - known


def test_results_are_filled_in():
    assert "RESULTS_TABLE" not in README
