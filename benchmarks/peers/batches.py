"""The same inputs for every contender, and what a training step costs in arithmetic.

Shapes: B batch, T tokens, P predictions of a sequence.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bert_tf.config import BertConfig

Batch = dict[str, npt.NDArray[Any]]

CLS, SEP, MASK, FIRST_WORD = 101, 102, 103, 1000  # of the released uncased vocabulary
PREDICTIONS = 20  # P


def pretraining_batches(
    config: BertConfig, batch_size: int, length: int, count: int = 4
) -> list[Batch]:
    """Batches of random words under the names of the original's records.

    Full sequences, two segments of equal length and P masked positions each.

    Args:
        config: Gives the vocabulary.
        batch_size: B.
        length: T.
        count: Number of batches.
    """
    rng = np.random.default_rng(0)
    shape = (batch_size, length)
    return [
        _batch(rng, config.vocab_size, shape, min(PREDICTIONS, length - 2)) for _ in range(count)
    ]


def _batch(rng: np.random.Generator, words: int, shape: tuple[int, int], predictions: int) -> Batch:
    batch_size, length = shape
    ids = rng.integers(FIRST_WORD, words, shape, dtype=np.int32)
    ids[:, 0], ids[:, length // 2 - 1], ids[:, -1] = CLS, SEP, SEP
    inner = np.arange(1, length - 1)
    positions = np.stack(
        [np.sort(rng.choice(inner, predictions, replace=False)) for _ in range(batch_size)]
    ).astype(np.int32)
    words_there = np.take_along_axis(ids, positions, axis=1)
    np.put_along_axis(ids, positions, MASK, axis=1)
    return {
        "input_ids": ids,
        "input_mask": np.ones(shape, np.int32),
        "segment_ids": np.repeat([[0, 1]], length // 2, axis=1).astype(np.int32)
        * np.ones((batch_size, 1), np.int32),
        "masked_lm_positions": positions,
        "masked_lm_ids": words_there,
        "masked_lm_weights": np.ones((batch_size, predictions), np.float32),
        "next_sentence_labels": rng.integers(0, 2, (batch_size, 1), dtype=np.int32),
    }


def training_flops(config: BertConfig, length: int, predictions: int = PREDICTIONS) -> float:
    """Floating-point operations that one sequence needs: forward pass, and twice that backward.

    Counts what the model asks for, whoever computes it: a contender that computes the logits of
    all positions is not credited with them. Element-wise work and the update are left out.
    """
    width, inner = config.hidden_size, config.intermediate_size
    block = length * (8 * width**2 + 4 * width * inner + 4 * length * width)
    head = predictions * (2 * width**2 + 2 * width * config.vocab_size) + 2 * width**2
    return 3.0 * (config.num_hidden_layers * block + head)
