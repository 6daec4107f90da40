"""The same ids for every contender that serves an encoder, and one number that tells its answer."""

import itertools
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from benchmarks.peers.batches import pretraining_batches
from benchmarks.peers.protocol import Case
from bert_tf.config import named_config

Vectors = npt.NDArray[np.float32]
Ids = dict[str, npt.NDArray[np.int32]]
MATRIX_SIZE = 2048
MATRIX_FLOPS = 2.0 * MATRIX_SIZE**3


def batches(case: Case) -> Iterator[Ids]:
    """Batches without end: `input_word_ids`, `input_mask` and `input_type_ids`, [B, T] each."""
    names = {
        "input_word_ids": "input_ids",
        "input_mask": "input_mask",
        "input_type_ids": "segment_ids",
    }
    made = pretraining_batches(named_config(case.model), case.batch_size, case.length)
    return itertools.cycle(
        [{name: batch[theirs] for name, theirs in names.items()} for batch in made]
    )


def steps(
    answer: Callable[[Ids], Vectors],
    case: Case,
    names: Mapping[str, str] | None = None,
) -> Callable[[int], float]:
    """Steps of a contender: batches in, as numpy arrays, and the pooled vectors out.

    Args:
        answer: From a batch to [B, H].
        case: Gives the batches.
        names: Names of the inputs, where they are others than TF Hub's.

    Returns:
        From a number of steps to the mean square of the last pooled vectors.
    """
    given = batches(case)

    def run(count: int) -> float:
        pooled: Vectors = np.zeros([1], np.float32)
        for ids in itertools.islice(given, count):
            pooled = answer({(names or {}).get(name, name): value for name, value in ids.items()})
        return float(np.mean(np.square(pooled)))

    return run


# How transformers and ONNX call the inputs.
THEIR_NAMES = {
    "input_word_ids": "input_ids",
    "input_mask": "attention_mask",
    "input_type_ids": "token_type_ids",
}
