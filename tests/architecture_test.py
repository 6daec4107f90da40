"""Holds the import rule and the house rules that can be read from the source.

The table MAY_IMPORT is the rule.  A new module belongs into it: where it stands there is a
decision about the design, not a formality.  The checker itself is tested on made-up sources.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("bert_tf", "data_prep", "saved_models")

# Unit (a module, or a package with all that is in it) -> units it may import, besides itself.
LEVEL_0 = ("bert_tf.config", "bert_tf.tokenization", "bert_tf.optimization")
MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    "bert_tf.unicode_rules": (),  # a part of the tokenizer
    "bert_tf.files": (),  # below level 0: whoever writes a file writes it whole
    "bert_tf.memory": (),
    "bert_tf.compiled": (),
    "bert_tf.unaligned": (),
    "bert_tf.config": ("bert_tf.files",),
    "bert_tf.case_check": (),  # likewise
    "bert_tf.tokenization": ("bert_tf.unicode_rules", "bert_tf.case_check"),
    "bert_tf.optimization": (),
    "bert_tf.modeling": ("bert_tf.config",),
    "bert_tf.inputs": (
        "bert_tf.files",
        "bert_tf.compiled",
        "bert_tf.unaligned",
        "bert_tf.tokenization",
    ),
    "bert_tf.reporting": (),  # plain data in, a page out: it knows no task and no file
    "bert_tf.conversion": ("bert_tf.files", "bert_tf.config", "bert_tf.modeling"),
    "bert_tf.tasks": (
        "bert_tf.files",
        "bert_tf.config",
        "bert_tf.tokenization",
        "bert_tf.modeling",
        "bert_tf.inputs",
        "bert_tf.reporting",
    ),
    "bert_tf.training": (
        "bert_tf.files",
        "bert_tf.config",
        "bert_tf.optimization",
        "bert_tf.inputs.source",
        "bert_tf.inputs.examples",
        "bert_tf.inputs.batches",
        "bert_tf.inputs.prefetch",
        "bert_tf.modeling.kernels",  # whose chains it compiles
        "bert_tf.tasks.task",
        "bert_tf.tasks.job",
        "bert_tf.reporting",
        "bert_tf.conversion.initialize",
        "bert_tf.conversion.tf1",
        "bert_tf.conversion.weight_map",  # checkpoints name every variable by the table
    ),
    # Flag groups stand between the commands and all that a command may start.
    "bert_tf.flags": (
        *LEVEL_0,
        "bert_tf.memory",
        "bert_tf.modeling",
        "bert_tf.inputs",
        "bert_tf.conversion",
        "bert_tf.tasks",
        "bert_tf.training",
    ),
    "bert_tf.task_flags": (
        "bert_tf.flags",
        "bert_tf.inputs",
        "bert_tf.conversion",
        "bert_tf.tasks",
        "bert_tf.training",
    ),
    "bert_tf.pretraining_flags": (
        "bert_tf.flags",
        "bert_tf.inputs",
        "bert_tf.tasks",
        "bert_tf.training",
    ),
    "data_prep": (
        "bert_tf.files",
        "bert_tf.compiled",
        "bert_tf.unaligned",
        "bert_tf.unicode_rules",  # the compiled tokenizer asks them about each character
        "bert_tf.tokenization",
        "bert_tf.inputs",
        "bert_tf.reporting",
    ),
    "saved_models": (
        *LEVEL_0,
        "bert_tf.files",
        "bert_tf.unicode_rules",  # the graph's tokenizer is made from the same rules
        "bert_tf.flags",
        "bert_tf.task_flags",
        "bert_tf.modeling",
        "bert_tf.inputs",
        "bert_tf.conversion",
        "bert_tf.tasks",
        "bert_tf.training.runtime",
        "bert_tf.training.checkpoints",
        "bert_tf.reporting",  # the served page has the reports' colours
    ),
}
READ_FLAGS = ("bert_tf.flags", "bert_tf.task_flags", "bert_tf.pretraining_flags")
FLAG_READERS = (*READ_FLAGS, "saved_models.request_flags")
COMMAND_MAY_IMPORT = (*READ_FLAGS, *MAY_IMPORT["bert_tf.flags"])
# Modules whose import must not cost TensorFlow's memory and seconds (data_prep: all of them).
WITHOUT_TENSORFLOW = (
    "bert_tf",
    "bert_tf.config",
    "bert_tf.tokenization",
    "bert_tf.inputs.records",
    "saved_models.litert_runner",
)


class Module(NamedTuple):
    """One source file: where it lies (from the root), its dotted name, its syntax tree."""

    path: str
    name: str
    tree: ast.Module


class Import(NamedTuple):
    """One imported name: by whom, on which line."""

    module: Module
    line: int
    target: str


def parse(sources: Mapping[str, str]) -> dict[str, Module]:
    modules = {}
    for path, source in sources.items():
        parts = path.removesuffix(".py").split("/")
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = Module(path, name, ast.parse(source, filename=path))
    return modules


@cache
def project() -> dict[str, Module]:
    """The packages as they lie on disk; a package that does not exist yet adds nothing."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return parse({f.relative_to(ROOT).as_posix(): f.read_text("utf-8") for f in sorted(files)})


def imports_of(module: Module, modules: Mapping[str, Module]) -> Iterator[Import]:
    """Yields all that a module imports, in functions too; relative names are made absolute."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield Import(module, node.lineno, submodule if submodule in modules else base)


def _absolute(module: Module, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.name.split(".")
    if not module.path.endswith("__init__.py"):
        package = package[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([*package, node.module] if node.module else package)


def within(name: str, unit: str) -> bool:
    return name == unit or name.startswith(unit + ".")


def unit_of(name: str) -> str | None:
    return next((unit for unit in MAY_IMPORT if within(name, unit)), None)


def is_command(module: Module) -> bool:
    """A module with a function `main` that is started as `python -m`."""
    directly = module.name.count(".") == 1 and unit_of(module.name) in (
        None,
        "data_prep",
        "saved_models",
    )
    return directly and any(
        isinstance(node, ast.FunctionDef) and node.name == "main" for node in module.tree.body
    )


def import_violations(modules: Mapping[str, Module]) -> list[str]:
    """One line for each import that goes up or sideways, and for each module without a place."""
    found = []
    for module in modules.values():
        if module.name in PACKAGES and not within("data_prep", module.name):
            allowed: tuple[str, ...] = ()
        elif (unit := unit_of(module.name)) is not None:
            allowed = (unit, *MAY_IMPORT[unit])
        elif is_command(module):
            allowed = COMMAND_MAY_IMPORT
        else:
            found.append(f"{module.path}:1: {module.name} has no place in MAY_IMPORT: give it one")
            continue
        for entry in imports_of(module, modules):
            if entry.target.split(".")[0] in PACKAGES and not (
                any(within(entry.target, unit) for unit in allowed) or entry.target == "bert_tf"
            ):
                found.append(
                    f"{module.path}:{entry.line}: {module.name} imports {entry.target}; "
                    f"it may import only {', '.join(allowed) or 'nothing of the project'}"
                )
    return found


def cycles(modules: Mapping[str, Module]) -> list[str]:
    """One line for each import that closes a cycle."""
    edges = {
        name: [e for e in imports_of(module, modules) if e.target in modules and e.target != name]
        for name, module in modules.items()
    }
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        for edge in edges[name]:
            if edge.target in trail:
                ring = " -> ".join([*trail[trail.index(edge.target) :], edge.target])
                found.append(f"{edge.module.path}:{edge.line}: import cycle {ring}")
            elif edge.target not in done:
                visit(edge.target, (*trail, edge.target))
        done.add(name)

    for name in edges:
        if name not in done:
            visit(name, (name,))
    return found


def tensorflow_in_modeling(modules: Mapping[str, Module]) -> list[str]:
    return [
        f"{entry.module.path}:{entry.line}: modeling imports {entry.target}; it is written with "
        "keras.ops alone, so that it runs on every Keras backend"
        for module in modules.values()
        if within(module.name, "bert_tf.modeling")
        for entry in imports_of(module, modules)
        if re.match(r"tensorflow|tf_keras|official|orbit", entry.target)
    ]


def strategy_runs(modules: Mapping[str, Module]) -> list[str]:
    return [
        f"{module.path}:{node.lineno}: {ast.unparse(node.func)}(...); "
        "only bert_tf.training.loop and .evaluation run a step under a strategy"
        for module in modules.values()
        if module.name not in ("bert_tf.training.loop", "bert_tf.training.evaluation")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "run"
        and "strategy" in ast.unparse(node.func.value).lower()
    ]


def flag_readers(modules: Mapping[str, Module]) -> list[str]:
    found = []
    for module in modules.values():
        if is_command(module) or module.name in FLAG_READERS:
            continue
        for node in ast.walk(module.tree):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            imported = isinstance(node, ast.alias) and node.name == "FLAGS"
            if name == "FLAGS" or imported:
                found.append(
                    f"{module.path}:{getattr(node, 'lineno', 1)}: reads FLAGS; only commands do, "
                    "everything else takes arguments or a dataclass"
                )
    return found


RULES = {
    "a module imports only from lower levels": import_violations,
    "no import cycle": cycles,
    "modeling imports no TensorFlow": tensorflow_in_modeling,
    "only training.loop and .evaluation run under a strategy": strategy_runs,
    "only commands read FLAGS": flag_readers,
}


@pytest.mark.parametrize("rule", RULES)
def test_project_keeps(rule: str) -> None:
    broken = RULES[rule](project())
    assert not broken, f"Rule: {rule}.\n" + "\n".join(broken)


def test_project_is_seen() -> None:
    assert {"bert_tf", "data_prep"} <= project().keys(), "the checker looks into an empty folder"


# --- The checker on made-up sources: (rule, sources, what its message must hold). ---

LEVELS, CYCLE, MODELING, STRATEGY, FLAGS = RULES
BAD: list[tuple[str, dict[str, str], str]] = [
    (LEVELS, {"bert_tf/config.py": "\nimport bert_tf.tokenization"}, "bert_tf/config.py:2: "),
    (LEVELS, {"bert_tf/modeling/a.py": "from bert_tf import optimization",
              "bert_tf/optimization.py": ""}, "imports bert_tf.optimization"),
    (LEVELS, {"bert_tf/modeling/a.py": "from ..inputs import records"}, "bert_tf.inputs"),
    (LEVELS, {"bert_tf/inputs/a.py": "def f():\n    import bert_tf.config"}, "a.py:2: "),
    (LEVELS, {"bert_tf/training/a.py": "from bert_tf.tasks.glue import X"}, "bert_tf.tasks.glue"),
    (LEVELS, {"bert_tf/training/a.py": "from bert_tf.tasks.taskmaster import X"}, "taskmaster"),
    (LEVELS, {"bert_tf/flags.py": "from bert_tf import run_x",
              "bert_tf/run_x.py": "def main(): pass"}, "imports bert_tf.run_x"),
    (LEVELS, {"bert_tf/run_x.py": "import bert_tf.run_y\ndef main(): pass",
              "bert_tf/run_y.py": "def main(): pass"}, "imports bert_tf.run_y"),
    (LEVELS, {"bert_tf/run_x.py": "import data_prep.pairs\ndef main(): pass"}, "data_prep.pairs"),
    (LEVELS, {"bert_tf/__init__.py": "from .config import C",
              "bert_tf/config.py": ""}, "may import only nothing"),
    (LEVELS, {"data_prep/a.py": "import bert_tf.config"}, "data_prep.a imports bert_tf.config"),
    (LEVELS, {"saved_models/a.py": "from bert_tf.training.loop import f"}, "training.loop"),
    (LEVELS, {"bert_tf/misc.py": "x = 1"}, "bert_tf.misc has no place"),
    (CYCLE, {"bert_tf/inputs/a.py": "from bert_tf.inputs import b",
             "bert_tf/inputs/b.py": "from . import c", "bert_tf/inputs/c.py": "from .a import f"},
     "inputs.a -> bert_tf.inputs.b -> bert_tf.inputs.c -> bert_tf.inputs.a"),
    (MODELING, {"bert_tf/modeling/a.py": "def f():\n  import tensorflow as tf"}, "a.py:2: "),
    (STRATEGY, {"bert_tf/tasks/a.py": "self._strategy.run(step)"}, "self._strategy.run(...)"),
    (STRATEGY, {"bert_tf/run_x.py": "tf.distribute.get_strategy().run(step)"}, "get_strategy()"),
    (FLAGS, {"bert_tf/tasks/a.py": "from absl import flags\nx = flags.FLAGS.y"}, "a.py:2: "),
    (FLAGS, {"data_prep/a.py": "from absl.flags import FLAGS as F"}, "reads FLAGS"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "sources", "message"), BAD)
def test_checker_finds(rule: str, sources: dict[str, str], message: str) -> None:
    broken = RULES[rule](parse(sources))
    assert any(message in line for line in broken), broken


GOOD = {
    "bert_tf/__init__.py": "__version__ = '1'",
    "bert_tf/config.py": "import json",
    "bert_tf/tokenization.py": "import unicodedata\nfrom bert_tf import unicode_rules",
    "bert_tf/unicode_rules.py": "",
    "bert_tf/modeling/__init__.py": "from bert_tf.modeling.encoder import E",
    "bert_tf/modeling/layers.py": "import keras\nfrom bert_tf.config import C",
    "bert_tf/modeling/encoder.py": "from bert_tf.modeling import layers\nfrom .. import config",
    "bert_tf/tasks/task.py": "import subprocess\nsubprocess.run(['ls'])",
    "bert_tf/training/loop.py": "from bert_tf.tasks import task\nstrategy.run(f)",
    "bert_tf/flags.py": "from absl import flags\nflags.FLAGS.x",
    "bert_tf/run_x.py": "from bert_tf import flags\nfrom bert_tf.training import loop\n"
    "from absl.flags import FLAGS\ndef main(): pass",
    "data_prep/pairs.py": "from bert_tf.inputs import records\nfrom data_prep import masking",
    "data_prep/masking.py": "from bert_tf.tokenization import T",
    "data_prep/build.py": "from absl.flags import FLAGS\ndef main(): pass",
    "bert_tf/inputs/records.py": "",
}


@pytest.mark.parametrize("rule", RULES)
def test_checker_lets_good_sources_pass(rule: str) -> None:
    assert RULES[rule](parse(GOOD)) == []


# --- What only an import can show, each in one fresh interpreter. ---


def run_python(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "tensorflow" in sys.modules:
        print(name)
        break
"""


def test_light_modules_do_not_import_tensorflow() -> None:
    light = [name for name in WITHOUT_TENSORFLOW if name in project()]
    light += [name for name in project() if within(name, "data_prep")]
    guilty = run_python(IMPORT_ALL, *light)
    assert not guilty, (
        f"import {guilty} imports TensorFlow: import it in the function that needs it"
    )


def test_import_all_script_finds_tensorflow() -> None:
    planted = "import sys, types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')"
    assert run_python(planted + IMPORT_ALL, "json", "csv") == "json"


IMPORT_COMMANDS = """
import importlib, sys
from absl import flags
for name in sys.argv[1:]:
    importlib.import_module(name)
for module, defined in flags.FLAGS.flags_by_module_dict().items():
    if module.split(".")[0] in ("bert_tf", "data_prep", "saved_models", "planted"):
        print(module, *[flag.name for flag in defined])
"""


def test_importing_a_command_defines_no_flag() -> None:
    commands = [module.name for module in project().values() if is_command(module)]
    defined = run_python(IMPORT_COMMANDS, *commands, *(["bert_tf.flags"] * has_flags()))
    assert not defined, (
        "Importing a module defines absl flags, which collide as soon as two are imported; "
        f"define them in a function that main calls: {defined}"
    )


def has_flags() -> bool:
    return "bert_tf.flags" in project()


def test_import_commands_script_finds_a_flag() -> None:
    planted = "from absl import flags\nflags.DEFINE_integer('x', 1, 'x', module_name='planted')\n"
    assert run_python(planted + IMPORT_COMMANDS) == "planted x"
