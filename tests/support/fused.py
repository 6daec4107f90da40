"""Which operations TensorFlow with oneDNN runs for an export, told by a process of its own.

    python -m tests.support.fused EXPORT_DIR SIGNATURE

Prints a JSON list of the operations of the optimised graph, what is fused with them after a "+";
null where oneDNN is not there. Whether TensorFlow uses oneDNN is settled when a process starts, and
on many CPUs it does so only if told: hence the process.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def operations(folder: Path, signature: str) -> list[str]:
    """Operations of a signature with inputs of token ids; skips the test without oneDNN."""
    command = [sys.executable, "-m", __name__, str(folder), signature]
    environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found = json.loads(done.stdout)
    if found is None:
        pytest.skip("this TensorFlow is built without oneDNN, or for another kind of processor")
    return list(found)


def main() -> None:
    """Runs the signature once and prints what ran."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the ops of the tokenizer
    from tensorflow.python.eager import context
    from tensorflow.python.util import _pywrap_util_port

    if not _pywrap_util_port.IsMklEnabled():
        print("null")
        return
    function = tf.saved_model.load(sys.argv[1]).signatures[sys.argv[2]]
    inputs = {name: tf.ones([2, 8], tf.int32) for name in function.structured_input_signature[1]}
    context.enable_run_metadata()
    function(**inputs)
    graphs = context.context().export_run_metadata().function_graphs
    nodes = [node for graph in graphs for part in graph.partition_graphs for node in part.node]
    fused = [[each.decode() for each in node.attr["fused_ops"].list.s] for node in nodes]
    names = ["+".join([node.op, *more]) for node, more in zip(nodes, fused, strict=True)]
    print(json.dumps(sorted(names)))


if __name__ == "__main__":
    main()
