"""The flags of the exporting commands, and the `Request` that they make.

What they leave open is as the checkpoint's run was told (`task.json`), or as its command has it.
Nothing is defined on import.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from bert_tf import flags, task_flags
from bert_tf.config import BertConfig
from bert_tf.conversion import initialize
from bert_tf.inputs.packing import TRUNCATE, WINDOW
from bert_tf.tasks.job import KnownTask
from bert_tf.tasks.squad_job import THRESHOLD
from bert_tf.tokenization import validate_case_matches_checkpoint
from saved_models.building import Request, beside
from saved_models.network import WEIGHTS_DTYPES, NetworkOptions

# Defaults of the commands: tokens of an input.
_LENGTH, _LENGTHS = 128, {"embedding": 256, "squad": 384}
# Where there is a choice, what the commands do with long texts.
_LONG_TEXTS = {
    "classifier": TRUNCATE,
    "regression": TRUNCATE,
    "multiple_choice": WINDOW,
    "embedding": WINDOW,
}
# Flags of `squad` that override what `task.json` says under these names.
_SQUAD_FLAGS = {
    "doc_stride": "doc_stride",
    "max_query_length": "max_query_length",
    "n_best_size": "n_best_size",
    "max_answer_length": "max_answer_length",
    "version_2_with_negative": "version_2",
    THRESHOLD: THRESHOLD,
}
_TASKS = (*_LONG_TEXTS, "squad", "ner", "fill_mask")
# Flags that mean nothing to some types -> the types that they are for.
_FOR_TYPES: Mapping[str, Sequence[str]] = {
    "labels": ("classifier", "ner"),
    "pairs": ("classifier", "regression"),
    "start": ("multiple_choice",),
    "long_texts": tuple(_LONG_TEXTS),
    **dict.fromkeys(_SQUAD_FLAGS, ("squad",)),
    "doc_stride": (*_LONG_TEXTS, "squad"),
    "top_k": ("fill_mask",),
    **dict.fromkeys(("weights_dtype", "jit_compile", "batch_buckets", "length_buckets"), _TASKS),
}
_CONFIG_FILE, _VOCAB_FILE = "bert_config.json", "vocab.txt"


def define_common(export_types: Sequence[str]) -> None:
    """What every exporting command has.

    Args:
        export_types: What it can write.
    """
    absl_flags.DEFINE_enum("export_type", None, export_types, "What to write.", required=True)
    absl_flags.DEFINE_string("export_dir", None, "Folder to write; it must be new.", required=True)
    flags.define_model()
    flags.define_vocabulary()
    absl_flags.DEFINE_integer(
        "max_seq_length", None, "Most tokens of an input; default: the run's, or its command's."
    )
    absl_flags.DEFINE_string(
        "labels", None, "Classes in the model's order: a,b,c or a file; default: the run's."
    )


def define_tasks() -> None:
    """What the tasks' SavedModels have."""
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


def common_request(fixed_length: bool = False) -> Request:
    """What the flags of `define_common` ask for.

    Args:
        fixed_length: Whether an encoder is made for one length, too.

    Raises:
        ValueError: If one of them does not fit the others, the checkpoint or the type.
        CheckpointError: If a folder of another form cannot be read.
    """
    values = flags.FLAGS
    export_type, checkpoint = values.export_type, values.init_checkpoint
    _check_types(export_type)
    known = task_flags.known_task_of(checkpoint) if checkpoint else None
    told = dict(known.content) if known else {}
    vocab_file, do_lower_case = _vocabulary(known)
    labels, labels_from = _labels(known)
    config = _config()
    return Request(
        export_type,
        vocab_file,
        do_lower_case,
        _length(config, told, fixed_length),
        checkpoint,
        config,
        labels,
        labels_from,
        told=told,
    )


def task_request() -> Request:
    """What the flags of `define_common` and `define_tasks` ask for; raises as `common_request`."""
    values, common = flags.FLAGS, common_request()
    told = dict(common.told)
    if common.export_type == "squad":
        given = {key: values[flag].value for flag, key in _SQUAD_FLAGS.items()}
        told |= {key: value for key, value in given.items() if value is not None}
    return dataclasses.replace(
        common,
        pairs=bool(told.get("pairs")) if values.pairs is None else values.pairs,
        start=bool(told.get("start")) if values.start is None else values.start,
        stride=_stride(common),
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


def _check_types(export_type: str) -> None:
    """Raises ValueError where a flag is given that would be ignored."""
    defined = flags.FLAGS
    for name, types in _FOR_TYPES.items():
        given = name in defined and defined[name].present and defined[name].value not in ("", [])
        if given and export_type not in types:
            raise ValueError(
                f"--{name} is for --export_type={', '.join(types)}, but is given for "
                f"{export_type}. Leave it out."
            )


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
        return flags.read_config(found)
    return flags.config_from_flags()


def _vocabulary(known: KnownTask | None) -> tuple[Path, bool]:
    values = flags.FLAGS
    checkpoint = values.init_checkpoint
    found = beside(checkpoint, _VOCAB_FILE)
    if found and not values.vocab_file and not initialize.form_at(checkpoint):
        vocab_file, lower = found, values.do_lower_case
    else:
        vocab_file, lower = flags.vocab_file_from_flags()
    if known and not values["do_lower_case"].present:
        lower = known.content.get("do_lower_case", lower)
    validate_case_matches_checkpoint(lower, checkpoint)
    return vocab_file, lower


def _length(config: BertConfig | None, told: Mapping[str, Any], fixed_length: bool) -> int:
    """Most tokens of an input."""
    given, export_type = flags.FLAGS.max_seq_length, flags.FLAGS.export_type
    if export_type == "encoder" and config and not fixed_length:
        if given is not None:
            raise ValueError(
                f"An encoder takes all lengths up to its max_position_embeddings = "
                f"{config.max_position_embeddings}, but --max_seq_length={given} is given. Leave "
                "it out."
            )
        return config.max_position_embeddings
    if given is not None:
        return int(given)
    return int(told.get("max_seq_length", _LENGTHS.get(export_type, _LENGTH)))


def _stride(request: Request) -> int:
    """Tokens from a window to the next: as the flags say, or the run, or its command."""
    values, told = flags.FLAGS, request.told
    if request.export_type not in _LONG_TEXTS:  # whose windows, if any, are their own affair
        return 0
    long_texts, stride = values.long_texts, values.doc_stride
    own_run = told.get("task") == request.export_type
    if long_texts is None and stride is None and own_run and "doc_stride" in told:
        stride = told["doc_stride"] or None
        long_texts = WINDOW if stride else TRUNCATE
    if long_texts is None:
        long_texts = _LONG_TEXTS[request.export_type] if stride is None else WINDOW
    return task_flags.stride_of(long_texts, request.max_seq_length, stride)
