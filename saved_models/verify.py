"""Loads a SavedModel as a stranger would, and compares what it answers with what it should.

    python saved_models/verify.py EXPORT_DIR CASES.json

A file for a fresh process: it imports TensorFlow and tensorflow-text only, as a server or a user
without this project does. `export` runs it before an export gets its name.

CASES.json is a list of objects, each a call and what it should give:

    signature   a signature to call with `inputs`, an object of arrays by name; or else
    call        "" for the model itself or the dotted name of a part of it, to call with `inputs`
    inputs      lists of strings, of whole numbers (int32) or of other numbers (float32), or
                objects of such lists by name; {"b64": [...]} stands for bytes
    options     keyword arguments of a call, scalars; may be left out
    expected    lists, or objects of them: no name more or less; strings and whole numbers equal,
                other numbers within `tolerance`
    tolerance   1e-5 where left out; of numbers above 1, their share
    first       by name of an output, how many of its innermost entries are compared; all of those
                that are left out

Of the part `bert_pack_inputs`, `inputs` are texts: it gets the tokens of each together with those
of the text after it.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import sys
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401 - registers the ops of the tokenizer

PACK = "bert_pack_inputs"
BYTES = "b64"
TOLERANCE = 1e-5


def tensors(value: Any) -> Any:
    """A case's inputs as tensors."""
    if isinstance(value, dict) and value.keys() == {BYTES}:
        return tf.constant([base64.b64decode(each) for each in value[BYTES]], tf.string)
    if isinstance(value, dict):
        return {name: tensors(each) for name, each in value.items()}
    array = np.array(value)
    if array.dtype.kind in "US":
        return tf.constant(value, tf.string)
    return tf.constant(value, tf.int32 if array.dtype.kind == "i" else tf.float32)


def answer(model: Any, case: dict[str, Any]) -> Any:
    """What a model says to a case: nested lists, by name if it names them."""
    inputs, options = tensors(case["inputs"]), case.get("options", {})
    if "signature" in case:
        outputs = model.signatures[case["signature"]](**inputs)
    elif case["call"] == PACK:
        pair = [model.tokenize(part) for part in (inputs[:-1], inputs[1:])]
        outputs = model.bert_pack_inputs(pair, **options)
    else:
        part = model
        for name in filter(None, case["call"].split(".")):
            part = getattr(part, name)
        outputs = part(inputs, **options)
    found = listed(outputs)
    for name, count in case.get("first", {}).items():
        found[name] = shortened(found[name], count)
    return found


def shortened(values: list[Any], count: int) -> list[Any]:
    """Nested lists with only the first entries of the innermost."""
    if any(isinstance(each, list) for each in values):
        return [shortened(each, count) for each in values]
    return values[:count]


def listed(value: Any) -> Any:
    """Tensors, also in lists and dictionaries, as nested lists."""
    if isinstance(value, dict):
        return {name: listed(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [listed(each) for each in value]
    if isinstance(value, tf.RaggedTensor):
        return listed(value.to_list())
    if isinstance(value, tf.Tensor):
        plain = tf.cast(value, tf.float32) if value.dtype.is_floating else value
        return listed(np.asarray(plain).tolist())
    return value.decode() if isinstance(value, bytes) else value


def differs(found: Any, expected: Any, tolerance: float) -> str:
    """Where two answers differ and how, or nothing."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if found.keys() != expected.keys():
            return f": has {sorted(found)}, but should have {sorted(expected)}"
        pairs = [(f".{name}", found[name], expected[name]) for name in expected]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            return f": has the size {len(found)}, but should have {len(expected)}"
        both = enumerate(zip(found, expected, strict=True))
        pairs = [(f"[{place}]", one, other) for place, (one, other) in both]
    elif isinstance(expected, float) and isinstance(found, float):
        near = math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)
        return "" if near else f" is {found!r}, but should be {expected!r}"
    else:
        return "" if found == expected else f" is {found!r}, but should be {expected!r}"
    for place, one, other in pairs:
        if said := differs(one, other, tolerance):
            return f"{place}{said}"
    return ""


def main() -> None:
    """Compares every case; exit status 1 at the first that differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("export_dir")
    parser.add_argument("cases", help="JSON list; see above")
    options = parser.parse_args()
    model = tf.saved_model.load(options.export_dir)
    with open(options.cases, encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        call = case.get("signature") or f".{case['call']}"
        where = f"{options.export_dir}: {call}({case['inputs']!r:.200})"
        try:
            found = answer(model, case)
        except Exception as error:  # Whatever a model may raise: one line says it.
            sys.exit(f"{where} fails: {' '.join(str(error).split())[:800]}")
        if said := differs(found, case["expected"], case.get("tolerance", TOLERANCE)):
            sys.exit(f"{where} gives{said}")
    print(f"{options.export_dir}: {len(cases)} calls answer as they should")  # noqa: T201


if __name__ == "__main__":
    main()
