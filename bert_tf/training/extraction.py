"""Runs a model over texts, chunk after chunk; the next one is tokenized meanwhile."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from bert_tf.conversion import tf1
from bert_tf.inputs.batches import TableSource
from bert_tf.inputs.examples import ExampleTable
from bert_tf.inputs.prefetch import prefetched
from bert_tf.tasks.job import Outputs
from bert_tf.tasks.task import Predictable
from bert_tf.training import reports
from bert_tf.training.evaluation import Predictor
from bert_tf.training.options import TrainingOptions
from bert_tf.training.runtime import Runtime
from bert_tf.training.state import State

_NOWHERE = Path(".bert_tf_nowhere")


class HasTable(Protocol):
    """A chunk of texts, with their input sequences."""

    @property
    def table(self) -> ExampleTable:
        """The sequences."""


Chunk = TypeVar("Chunk", bound=HasTable)


class Extractor:
    """A model and its weights, ready to run over texts.

    Args:
        task: The model and its outputs.
        runtime: The started runtime.
        init_checkpoint: A checkpoint of the release or a Hugging Face folder.
        batch_size: Texts of a batch.

    Raises:
        ValueError: If there is no checkpoint, it does not fit or lacks weights in use, or batches
            do not divide.
    """

    def __init__(
        self, task: Predictable, runtime: Runtime, init_checkpoint: str | None, batch_size: int
    ) -> None:
        if not init_checkpoint:
            raise ValueError(
                "--init_checkpoint must name a pretrained model, but is empty: vectors of a "
                "random one say nothing."
            )
        if batch_size < 1 or batch_size % runtime.replicas:
            raise ValueError(
                f"--batch_size must be a multiple of the {runtime.replicas} replicas, but is "
                f"{batch_size}."
            )
        # Nothing is written there: a run that only computes has no directory of its own.
        options = TrainingOptions(_NOWHERE, init_checkpoint, runtime=runtime.options)
        state = State(task, runtime, options)
        state.restore()
        lacking = [name for name in state.unloaded if not name.startswith("bert/pooler/")]
        if lacking:
            raise tf1.CheckpointError(f"{init_checkpoint} lacks {', '.join(lacking[:4])}.")
        self._runtime, self._batch_size = runtime, batch_size
        self._predictor = Predictor(task, state)
        self._limits = {"input_ids": _vocab_size(state)}

    def run(
        self, chunks: Iterable[Chunk], total: int | None = None
    ) -> Iterator[tuple[Chunk, Outputs]]:
        """Each chunk with the outputs of its table, in order.

        Args:
            chunks: Chunks of texts; the next one is made while one is computed.
            total: Number of texts, if known, for the progress line.
        """
        runtime = self._runtime
        with contextlib.closing(
            reports.Progress("extract", total, visible=runtime.is_chief)
        ) as progress:
            for chunk in prefetched(chunks):
                source = TableSource(chunk.table, runtime.length_multiple, self._limits)
                yield chunk, self._predictor.run(source, self._batch_size, progress)


def _vocab_size(state: State) -> int:
    return int(state.weights["bert/embeddings/word_embeddings"].shape[0])


def slices(count: int, parts: int) -> list[tuple[int, int]]:
    """Begin and end of `parts` even, consecutive parts of `count` things."""
    ends = [count * number // parts for number in range(parts + 1)]
    return list(itertools.pairwise(ends))
