"""Examples grouped by length, as files that contenders of any framework read alike.

Shapes: N examples, B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # Not every contender's interpreter has what it needs.
    from bert_tf.inputs.examples import ExampleTable

TRAIN, PREDICT = "train", "predict"
PREDICT_BATCH = 64
SEED = 1  # of the order, as the trainer has it by default
_BATCHES = 64
_MULTIPLE = 4  # lengths are rounded up to it, as in our trainer

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TextBatches:
    """Examples, and the order in which they are taken.

    Attributes:
        input_ids: [N, T], and so are the next two.
        input_mask: 1 for tokens.
        segment_ids: 0 and 1.
        label_ids: [N].
        training: Numbers of the examples of each training batch [S, B].
        prediction: All numbers, the longest first [N].
    """

    input_ids: Array
    input_mask: Array
    segment_ids: Array
    label_ids: Array
    training: Array
    prediction: Array

    @classmethod
    def of(cls, table: ExampleTable, batch_size: int) -> TextBatches:
        """The batches that our trainer and predictor make of a table."""
        from bert_tf.inputs.examples import TrainingOrder, evaluation_order

        order = TrainingOrder(table, batch_size, shuffle=True, seed=SEED)
        names = ("input_ids", "input_mask", "segment_ids", "label_ids")
        return cls(
            **{name: table.columns[name].astype(np.int64) for name in names},
            training=np.stack([order.batch(step) for step in range(_BATCHES)]),
            prediction=evaluation_order(table),
        )

    def save(self, path: str) -> None:
        """Writes the arrays."""
        np.savez(path, allow_pickle=False, **asdict(self))

    @classmethod
    def load(cls, path: str) -> TextBatches:
        """What `save` wrote."""
        with np.load(path) as arrays:
            return cls(**dict(arrays))

    def batches(self, work: str) -> Iterator[dict[str, Array]]:
        """The batches of one pass, each cut to its longest example."""
        rows = list(self.training)
        if work == PREDICT:
            ends = range(PREDICT_BATCH, len(self.prediction), PREDICT_BATCH)
            rows = np.split(self.prediction, list(ends))
        for numbers in rows:
            longest = int(self.input_mask[numbers].sum(axis=1).max())
            length = min(-(-longest // _MULTIPLE) * _MULTIPLE, self.input_ids.shape[1])
            yield {
                "input_ids": self.input_ids[numbers, :length],
                "attention_mask": self.input_mask[numbers, :length],
                "token_type_ids": self.segment_ids[numbers, :length],
                "labels": self.label_ids[numbers],
            }
