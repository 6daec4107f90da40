"""The card of an export: `model_card.json` for programs, `README.md` for people."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.conversion.convert import HUGGING_FACE, TF_HUB, form_of
from bert_tf.conversion.tf1 import GLOBAL_STEP
from bert_tf.files import write_text
from saved_models.building import Exported, Request, beside

CARD = "model_card.json"
_EVALUATION = "eval_results.txt"
_BLOCK = 1 << 20
# Forms that are a folder of their own; all else are checkpoints in the directory of a run.
_KINDS = {HUGGING_FACE: "Hugging Face folder", TF_HUB: "TF Hub SavedModel"}


def write_card(folder: Path, request: Request, exported: Exported) -> None:
    """Writes both files into the folder of a SavedModel that is otherwise complete."""
    card = _card(folder, request, exported)
    text = json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / CARD, text + "\n")
    write_text(folder / "README.md", _page(card))


def _card(folder: Path, request: Request, exported: Exported) -> dict[str, Any]:
    card: dict[str, Any] = {
        "type": request.export_type,
        "do_lower_case": request.do_lower_case,
        "max_seq_length": request.max_seq_length,
        "doc_stride": request.stride,
        "vocab_size": max(request.tokenizer.inv_vocab) + 1,
        "vocab_sha256": _digest(request.vocab_file),
        "license": request.license or "unknown",
        "tensorflow": tf.__version__,
        "size_bytes": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        "signatures": {
            name: {
                "inputs": _described(_inputs(function)),
                "outputs": _described(function.structured_outputs),
            }
            for name, function in exported.signatures.items()
        },
    }
    if exported.parameters:
        card["config"] = request.sizes.to_dict()
        card["parameters"] = exported.parameters
        card["weights_dtype"] = request.options.weights_dtype
        card["weights_sha256"] = _digest(folder / "variables" / "variables.data-00000-of-00001")
        card["source"] = _source(str(request.checkpoint))
        card["metrics"] = _metrics(request.checkpoint)
    return {**card, **exported.facts}


def _inputs(function: Any) -> dict[str, Any]:
    """Specs by name of a signature's arguments, however they were traced."""
    unnamed, named = function.structured_input_signature
    return {**{spec.name: spec for spec in unnamed}, **named}


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _source(checkpoint: str) -> dict[str, str]:
    """The last parts of the path: all of it is the business of the machine it was on."""
    path = Path(checkpoint)
    if kind := _KINDS.get(form_of(checkpoint)):
        return {"name": path.resolve().name, "kind": kind}
    name = "/".join(path.resolve().parts[-2:])
    return {"name": name, "kind": "TensorFlow checkpoint"}


def _metrics(checkpoint: str | None) -> dict[str, float]:
    """The finite numbers of the run's `eval_results.txt`, if there is one.

    A correlation of constant predictions is not a number, which JSON cannot hold.
    """
    path = beside(checkpoint, _EVALUATION)
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    found = {}
    for line in lines:
        name, _, value = line.partition(" = ")
        with contextlib.suppress(ValueError):  # what is no number is no metric
            found[name] = float(value)
    found.pop(GLOBAL_STEP, None)
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _described(specs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
        for name, spec in sorted(specs.items())
    }


def _page(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    facts = [
        ("licence", card["license"]),
        ("parameters", card.get("parameters")),
        ("weights", card.get("weights_dtype")),
        ("size", f"{card['size_bytes'] / 1e6:.1f} MB"),
        ("source", " (".join(card["source"].values()) + ")" if "source" in card else ""),
        ("made with", f"TensorFlow {card['tensorflow']}"),
        ("longest input", f"{card['max_seq_length']} tokens"),
        ("tokens between windows", card["doc_stride"] or None),
        ("text", "lower-cased" if card["do_lower_case"] else "cased"),
        ("vocabulary", f"{card['vocab_size']} tokens, SHA-256 `{card['vocab_sha256']}`"),
        ("SHA-256 of the weights", f"`{card['weights_sha256']}`" if "source" in card else ""),
        ("labels", ", ".join(card.get("labels", ()))),
        *card.get("metrics", {}).items(),
    ]
    rows = [f"| {name} | {value} |" for name, value in facts if value not in (None, "")]
    lines = [f"# BERT, {card['type'].replace('_', ' ')}", "", "| | |", "|---|---|", *rows, ""]
    if card["signatures"]:
        lines += ["## Signatures", "", "| signature | inputs | outputs |", "|---|---|---|"]
    for name, both in card["signatures"].items():
        cells = [_cell(both[side]) for side in ("inputs", "outputs")]
        lines.append(f"| `{name}` | {cells[0]} | {cells[1]} |")
    return "\n".join([*lines, "", "## Use", "", *_use(card)]) + "\n"


def _cell(specs: Mapping[str, Any]) -> str:
    def size(number: int | None) -> str:
        return "?" if number is None else str(number)

    return "<br>".join(
        f"`{name}` {spec['dtype']} [{', '.join(map(size, spec['shape']))}]"
        for name, spec in specs.items()
    )


def _use(card: Mapping[str, Any]) -> list[str]:
    code = ["import tensorflow as tf", "import tensorflow_text", ""]
    code.append('model = tf.saved_model.load("THIS_FOLDER")')
    if "serving_default" in card["signatures"]:
        inputs = card["signatures"]["serving_default"]["inputs"]
        given = ", ".join(
            f'{name}=tf.constant({"[" * len(spec["shape"])}"..."{"]" * len(spec["shape"])})'
            for name, spec in inputs.items()
        )
        code.append(f'answers = model.signatures["serving_default"]({given})')
    return ["```python", *code, "```"]
