"""Vectors of tokens and texts: which layers, how they are mixed, how they are pooled.

Shapes: B batch, T tokens, H hidden size, L chosen layers.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import ops

from bert_tf.config import BertConfig
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.features import SPECIALS_PAIR, SPECIALS_SINGLE, pack
from bert_tf.inputs.text_files import TextFileError, read_lines
from bert_tf.modeling.encoder import build_encoder
from bert_tf.tasks.task import Batch, encoder_inputs
from bert_tf.tokenization import FullTokenizer

Tensor = Any

SEQUENCES = ("input_ids", "input_mask", "segment_ids")
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


@dataclass
class TextFeaturizer:
    """Texts to tables; counts those that were cut.

    Attributes:
        tokenizer: Of the model's vocabulary.
        max_seq_length: T.
        seen: Texts so far.
        cut: Those of them that were longer than T.
    """

    tokenizer: FullTokenizer
    max_seq_length: int
    seen: int = 0
    cut: int = 0

    def table(self, texts: Iterable[Text]) -> ExampleTable:
        """Packs texts as the original's extract_features does."""
        vocab = self.tokenizer.vocab
        columns: dict[str, list[Any]] = {name: [] for name in SEQUENCES}
        for text in texts:
            a = self.tokenizer.encode(text.a)
            b = None if text.b is None else self.tokenizer.encode(text.b)
            specials = SPECIALS_SINGLE if b is None else SPECIALS_PAIR
            self.seen += 1
            self.cut += len(a) + len(b or ()) + specials > self.max_seq_length
            packed = pack(
                a,
                b,
                max_seq_length=self.max_seq_length,
                cls_id=vocab["[CLS]"],
                sep_id=vocab["[SEP]"],
            )
            for name in SEQUENCES:
                columns[name].append(getattr(packed, name))
        return ExampleTable.build(columns, SEQUENCES)

    def report(self) -> str | None:
        """A line about texts that did not fit, or None."""
        if not self.cut:
            return None
        return (
            f"{self.cut} of {self.seen} texts are longer than --max_seq_length = "
            f"{self.max_seq_length} and were cut."
        )


class FeatureTask:
    """Vectors of the chosen layers for every token, or pooled to one for every text.

    Args:
        config: The model's sizes.
        max_seq_length: T.
        layers: Numbers of layers; -1 is the last one, 0 the first one.
        pooling: One of `POOLINGS`, over the tokens of a text, special ones included.
        mix: One of `MIXES`, over the chosen layers.
        normalize: Whether vectors are scaled to a length of 1.

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
        normalize: bool = False,
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
        self.pooling, self.mix, self.normalize = pooling, mix, normalize
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
        if self.normalize:
            norm = ops.sqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True))
            vectors = vectors / ops.maximum(norm, _SMALLEST_NORM)
        return vectors
