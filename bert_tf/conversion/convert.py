"""Conversions between the three forms: the 2018 release's, Keras files, Hugging Face folders.

SavedModels of TF Hub's encoders are read only; `saved_models` exports them.
Between the release's form and Hugging Face's every weight is moved, whatever the heads; Keras
files hold an encoder or the model of pretraining.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bert_tf.config import BertConfig
from bert_tf.conversion import huggingface, initialize, tf1, tfhub
from bert_tf.conversion.huggingface_names import names_of
from bert_tf.conversion.keras_files import (
    KERAS_SUFFIX,
    checkpoint_to_keras,
    keras_to_checkpoint,
    read_keras,
)

TF1, KERAS, HUGGING_FACE = "tf1", "keras", "huggingface"
FORMS = (TF1, KERAS, HUGGING_FACE)
TF_HUB = "tfhub"  # which is no form to write
_COMPLETE = {HUGGING_FACE: huggingface, TF_HUB: tfhub}  # see `initialize.COMPLETE_FORMS`


def form_of(path: str) -> str:
    """The form of something that is there, or that is named like it."""
    if path.endswith(KERAS_SUFFIX):
        return KERAS
    found = initialize.form_at(path)
    return next((name for name, form in _COMPLETE.items() if form is found), TF1)


def convert(
    source: str,
    target: str,
    target_form: str,
    config: BertConfig | None,
    vocab_file: Path | None = None,
    do_lower_case: bool = True,
    labels: Sequence[str] = (),
) -> dict[str, str]:
    """Converts, bit for bit for weights of float32.

    Args:
        source: A checkpoint's prefix or directory, a `.keras` file, a Hugging Face folder or a
            SavedModel of TF Hub.
        target: What to write.
        target_form: One of `FORMS`, another than the source's.
        config: The model's sizes; only a `.keras` file can be made a checkpoint without.
        vocab_file: Copied into a Hugging Face folder, if given.
        do_lower_case: Of the vocabulary.
        labels: Names of the classes of a classifier, for a Hugging Face folder.

    Returns:
        Name of the release to the name in the other form, of all weights.

    Raises:
        CheckpointError: If the source cannot be read, or does not fit the config.
        ValueError: If both forms are the same, or the target is a SavedModel.
    """
    source_form = form_of(source)
    if target_form == TF_HUB:
        raise ValueError(
            f"{target} is a SavedModel, which is written by saved_models.export only. Name another "
            "--output."
        )
    if source_form == target_form:
        raise ValueError(
            f"--input and --output must have different forms, but {source} and {target} are both "
            f"{target_form}. A name in {KERAS_SUFFIX} is a Keras file; --output_format says what "
            "else to write."
        )
    if config is None and (source_form, target_form) != (KERAS, TF1):
        raise ValueError(f"The sizes of the model are needed to make {target} of {source}.")
    if target_form == KERAS and config:
        return checkpoint_to_keras(config, source, Path(target))
    if target_form == HUGGING_FACE and config:
        tensors = _read(source, source_form)
        return huggingface.write_folder(target, config, tensors, vocab_file, do_lower_case, labels)
    if source_form == KERAS:
        return keras_to_checkpoint(Path(source), target)
    tensors = _read(source, source_form)
    tf1.write_checkpoint(target, tensors)
    return names_of(tensors)


def _read(source: str, form: str) -> dict[str, np.ndarray]:
    """Weights by the names of the release, without slots and step."""
    if form == KERAS:
        return {name: np.asarray(value) for name, value in read_keras(Path(source)).items()}
    if form in _COMPLETE:
        tensors: dict[str, np.ndarray] = _COMPLETE[form].read_tensors(source)
        return tensors
    prefix = tf1.resolve_prefix(source)
    reader = tf1.open_checkpoint(prefix)
    return {
        name: tf1.read_tensor(reader, prefix, name)
        for name in reader.get_variable_to_shape_map()
        if not tf1.is_slot(name) and name != tf1.GLOBAL_STEP and not name.startswith("bert_tf/")
    }
