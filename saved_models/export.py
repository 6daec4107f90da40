"""Writes a SavedModel that loads through TF Hub: `hub.load(DIR)` or `tf.saved_model.load(DIR)`.

    python -m saved_models.export --export_type=preprocessor --vocab_file=vocab.txt \\
      --do_lower_case=True --max_seq_length=128 --export_dir=preprocess

    python -m saved_models.export --export_type=encoder --vocab_file=vocab.txt \\
      --bert_config_file=bert_config.json --init_checkpoint=bert_model.ckpt --export_dir=encoder

    python -m saved_models.export --export_type=classifier --init_checkpoint=mrpc/best \\
      --export_dir=mrpc_served

A preprocessor takes strings and gives `input_word_ids`, `input_mask` and `input_type_ids`, in place
of `bert_en_uncased_preprocess/3`; an encoder takes these and gives vectors, in place of
`bert_en_uncased_L-12_H-768_A-12/4`. The tasks take strings and give answers; what lies beside the
checkpoint of a run (config, vocabulary, labels, lengths) need not be named. Before the folder gets
its name, a fresh process that imports TensorFlow and tensorflow-text only loads it and compares its
answers with those of the model and the tokenizer in Python. Takes a minute.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from bert_tf import flags, task_flags
from bert_tf.files import new_folder, sync
from saved_models import request_flags
from saved_models.building import Exported, Request, check_new
from saved_models.card import write_card
from saved_models.choices import build_choices
from saved_models.encoder import build_encoder
from saved_models.fill_mask import build_fill_mask
from saved_models.ner import build_ner
from saved_models.preprocessing import build_preprocessor
from saved_models.sentences import build_classification, build_embedding, build_regression
from saved_models.squad import build_squad

BUILDERS: dict[str, Callable[[Request], Exported]] = {
    "preprocessor": build_preprocessor,
    "encoder": build_encoder,
    "classifier": build_classification,
    "regression": build_regression,
    "ner": build_ner,
    "squad": build_squad,
    "multiple_choice": build_choices,
    "fill_mask": build_fill_mask,
    "embedding": build_embedding,
}
VERIFY = Path(__file__).with_name("verify.py")


def define_flags() -> None:
    """All flags of this command."""
    request_flags.define_common(list(BUILDERS))
    request_flags.define_tasks()
    for module in (flags, task_flags, request_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def verify(folder: Path, cases: list[dict[str, Any]]) -> str:
    """Runs `verify.py` in a fresh process; what it says.

    Raises:
        RuntimeError: the folder does not load there, or answers otherwise.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(cases, file)
        file.flush()
        # Without -P, the files beside it could be imported.
        command = [sys.executable, "-P", str(VERIFY), str(folder), file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise RuntimeError(f"The export does not work in a fresh process: {last}")
    return done.stdout.strip()


def export(request: Request, export_dir: Path) -> str:
    """Writes and verifies an export; what the verification says.

    Raises:
        ValueError: the folder is there, or something does not fit the checkpoint.
        MissingTokenError: the vocabulary lacks a special token. Nothing was written.
    """
    check_new(export_dir)
    exported = BUILDERS[request.export_type](request)
    with new_folder(export_dir) as partial:
        exported.save(partial)
        write_card(partial, request, exported)
        said = verify(partial, exported.cases)
        for path in partial.rglob("*"):
            sync(path)
    return said.replace(str(partial), str(export_dir))


def main() -> None:
    """Exports what the flags name."""
    said = export(request_flags.task_request(), Path(flags.FLAGS.export_dir))
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    flags.launch(define_flags, main)
