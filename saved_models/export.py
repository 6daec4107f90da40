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
from bert_tf.config import BertConfig
from bert_tf.files import new_folder, sync
from bert_tf.inputs.packing import TRUNCATE, WINDOW
from bert_tf.tasks.job import KnownTask
from bert_tf.tasks.squad_job import THRESHOLD
from bert_tf.tokenization import validate_case_matches_checkpoint
from saved_models.building import Exported, Request, beside
from saved_models.card import write_card
from saved_models.choices import build_choices
from saved_models.encoder import build_encoder
from saved_models.fill_mask import build_fill_mask
from saved_models.ner import build_ner
from saved_models.network import WEIGHTS_DTYPES, NetworkOptions
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
# Defaults of the commands: tokens of an input.
_LENGTH, _LENGTHS = 128, {"embedding": 256, "squad": 384}
# Where there is a choice, what the commands do with long texts.
_LONG_TEXTS = {
    "classifier": TRUNCATE,
    "regression": TRUNCATE,
    "multiple_choice": WINDOW,
    "embedding": WINDOW,
}
VERIFY = Path(__file__).with_name("verify.py")
# Flags of `squad` that override what `task.json` says under these names.
_SQUAD_FLAGS = {
    "doc_stride": "doc_stride",
    "max_query_length": "max_query_length",
    "n_best_size": "n_best_size",
    "max_answer_length": "max_answer_length",
    "version_2_with_negative": "version_2",
    THRESHOLD: THRESHOLD,
}
_CONFIG_FILE, _VOCAB_FILE = "bert_config.json", "vocab.txt"


def define_flags() -> None:
    """All flags of this command."""
    absl_flags.DEFINE_enum("export_type", None, list(BUILDERS), "What to write.", required=True)
    absl_flags.DEFINE_string("export_dir", None, "Folder to write; it must be new.", required=True)
    flags.define_model()
    flags.define_vocabulary()
    absl_flags.DEFINE_integer(
        "max_seq_length", None, "Most tokens of an input; default: the run's, or its command's."
    )
    absl_flags.DEFINE_string(
        "labels", None, "Classes in the model's order: a,b,c or a file; default: the run's."
    )
    absl_flags.DEFINE_bool("pairs", None, "Whether there is a second text; default: as in the run.")
    absl_flags.DEFINE_bool(
        "start", None, "Whether choices have a beginning in common; default: as in the run."
    )
    task_flags.define_long_texts(None)
    absl_flags.DEFINE_integer("max_query_length", None, "Of squad: most tokens of a question.")
    absl_flags.DEFINE_integer("n_best_size", None, "Of squad: places considered at each end.")
    absl_flags.DEFINE_integer("max_answer_length", None, "Of squad: most tokens of an answer.")
    absl_flags.DEFINE_bool(
        "version_2_with_negative", None, "Of squad: whether questions may have no answer."
    )
    absl_flags.DEFINE_float(
        THRESHOLD,
        None,
        "Of squad: odds of no answer above which there is none; default: the run's.",
    )
    absl_flags.DEFINE_integer("top_k", 5, "Candidates for each [MASK].", lower_bound=1)
    absl_flags.DEFINE_enum("weights_dtype", "float32", WEIGHTS_DTYPES, "Type to store weights in.")
    absl_flags.DEFINE_bool("jit_compile", False, "Compile the model with XLA, once for each shape.")
    absl_flags.DEFINE_list("batch_buckets", [], "Sizes to pad batches to, such as 1,8,32.")
    absl_flags.DEFINE_list("length_buckets", [], "Lengths to pad batches to, such as 32,64,128.")
    absl_flags.DEFINE_string("license", "", "Licence of the weights, for the card.")
    for module in (flags, task_flags):  # so that --help shows them
        absl_flags.adopt_module_key_flags(module)


def _numbers(name: str) -> tuple[int, ...]:
    given = flags.FLAGS[name].value
    if not all(text.strip().isdecimal() for text in given):
        raise ValueError(
            f"--{name} must be whole numbers, such as 1,8,32, but is {','.join(given)}."
        )
    return tuple(map(int, given))


def _labels(known: KnownTask | None) -> tuple[tuple[str, ...], str]:
    """The classes, and where they come from."""
    given = flags.FLAGS.labels
    if not given:
        return (known.labels, known.source) if known else ((), "")
    lines = given.split(",")
    if Path(given).is_file():
        lines = Path(given).read_text(encoding="utf-8").splitlines()
    labels = tuple(line.strip() for line in lines if line.strip())
    if len(set(labels)) != len(labels):
        raise ValueError(f"--labels must name every class once, but are {', '.join(labels)}.")
    return labels, "--labels"


def _config() -> BertConfig | None:
    values = flags.FLAGS
    if not values.init_checkpoint:
        return None
    found = beside(values.init_checkpoint, _CONFIG_FILE)
    if found and not values.bert_config_file:
        return BertConfig.from_json_file(found)
    return flags.config_from_flags()


def _vocabulary(known: KnownTask | None) -> tuple[Path, bool]:
    values = flags.FLAGS
    found = beside(values.init_checkpoint, _VOCAB_FILE)
    if found and not values.vocab_file and not flags.huggingface_folder():
        vocab_file, lower = found, values.do_lower_case
    else:
        vocab_file, lower = flags.vocab_file_from_flags()
    if known and not flags.FLAGS["do_lower_case"].present:
        lower = known.content.get("do_lower_case", lower)
    validate_case_matches_checkpoint(lower, values.init_checkpoint)
    return vocab_file, lower


def _stride(length: int) -> int:
    values = flags.FLAGS
    if values.long_texts and values.export_type not in _LONG_TEXTS:
        raise ValueError(
            f"--long_texts is a choice of {', '.join(_LONG_TEXTS)} only, but is given for "
            f"{values.export_type}. Leave it out."
        )
    if values.export_type == "squad":  # whose windows are its own affair
        return 0
    return task_flags.stride_of(
        values.long_texts or _LONG_TEXTS.get(values.export_type, TRUNCATE), length
    )


def request_from_flags() -> Request:
    """What the flags ask for; what they leave open, as the checkpoint's run was told."""
    values = flags.FLAGS
    checkpoint = values.init_checkpoint
    known = task_flags.known_task_of(checkpoint) if checkpoint else None
    told = dict(known.content) if known else {}
    if values.export_type == "squad":
        given = {key: values[flag].value for flag, key in _SQUAD_FLAGS.items()}
        told |= {key: value for key, value in given.items() if value is not None}
    vocab_file, do_lower_case = _vocabulary(known)
    labels, labels_from = _labels(known)
    config = _config()
    length = values.max_seq_length
    if length is None:
        default = _LENGTHS.get(values.export_type, _LENGTH)
        if values.export_type == "encoder" and config:
            default = config.max_position_embeddings
        length = told.get("max_seq_length", default)
    return Request(
        values.export_type,
        vocab_file,
        do_lower_case,
        length,
        checkpoint,
        config,
        labels,
        labels_from,
        pairs=bool(told.get("pairs")) if values.pairs is None else values.pairs,
        start=bool(told.get("start")) if values.start is None else values.start,
        stride=_stride(length),
        top_k=values.top_k,
        told=told,
        options=NetworkOptions(
            values.weights_dtype,
            values.jit_compile,
            _numbers("batch_buckets"),
            _numbers("length_buckets"),
        ),
        license=values.license,
    )


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
    if export_dir.exists():
        raise ValueError(
            f"--export_dir must be new, but {export_dir} is there. Remove it, or name another "
            "folder."
        )
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
    said = export(request_from_flags(), Path(flags.FLAGS.export_dir))
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    flags.launch(define_flags, main)
