"""What a builder of an export gets (`Request`) and gives (`Exported`).

A builder is a function from the one to the other, a row in the table of `export`. It loads its
model by `Request.load`, which refuses what does not fit before anything is written.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from bert_tf.config import BertConfig
from bert_tf.conversion import initialize, tf1
from bert_tf.conversion.tf1 import CheckpointError
from bert_tf.conversion.weight_map import named_variables
from bert_tf.inputs.features import SPECIALS_PAIR
from bert_tf.tasks.job import BEST_DIRECTORY
from bert_tf.tokenization import FullTokenizer, load_vocab
from saved_models.network import Network, NetworkOptions, round_weights
from saved_models.signatures import TaskModule

# Word embeddings may have rows beyond the vocabulary, up to a multiple of this.
_ROWS_TO_FILL_UP = 128


@dataclass(frozen=True)
class Request:
    """What is to be exported.

    Attributes:
        export_type: A row of the table in `export`.
        vocab_file: The vocabulary.
        do_lower_case: Whether text is lower-cased.
        max_seq_length: Most tokens of an input, [CLS] and [SEP] too.
        checkpoint: A checkpoint's prefix or directory, or a folder of another form (see
            `initialize.load_weights`); None for what has no weights.
        config: The model's sizes; None likewise.
        labels: Names of the classes in order, where it has some.
        labels_from: Where they come from, for messages.
        pairs: Whether a second text is an input.
        start: Whether the beginning of every choice is an input of its own.
        stride: Tokens from a window over a long text to the next; 0 where long texts are cut.
        top_k: Candidates for each [MASK].
        told: All that the run's task.json says.
        options: How the model is stored and run.
        license: Of the weights, for the card.
    """

    export_type: str
    vocab_file: Path
    do_lower_case: bool
    max_seq_length: int
    checkpoint: str | None = None
    config: BertConfig | None = None
    labels: tuple[str, ...] = ()
    labels_from: str = ""
    pairs: bool = False
    start: bool = False
    stride: int = 0
    top_k: int = 5
    told: Mapping[str, Any] = field(default_factory=dict)
    options: NetworkOptions = field(default_factory=NetworkOptions)
    license: str = ""

    def __post_init__(self) -> None:
        if self.max_seq_length <= SPECIALS_PAIR:
            raise ValueError(
                f"--max_seq_length must be above {SPECIALS_PAIR} (three special tokens stand in "
                f"a pair); got {self.max_seq_length}."
            )
        if self.config is not None:
            self.config.check_length(self.max_seq_length)
            most, buckets = self.config.max_position_embeddings, self.options.length_buckets
            if buckets and buckets[-1] > most:
                raise ValueError(
                    f"--length_buckets must be no longer than the model's max_position_embeddings "
                    f"= {most}, but the last is {buckets[-1]}."
                )

    @cached_property
    def tokenizer(self) -> FullTokenizer:
        """The tokenizer in Python, which the one in the graph is compared with."""
        return FullTokenizer(self.vocab_file, self.do_lower_case)

    @cached_property
    def sizes(self) -> BertConfig:
        """The model's sizes; ValueError where there are none."""
        if self.config is None or not self.checkpoint:
            raise ValueError(
                f"--export_type={self.export_type} exports a model: --init_checkpoint must name "
                "one, but is empty."
            )
        return self.config

    @cached_property
    def shapes(self) -> Mapping[str, Any]:
        """Shapes of all tensors of the checkpoint, by the names of the release.

        Raises:
            CheckpointError: If there is none, or it cannot be read.
        """
        _ = self.sizes  # that there is no model at all is said first
        checkpoint = str(self.checkpoint)
        if form := initialize.form_at(checkpoint):
            return {name: value.shape for name, value in form.read_tensors(checkpoint).items()}
        reader = tf1.open_checkpoint(tf1.resolve_prefix(checkpoint))
        return dict(reader.get_variable_to_shape_map())

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels; ValueError where there are none, or no checkpoint that could have any."""
        if self.shapes and not self.labels:
            raise ValueError(
                f"The answers of --export_type={self.export_type} are names, but none are known: "
                "give --labels, comma-separated or a file with one a line, in the order of the "
                "model's classes. A task.json beside the checkpoint and the id2label of a Hugging "
                "Face folder would hold them."
            )
        return self.labels

    def load(self, model: keras.Model, unread: Sequence[str] = ()) -> None:
        """Gives a model the checkpoint's weights, as they will be stored.

        Args:
            model: Of `sizes`, its parts named as in `weight_map`.
            unread: Beginnings of the names of weights that the checkpoint may lack.

        Raises:
            CheckpointError: There is no checkpoint, it is of another model, or lacks a head.
            ValueError: The vocabulary is of another model, or the labels are.
        """
        sizes, checkpoint, shapes = self.sizes, str(self.checkpoint), self.shapes
        check_vocabulary(self.vocab_file, sizes.vocab_size)
        needed = [name for name in named_variables(model) if not name.startswith(tuple(unread))]
        heads = [name for name in needed if not name.startswith(tf1.ENCODER_PREFIX)]
        self._check_there([name for name in heads if name not in shapes])
        self._check_classes(model)
        report = initialize.load_weights(model, checkpoint)
        self._check_there([name for name in report.initialized if name in needed])
        round_weights(model, self.options.weights_dtype)

    def _check_there(self, lacking: Sequence[str]) -> None:
        if lacking:
            raise CheckpointError(
                f"--export_type={self.export_type} needs the weights {', '.join(lacking)}, but "
                f"{self.checkpoint} lacks them. Give a checkpoint that was trained for it, or "
                "another --export_type."
            )

    def _check_classes(self, model: keras.Model) -> None:
        """A head of another size is the labels' fault, not the config's."""
        layer = getattr(model, "output_layer", None)
        own = {layer.bias.path} if layer is not None else set()
        for name, variable in named_variables(model).items():
            if variable.path not in own or self.shapes[name][0] == variable.shape[0]:
                continue
            found, wanted = self.shapes[name][0], variable.shape[0]
            known = (
                f"there are {wanted} labels ({', '.join(self.labels)}, from {self.labels_from})"
                if wanted == len(self.labels)
                else f"--export_type={self.export_type} takes a head of {wanted}"
            )
            raise CheckpointError(
                f"The head of {self.checkpoint} gives {found} numbers, but {known}. Give its own "
                "--labels in order, or the --export_type that it was trained for."
            )

    def network(
        self, model: keras.Model, unread: Sequence[str] = (), outputs: Sequence[str] = ()
    ) -> Network:
        """A loaded model, to be stored and run as the request says; see `Network`."""
        return Network(model, self.options, unread, outputs)


@dataclass(frozen=True)
class Exported:
    """What is written.

    Attributes:
        module: The object to save.
        cases: Calls and what they should give, as `verify.py` takes them.
        signatures: Concrete functions by name.
        facts: What the card says of this type alone.
        parameters: How many numbers its weights are; 0 for what has none.
    """

    module: tf.Module
    cases: list[dict[str, Any]]
    signatures: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    parameters: int = 0

    @classmethod
    def of(cls, module: TaskModule, cases: list[dict[str, Any]], **facts: object) -> Exported:
        """A task, with its signatures; what is asked of strings is asked of tf.Examples, too."""
        asked = [_of_examples(case) for case in cases if case["signature"] == "serving_default"]
        cases = [*cases, *asked]
        return cls(module, cases, module.signatures(), facts, module.network.parameters)

    def save(self, folder: Path) -> None:
        """Writes the SavedModel."""
        tf.saved_model.save(self.module, str(folder), signatures=dict(self.signatures))


def _of_examples(case: Mapping[str, Any]) -> dict[str, Any]:
    """A call of `serving_default` as one of `serve_examples`."""
    names, columns = case["inputs"].keys(), case["inputs"].values()
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    encoded = [base64.b64encode(_serialized(row)).decode() for row in rows]
    return {**case, "signature": "serve_examples", "inputs": {"examples": {"b64": encoded}}}


def _serialized(texts: Mapping[str, str | list[str]]) -> bytes:
    features = {}
    for name, value in texts.items():
        values = [text.encode() for text in ([value] if isinstance(value, str) else value)]
        features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


def check_new(export_dir: Path) -> None:
    """Raises ValueError where the folder to write is there."""
    if export_dir.exists():
        raise ValueError(
            f"--export_dir must be new, but {export_dir} is there. Remove it, or name another "
            "folder."
        )


def check_vocabulary(vocab_file: str | Path, size: int) -> None:
    """Raises ValueError where a vocabulary is not that of a model of `size` word embeddings."""
    count = max(load_vocab(vocab_file).values()) + 1
    if not count <= size < count + _ROWS_TO_FILL_UP:
        raise ValueError(
            f"The vocabulary must be the checkpoint's, but {vocab_file} has {count} tokens and "
            f"the model {size}. Give the --vocab_file that it was trained with."
        )


def beside(checkpoint: str | None, name: str) -> Path | None:
    """A file of a run, by its checkpoint, its directory, or the one in `best`; None for none."""
    if not checkpoint:
        return None
    path = Path(checkpoint)
    folders = [path if path.is_dir() else path.parent]
    if folders[0].name == BEST_DIRECTORY:
        folders.append(folders[0].parent)
    return next((each / name for each in folders if (each / name).is_file()), None)
