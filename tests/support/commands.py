"""Runs a command of the project inside the test process, as its command line would."""

import importlib
from typing import Any
from unittest import mock

import keras
from absl import flags as absl_flags

from bert_tf import flags


def run(command: str, **values: Any) -> None:
    """Parses flags from the values and calls the command's main; errors come as exceptions."""
    module = importlib.import_module(command if "." in command else f"bert_tf.{command}")
    parsed = absl_flags.FlagValues()
    with mock.patch.object(absl_flags, "FLAGS", parsed), mock.patch.object(flags, "FLAGS", parsed):
        own = {
            name: getattr(absl_flags, name)
            for name in dir(absl_flags)
            if name.startswith("DEFINE_")
        }
        with mock.patch.multiple(
            absl_flags,
            **{name: _into(parsed, define) for name, define in own.items()},
            adopt_module_key_flags=lambda *_: None,
        ):
            module.define_flags()
        parsed([command, *(_argument(name, value) for name, value in values.items())])
        try:
            module.main()
        finally:
            keras.config.set_dtype_policy("float32")


def _into(parsed: absl_flags.FlagValues, define: Any) -> Any:
    def defined(*arguments: Any, **options: Any) -> Any:
        return define(*arguments, flag_values=parsed, **options)

    return defined


def _argument(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={value}"
