"""Runs what `saved_models.litert` wrote: texts in, arrays out, without TensorFlow.

    from saved_models.litert_runner import LiteRunner

    runner = LiteRunner("reviews_lite")
    print(runner.classify(["A lovely film."]))  # [("good", 0.97)]

The tokenizer is `bert_tf.tokenization`, in Python; the interpreter that of ai-edge-litert. An
input is as long as the file was made for: shorter texts are padded, longer ones cut.

Shapes: B batch, T tokens of the file, N texts.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert_tf.inputs.features import pack
from bert_tf.tokenization import FullTokenizer

MODEL, VOCABULARY, CARD = "model.tflite", "vocab.txt", "model_card.json"
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Card:
    """What model_card.json says to the runner.

    Attributes:
      type: encoder or classifier.
      do_lower_case: whether text is lower-cased.
      max_seq_length: T.
      labels: names of the classes in order; none for an encoder.
    """

    type: str
    do_lower_case: bool
    max_seq_length: int
    labels: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**dataclasses.asdict(self), "labels": list(self.labels)}


def read_card(folder: Path) -> Card:
    """The card of a folder.

    Raises:
      ValueError: it is no folder of an export for LiteRT.
    """
    try:
        content = json.loads((folder / CARD).read_text(encoding="utf-8"))
        names = [field.name for field in dataclasses.fields(Card)]
        card = Card(**{name: content[name] for name in names})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{folder} must be a folder that saved_models.export_litert wrote; {CARD}: {error!r}. "
            "Name another folder, or export it anew."
        ) from None
    return dataclasses.replace(card, labels=tuple(card.labels))


def _interpreter(path: Path, threads: int | None) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "saved_models.litert_runner needs ai-edge-litert, which is not installed. Install it: "
            "pip install ai-edge-litert."
        ) from None
    try:
        return Interpreter(str(path), num_threads=threads)
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} must be a model for LiteRT; {error}. Export it anew with "
            "saved_models.export_litert."
        ) from None


class LiteRunner:
    """A model on the interpreter of LiteRT; not for several threads at a time.

    Args:
      folder: that `saved_models.export_litert` wrote.
      threads: of the interpreter; None leaves it to LiteRT.

    Raises:
      ValueError: the folder is none.
      ModuleNotFoundError: ai-edge-litert is not installed.
    """

    def __init__(self, folder: str | Path, threads: int | None = None) -> None:
        self.folder = Path(folder)
        self.card = read_card(self.folder)
        self._tokenizer = FullTokenizer(self.folder / VOCABULARY, self.card.do_lower_case)
        interpreter = _interpreter(self.folder / MODEL, threads)
        interpreter.allocate_tensors()
        self._run = interpreter.get_signature_runner("serving_default")
        shape = self._run.get_input_details()["input_word_ids"]["shape"]
        self._batch = int(shape[0])

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Arrays:
        """The outputs for texts, or pairs of them, [N, ...] each: see `litert.outputs_of`.

        Raises:
          ValueError: there is no text, or not as many second ones.
        """
        if not texts or (pairs is not None and len(pairs) != len(texts)):
            raise ValueError(
                f"There must be a text at least, and as many second ones if any; got {len(texts)} "
                f"and {0 if pairs is None else len(pairs)}. Give one of each for each pair."
            )
        batches = [self.run(packed) for packed in self.packed(texts, pairs)]
        joined = {
            name: np.concatenate([batch[name] for batch in batches]) for name in sorted(batches[0])
        }
        return {name: values[: len(texts)] for name, values in joined.items()}

    def classify(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """The likeliest label of each text or pair, and its probability.

        Raises:
          ValueError: the model has no labels; or see `__call__`.
        """
        if not self.card.labels:
            raise ValueError(
                f"classify needs a model with labels; {self.folder} is of the type "
                f"{self.card.type}. Call the runner itself for its vectors."
            )
        probabilities = self(texts, pairs)["probabilities"]
        best = probabilities.argmax(axis=1)
        return [
            (self.card.labels[place], float(row[place]))
            for place, row in zip(best, probabilities, strict=True)
        ]

    def packed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Iterator[Arrays]:
        """Inputs of the file, int32 [B, T] each; the last batch is filled up with its last text."""
        cls, sep = (self._tokenizer.vocab[token] for token in ("[CLS]", "[SEP]"))
        rows = [
            pack(
                self._tokenizer.encode(text),
                None if pairs is None else self._tokenizer.encode(pairs[number]),
                max_seq_length=self.card.max_seq_length,
                cls_id=cls,
                sep_id=sep,
            )
            for number, text in enumerate(texts)
        ]
        for start in range(0, len(rows), self._batch):
            batch = rows[start : start + self._batch]
            batch += batch[-1:] * (self._batch - len(batch))
            columns = {
                "input_word_ids": [row.input_ids for row in batch],
                "input_mask": [row.input_mask for row in batch],
                "input_type_ids": [row.segment_ids for row in batch],
            }
            yield {name: np.array(values, np.int32) for name, values in columns.items()}

    def run(self, packed: Arrays) -> Arrays:
        """The outputs for inputs of the file's shape."""
        return dict(self._run(**packed))
