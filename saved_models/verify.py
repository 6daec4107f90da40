"""Loads a SavedModel as a stranger would, and compares what it answers with what it should.

    python saved_models/verify.py EXPORT_DIR CASES.json

A file for a fresh process: it imports TensorFlow and tensorflow-text only, as a server or a user
without this project does. `export` runs it before an export gets its name.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the ops of the tokenizer

PACK = "bert_pack_inputs"
TOLERANCE = 1e-5


def answer(model: Any, call: str, texts: list[str]) -> Any:
    """What `model` or its part `call` says to texts: nested lists, by name if it names them.

    What packs gets the tokens of each text together with those of the text after it.
    """
    if call == PACK:
        first, second = (model.tokenize(tf.constant(part)) for part in (texts[:-1], texts[1:]))
        outputs = model.bert_pack_inputs([first, second])
    else:
        part = getattr(model, call) if call else model
        outputs = part(tf.constant(texts, tf.string))
    if isinstance(outputs, dict):
        return {name: _listed(value) for name, value in outputs.items()}
    if isinstance(outputs, list):
        return [_listed(value) for value in outputs]
    return _listed(outputs)


def ids_answer(model: Any, case: dict[str, Any]) -> Any:
    """What `model`, a signature or a part of it says to a dictionary of whole numbers."""
    inputs = {name: tf.constant(value, tf.int32) for name, value in case["inputs"].items()}
    if "signature" in case:
        return model.signatures[case["signature"]](**inputs)
    part = getattr(model, case["call"]) if case["call"] else model
    return part(inputs)


def near(found: Any, expected: Any) -> bool:
    """Whether names are the same and numbers within `TOLERANCE`."""
    if isinstance(expected, dict):
        same = isinstance(found, dict) and found.keys() == expected.keys()
        return same and all(near(found[name], expected[name]) for name in expected)
    if isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(near, found, expected))
    shapes = np.shape(found), np.shape(expected)
    return shapes[0] == shapes[1] and np.allclose(found, expected, TOLERANCE, TOLERANCE)


def _listed(value: Any) -> Any:
    return value.to_list() if isinstance(value, tf.RaggedTensor) else np.asarray(value).tolist()


def main() -> None:
    """Compares every case; exit status 1 at the first that differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export_dir")
    parser.add_argument("cases", help="JSON list of {call, texts or inputs, expected}")
    options = parser.parse_args()
    model = tf.saved_model.load(options.export_dir)
    with open(options.cases, encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        if "inputs" in case:
            if not near(ids_answer(model, case), case["expected"]):
                name = case.get("signature", f".{case.get('call')}")
                sys.exit(f"{options.export_dir}: {name} gives other numbers than it should")
            continue
        found = answer(model, case["call"], case["texts"])
        if found != case["expected"]:
            sys.exit(
                f"{options.export_dir}: .{case['call']}({case['texts']!r:.200}) gives "
                f"{found!r:.400}, but should give {case['expected']!r:.400}"
            )
    print(f"{options.export_dir}: {len(cases)} calls answer as they should")  # noqa: T201


if __name__ == "__main__":
    main()
