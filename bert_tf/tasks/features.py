"""Vectors of tokens and texts: which layers, how they are mixed, how they are pooled.

Shapes: B batch, T tokens, H hidden size, L chosen layers.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.packing import SEQUENCES, TextPacker, Window
from bert_tf.inputs.text_files import TextFileError, read_lines
from bert_tf.inputs.windows import max_context, mean_of_windows
from bert_tf.modeling.encoder import build_encoder
from bert_tf.tasks.job import Outputs
from bert_tf.tasks.task import Batch, encoder_inputs
from bert_tf.tokenization import FullTokenizer

Tensor = Any
Array = npt.NDArray[Any]

NONE, CLS, MEAN, MAX, SUM, CONCAT = "none", "cls", "mean", "max", "sum", "concat"
POOLINGS = (NONE, CLS, MEAN, MAX)
MIXES = (NONE, SUM, MEAN, CONCAT)
_PAIR = re.compile(r"^(.*) \|\|\| (.*)$")
_SMALLEST_NORM = 1e-12


@dataclass(frozen=True)
class Text:
    """A line of the input: a text, or a pair that was parted by ` ||| `."""

    number: int
    a: str
    b: str | None


def read_texts(path: str | Path) -> Iterator[Text]:
    """The lines of a file; TextFileError for none. Source: the original's `read_examples`."""
    number = -1
    for number, line in enumerate(read_lines(path)):
        yield split_pair(number, line)
    if number < 0:
        raise TextFileError(f"{path} must hold at least one line, but is empty.")


def split_pair(number: int, line: str) -> Text:
    """A line as a text or a pair."""
    line = line.strip()
    match = _PAIR.match(line)
    return Text(number, match[1], match[2]) if match else Text(number, line, None)


@dataclass(frozen=True)
class TextChunk:
    """Texts as input sequences.

    Attributes:
        table: The sequences: one for each window.
        windows: Of each text.
        first: Number of the first text.
    """

    table: ExampleTable
    windows: list[list[Window]]
    first: int

    def owners(self) -> Array:
        """The number in this chunk of each sequence's text."""
        return np.repeat(np.arange(len(self.windows)), [len(each) for each in self.windows])

    def places(self) -> Iterator[tuple[Array, Array]]:
        """For each text, the sequence and the place in it of every token: each where it has most
        context around it, [CLS] and [SEP] in the first window of the text."""
        begin = 0
        for windows in self.windows:
            yield _places(windows, begin)
            begin += len(windows)


def _places(windows: Sequence[Window], begin: int) -> tuple[Array, Array]:
    first = windows[0].packed.length
    if len(windows) == 1:
        return np.full(first, begin), np.arange(first)
    parts = [np.array([[0], [0]])]  # [CLS]; rows: the window, the place in it
    for number in range(len(windows[0].spans)):
        spans = [window.spans[number] for window in windows]
        own = np.zeros((2, max(start + size for start, size in spans)), np.int64)
        for row, (best, (start, _)) in enumerate(zip(max_context(spans), spans, strict=True)):
            # The second text begins after [CLS], the first one and [SEP].
            offset = 1 if number == 0 else windows[row].spans[0][1] + 2
            here = np.flatnonzero(best)
            own[:, start + here] = np.stack([np.full_like(here, row), offset + here])
        ends = windows[0].spans[0][1] + 1 if number == 0 else first - 1
        parts += [own, np.array([[0], [ends]])]  # [SEP]
    joined = np.concatenate(parts, axis=1)
    return joined[0] + begin, joined[1]


class TextFeaturizer:
    """Texts to tables.

    Args:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        stride: Of windows over long texts; 0 where they are cut.
    """

    def __init__(self, tokenizer: FullTokenizer, max_seq_length: int, stride: int = 0) -> None:
        self._packer = TextPacker(tokenizer, max_seq_length, stride, "texts")

    def chunk(self, texts: Sequence[Text]) -> TextChunk:
        """Packs texts as the original's extract_features does."""
        windows = [
            [window for (window,) in self._packer.windows(text.a, [text.b])] for text in texts
        ]
        columns = {
            name: [getattr(window.packed, name) for each in windows for window in each]
            for name in SEQUENCES
        }
        return TextChunk(ExampleTable.build(columns, SEQUENCES), windows, texts[0].number)

    def chunks(self, texts: Iterable[Text], size: int) -> Iterator[TextChunk]:
        """Chunks of `size` texts."""
        remaining = iter(texts)
        while part := list(itertools.islice(remaining, size)):
            yield self.chunk(part)

    def report(self) -> str | None:
        """A line about texts that did not fit, or None."""
        return self._packer.report()


class FeatureTask:
    """Vectors of the chosen layers for every token, or pooled to one for every text.

    Args:
        config: The model's sizes.
        max_seq_length: T.
        layers: Numbers of layers; -1 is the last one, 0 the first one.
        pooling: One of `POOLINGS`, over the tokens of a text, special ones included.
        mix: One of `MIXES`, over the chosen layers.

    Raises:
        ValueError: If the model has no such layer, or fewer positions than T.

    Source: `model_fn_builder` of the original's extract_features.py.
    """

    def __init__(
        self,
        config: BertConfig,
        max_seq_length: int,
        layers: Sequence[int],
        pooling: str = NONE,
        mix: str = NONE,
    ) -> None:
        config.check_length(max_seq_length)
        count = config.num_hidden_layers
        wrong = [layer for layer in layers if not -count <= layer < count]
        if wrong or not layers:
            raise ValueError(
                f"--layers must name layers of the model, from {-count} (the first) to -1 (the "
                f"last), but holds {', '.join(map(str, wrong)) or 'none'}."
            )
        self.config, self.layers = config, tuple(layers)
        self.pooling, self.mix = pooling, mix
        names = [str(layer) for layer in self.layers] if mix == NONE else [mix]
        self.output_names = tuple(dict.fromkeys(names))
        self.token_outputs = self.output_names if pooling == NONE else ()

    def build_model(self) -> keras.Model:
        """The encoder."""
        return build_encoder(self.config)

    def predict(self, model: keras.Model, batch: Batch) -> dict[str, Tensor]:
        """Float32 vectors by the layer's number, or the mix's name: [B, T, H], pooled [B, H]."""
        outputs = model(encoder_inputs(batch))["encoder_outputs"]
        chosen = [ops.cast(outputs[layer], "float32") for layer in self.layers]
        vectors = dict(zip(map(str, self.layers), chosen, strict=True))
        if self.mix == CONCAT:
            vectors = {CONCAT: ops.concatenate(chosen, axis=-1)}
        elif self.mix in (SUM, MEAN):
            total = sum(chosen[1:], chosen[0])
            vectors = {self.mix: total / len(chosen) if self.mix == MEAN else total}
        mask = ops.cast(batch["input_mask"], "float32")[..., None]  # [B, T, 1]
        return {name: self._finish(value, mask) for name, value in vectors.items()}

    def _finish(self, vectors: Tensor, mask: Tensor) -> Tensor:
        if self.pooling == CLS:
            vectors = vectors[:, 0]
        elif self.pooling == MEAN:
            vectors = ops.sum(vectors * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)
        elif self.pooling == MAX:
            vectors = ops.max(ops.where(mask > 0.0, vectors, -float("inf")), axis=1)
        return vectors

    def of_texts(self, chunk: TextChunk, outputs: Outputs) -> dict[str, Sequence[Array]]:
        """The outputs of a chunk's windows, put together to those of its texts.

        Of tokens, each text's [T, H] from the windows that show them best; pooled, the largest
        value of all windows (`MAX`), or else their mean, weighted by their tokens.
        """
        if not self.token_outputs:
            owners, weights = chunk.owners(), chunk.table.lengths.astype(np.float64)
            return {
                name: list(self._pooled(np.asarray(outputs[name]), owners, weights))
                for name in self.output_names
            }
        texts: dict[str, Sequence[Array]] = {}
        for name in self.output_names:
            rows = outputs[name]
            texts[name] = [_gathered(rows, *places) for places in chunk.places()]
        return texts

    def _pooled(self, rows: Array, owners: Array, weights: Array) -> Array:
        if self.pooling != MAX:
            return mean_of_windows(rows, owners, weights).astype(rows.dtype)
        begins = np.flatnonzero(np.diff(owners, prepend=-1))
        return np.asarray(np.maximum.reduceat(rows, begins, axis=0))


def _gathered(rows: Sequence[Array] | Array, sequences: Array, places: Array) -> Array:
    """Token vectors [T, H] by the sequence and the place of each."""
    if sequences[0] == sequences[-1] == sequences.max():
        return np.asarray(rows[sequences[0]])[places]
    return np.stack([rows[row][place] for row, place in zip(sequences, places, strict=True)])


def normalized(vectors: Array) -> Array:
    """Vectors [..., H] scaled to a length of 1."""
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(norm, _SMALLEST_NORM))
