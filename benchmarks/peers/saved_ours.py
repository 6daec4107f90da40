"""bert_tf: the exported encoder, loaded by TensorFlow alone, through its signature."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.peers import tensorflow_setup
from benchmarks.peers.protocol import Case, Contender, serve
from benchmarks.peers.saved_inputs import MATRIX_FLOPS, MATRIX_SIZE, Ids, Vectors, steps
from bert_tf.conversion import huggingface
from saved_models.encoder import Source
from saved_models.export import export

FOLDER = "ours"


def build(case: Case) -> Contender:
    """The export, made by the first who needs it."""
    tensorflow_setup.set_threads(case)
    source, folder = Path(case.data), Path(case.data).with_name(FOLDER)
    if not folder.exists():
        config = huggingface.read_config(source)
        export(Source(config, str(source), source / "vocab.txt", True).request(), folder)
    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures["serving_default"]

    def answer(ids: Ids) -> Vectors:
        inputs = {name: tf.constant(value) for name, value in ids.items()}
        return np.asarray(function(**inputs)["pooled_output"])

    return Contender(
        steps=steps(answer, case),
        matrix_product=tensorflow_setup.matrix_product(case, MATRIX_SIZE),
        matrix_flops=MATRIX_FLOPS,
        versions=f"tensorflow {tf.__version__}",
    )


if __name__ == "__main__":
    serve(build)
