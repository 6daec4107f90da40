"""Tiny encoders as TensorFlow Model Garden exports them for TF Hub, with random weights.

    python -m tests.support.garden FOLDER

writes one SavedModel for each of `KINDS`: a process of its own, whose warnings are the library's.
"""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bert_tf.config import BertConfig

ROOT = Path(__file__).parents[2]
CONFIG = BertConfig(
    vocab_size=60,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=32,
    type_vocab_size=2,
)
# Folder name to the type of encoder, and whether it has the head of the masked language model.
KINDS = {"bert": ("bert", True), "bert_v2": ("bert_v2", False)}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(55))]


@functools.cache
def exports() -> Path:
    """The folder of the exports, made once in a test run."""
    folder = tempfile.mkdtemp(prefix="model_garden_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.garden", folder],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(folder)


def _write(folder: Path) -> None:
    import numpy as np
    import tensorflow as tf
    from official.nlp.configs import encoders
    from official.nlp.tools import export_tfhub_lib

    vocab = folder / "private_place" / "vocab.txt"
    vocab.parent.mkdir()
    vocab.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    sizes = encoders.BertEncoderConfig(
        vocab_size=CONFIG.vocab_size,
        hidden_size=CONFIG.hidden_size,
        num_layers=CONFIG.num_hidden_layers,
        num_attention_heads=CONFIG.num_attention_heads,
        intermediate_size=CONFIG.intermediate_size,
        max_position_embeddings=CONFIG.max_position_embeddings,
        type_vocab_size=CONFIG.type_vocab_size,
    )
    draw = np.random.default_rng(0)
    for name, (kind, with_mlm) in KINDS.items():
        config = encoders.EncoderConfig(type=kind, **{kind: sizes})
        _, model = export_tfhub_lib._create_model(encoder_config=config, with_mlm=with_mlm)
        for weight in model.weights:
            weight.assign(draw.normal(scale=0.5, size=weight.shape))
        items = model.checkpoint_items if with_mlm else {"encoder": model}
        path = tf.train.Checkpoint(**items).save(str(folder / f"weights_{name}"))
        export_tfhub_lib.export_model(
            export_path=str(folder / name),
            encoder_config=config,
            model_checkpoint_path=path,
            with_mlm=with_mlm,
            vocab_file=str(vocab),
            do_lower_case=False,
        )


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
