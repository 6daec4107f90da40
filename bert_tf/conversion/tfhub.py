"""SavedModels with the interface of TF Hub's BERT encoders: weights, sizes, vocabulary.

Those that TensorFlow Model Garden's exporter writes (`bert_en_uncased_L-12_H-768_A-12/4`) and ours
(`saved_models.encoder`) name their variables alike, with a prefix or without. Weights are read from
`variables/variables`, a checkpoint that also tells the variables' names; no graph is loaded or run.
"""

import json
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tensorflow.core.protobuf import trackable_object_graph_pb2

from bert_tf.config import BertConfig
from bert_tf.conversion import tf1
from bert_tf.conversion.tf1 import CheckpointError, LoadReport

MODEL, VARIABLES, ASSETS, CARD = (
    "saved_model.pb",
    "variables/variables",
    "assets",
    "model_card.json",
)
VOCABULARY = "vocab.txt"

_LAYER, _THEIR_LAYER = "bert/encoder/layer_{n}", "transformer/layer_{n}"
# Name of the release, name on TF Hub, and the axis of the release's tensor that is two axes there,
# heads and their sizes. In the published order of `.variables`.
Row = tuple[str, str, int | None]
ENCODER_ROWS: tuple[Row, ...] = (
    ("bert/embeddings/word_embeddings", "word_embeddings/embeddings", None),
    ("bert/embeddings/position_embeddings", "position_embedding/embeddings", None),
    ("bert/embeddings/token_type_embeddings", "type_embeddings/embeddings", None),
    ("bert/embeddings/LayerNorm/gamma", "embeddings/layer_norm/gamma", None),
    ("bert/embeddings/LayerNorm/beta", "embeddings/layer_norm/beta", None),
    *(
        (f"{_LAYER}/{ours}", f"{_THEIR_LAYER}/{theirs}", axis)
        for ours, theirs, axis in (
            ("attention/self/query/kernel", "self_attention/query/kernel", 1),
            ("attention/self/query/bias", "self_attention/query/bias", 0),
            ("attention/self/key/kernel", "self_attention/key/kernel", 1),
            ("attention/self/key/bias", "self_attention/key/bias", 0),
            ("attention/self/value/kernel", "self_attention/value/kernel", 1),
            ("attention/self/value/bias", "self_attention/value/bias", 0),
            ("attention/output/dense/kernel", "self_attention/attention_output/kernel", 0),
            ("attention/output/dense/bias", "self_attention/attention_output/bias", None),
            ("attention/output/LayerNorm/gamma", "self_attention_layer_norm/gamma", None),
            ("attention/output/LayerNorm/beta", "self_attention_layer_norm/beta", None),
            ("intermediate/dense/kernel", "intermediate/kernel", None),
            ("intermediate/dense/bias", "intermediate/bias", None),
            ("output/dense/kernel", "output/kernel", None),
            ("output/dense/bias", "output/bias", None),
            ("output/LayerNorm/gamma", "output_layer_norm/gamma", None),
            ("output/LayerNorm/beta", "output_layer_norm/beta", None),
        )
    ),
    ("bert/pooler/dense/kernel", "pooler_transform/kernel", None),
    ("bert/pooler/dense/bias", "pooler_transform/bias", None),
)
MASKED_LM_ROWS: tuple[Row, ...] = (
    ("cls/predictions/output_bias", "cls/predictions/output_bias/bias", None),
    *(
        (f"cls/predictions/transform/{name}", f"cls/predictions/transform/{name}", None)
        for name in ("dense/kernel", "dense/bias", "LayerNorm/gamma", "LayerNorm/beta")
    ),
)
# TF Hub has no such head; the names are the release's.
NEXT_SENTENCE_ROWS: tuple[Row, ...] = tuple(
    (name, name, None)
    for name in ("cls/seq_relationship/output_weights", "cls/seq_relationship/output_bias")
)
_ROWS = (*ENCODER_ROWS, *MASKED_LM_ROWS, *NEXT_SENTENCE_ROWS)
_SPLIT_RANK = 3  # of a query kernel with an axis of heads
_PREFIX = re.compile(r"bert\w*/")  # the model's name, such as bert_encoder_v2_1
_GRAPH, _VALUE = "_CHECKPOINTABLE_OBJECT_GRAPH", "/.ATTRIBUTES/VARIABLE_VALUE"
_NUMBER = re.compile(r"transformer/layer_(\d+)/")
_LOWER, _COUNTER = f"do_lower_case{_VALUE}", f"save_counter{_VALUE}"


class Weight(NamedTuple):
    """A weight by its two names.

    Attributes:
        ours: Name of the release.
        theirs: Name on TF Hub, without a prefix.
        head_axis: The axis of the release's tensor that is two axes there; None for none.
    """

    ours: str
    theirs: str
    head_axis: int | None

    def their_shape(self, shape: tuple[int, ...], heads: int) -> tuple[int, ...]:
        """The shape on TF Hub of a weight with this shape in the release."""
        if self.head_axis is None:
            return shape
        axis = self.head_axis
        return (*shape[:axis], heads, shape[axis] // heads, *shape[axis + 1 :])

    def our_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in the release of a weight with this shape on TF Hub."""
        axis = self.head_axis
        if axis is None or len(shape) <= axis + 1:
            return shape
        return (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])


def weights_of(rows: tuple[Row, ...], layers: int) -> Iterator[Weight]:
    """The weights of a model with this number of layers, in the published order.

    Args:
        rows: `ENCODER_ROWS` and what else it has.
        layers: L.
    """
    for repeated, group in groupby(rows, key=lambda row: "{n}" in row[0]):
        block = list(group)
        for number in range(layers if repeated else 1):
            for ours, theirs, axis in block:
                yield Weight(ours.format(n=number), theirs.format(n=number), axis)


def is_folder(path: str | Path) -> bool:
    """Whether a path is a SavedModel with variables."""
    return (Path(path) / MODEL).is_file() and (Path(path) / f"{VARIABLES}.index").is_file()


class _Variables:
    """The variables of a folder by the names of the release.

    Raises:
        CheckpointError: If it cannot be read, lacks weights of the encoder or has others.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder, self.path = str(folder), str(Path(folder) / VARIABLES)
        self._reader = tf1.open_checkpoint(self.path)
        self._shapes = self._reader.get_variable_to_shape_map()
        named = list(self._named_keys())
        numbers = [match[1] for name, _ in named if (match := _NUMBER.search(name))]
        self.layers = 1 + max(map(int, numbers), default=0)
        known = {weight.theirs: weight for weight in weights_of(_ROWS, self.layers)}
        self._places: dict[str, tuple[Weight, str]] = {}
        left_over = []
        for name, key in named:
            weight = known.get(_PREFIX.sub("", name, count=1))
            if weight is None or weight.ours in self._places:
                left_over.append(name)
            else:
                self._places[weight.ours] = weight, key
        wanted = [weight.ours for weight in weights_of(ENCODER_ROWS, self.layers)]
        missing = [name for name in wanted if name not in self._places]
        if missing or left_over:
            raise CheckpointError(
                f"The SavedModel {folder} must hold a BERT encoder with TF Hub's interface and "
                f"nothing else. Missing in it: {_listed(missing)}. Left over in it: "
                f"{_listed(left_over)}. Of another model, give the checkpoint that it was made of."
            )
        self.shapes = {
            name: weight.our_shape(self.their_shape(name))
            for name, (weight, _) in self._places.items()
        }

    def _named_keys(self) -> Iterator[tuple[str, str]]:
        """Name of every variable and its place in the checkpoint."""
        if _GRAPH not in self._shapes:
            raise CheckpointError(
                f"{self.folder} must be a SavedModel of TensorFlow 2, with an object graph that "
                "tells its variables' names, but there is none. Give the checkpoint that it was "
                "made of."
            )
        content = self.raw(_GRAPH).item()
        graph = trackable_object_graph_pb2.TrackableObjectGraph.FromString(content)
        for node in graph.nodes:
            for attribute in node.attributes:
                if attribute.checkpoint_key in self._shapes.keys() - {_LOWER, _COUNTER}:
                    yield attribute.full_name, attribute.checkpoint_key

    def their_shape(self, name: str) -> tuple[int, ...]:
        """The shape as it is stored."""
        return tuple(self._shapes[self._places[name][1]])

    def read(self, name: str) -> np.ndarray:
        """The tensor as the release has it, float32."""
        value = self.raw(self._places[name][1])
        return value.astype(np.float32).reshape(self.shapes[name])

    def raw(self, key: str) -> np.ndarray:
        """The tensor at a place of the checkpoint."""
        return tf1.read_tensor(self._reader, self.path, key)

    def do_lower_case(self) -> bool:
        """Whether the vocabulary is of lower-cased text."""
        return bool(self.raw(_LOWER)) if _LOWER in self._shapes else True


def _listed(names: list[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


def read_config(folder: str | Path) -> BertConfig:
    """The sizes of a folder's encoder.

    They are those of its `model_card.json`, if there is one with a config. Otherwise shapes tell
    all sizes; the rest is what all published encoders have: the tanh form of GELU and dropout of
    0.1.

    Raises:
        CheckpointError: If the folder holds another model.
    """
    card = Path(folder) / CARD
    if card.is_file():
        try:
            content = json.loads(card.read_text(encoding="utf-8")).get("config")
            if content is not None:
                return BertConfig.from_dict(content)
        except (AttributeError, TypeError, ValueError) as error:
            raise CheckpointError(f"{card} must hold the config of a model: {error}") from None
    variables = _Variables(folder)
    words = variables.shapes["bert/embeddings/word_embeddings"]
    query = "bert/encoder/layer_0/attention/self/query/kernel"
    split = variables.their_shape(query)
    if len(split) < _SPLIT_RANK:
        raise CheckpointError(
            f"{folder} must tell how many heads its encoder has, but its query kernel is {split}, "
            "not split by heads. Give --bert_config_file."
        )
    return BertConfig(
        vocab_size=words[0],
        hidden_size=words[1],
        num_hidden_layers=variables.layers,
        num_attention_heads=split[1],
        intermediate_size=variables.shapes["bert/encoder/layer_0/intermediate/dense/bias"][0],
        max_position_embeddings=variables.shapes["bert/embeddings/position_embeddings"][0],
        type_vocab_size=variables.shapes["bert/embeddings/token_type_embeddings"][0],
    )


def find_vocabulary(folder: str | Path) -> tuple[Path, bool]:
    """The folder's vocabulary, an asset, and whether its text is lower-cased.

    Raises:
        CheckpointError: If there is none, or more than one file that may be it.
    """
    files = [path for path in sorted((Path(folder) / ASSETS).glob("*")) if path.is_file()]
    found = [path for path in files if path.name == VOCABULARY] or files
    if len(found) != 1:
        raise CheckpointError(
            f"{Path(folder) / ASSETS} must hold one vocabulary, but holds "
            f"{_listed([path.name for path in found])}. Give --vocab_file."
        )
    return found[0], _Variables(folder).do_lower_case()


def load_weights(model: keras.Model, folder: str | Path) -> LoadReport:
    """Loads the weights that a model shares with a folder; nothing is loaded on an error.

    Args:
        model: An encoder, or a model whose parts are named as in `weight_map`.
        folder: A SavedModel of TF Hub's interface for BERT encoders.

    Raises:
        CheckpointError: As `tf1.load_weights`, or if the folder holds more than such an encoder.
    """
    variables = _Variables(folder)
    return tf1.assign(model, str(folder), variables.shapes, variables.read)


def read_tensors(folder: str | Path) -> dict[str, np.ndarray]:
    """All weights of a folder as float32, by the names of the 2018 release.

    Raises:
        CheckpointError: As `load_weights`.
    """
    variables = _Variables(folder)
    return {name: variables.read(name) for name in variables.shapes}
