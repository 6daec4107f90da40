"""Dynamic batching: requests that come at the same time are computed together.

One thread computes. It takes the request that has waited longest and those of the same signature
and shapes behind it, up to a number of rows; if they are fewer, it waits for more until the first
one has waited `seconds`. While it computes, the next batch gathers. Long texts are computed
apart: a batch takes as long as its longest text, and as much memory as all of them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np

from saved_models.serving.limits import RequestError
from saved_models.serving.protocol import Arrays, Request

Run = Callable[[str, Arrays], Arrays]

BATCH_BYTES = 50_000  # of the inputs of a batch of several requests


@dataclass(frozen=True)
class Batching:
    """How batches are made.

    Attributes:
      rows: the most of a batch; a request with more is computed alone.
      seconds: that a request waits for others.
      queue: rows that may wait; more are refused.

    Raises:
      ValueError: a value is out of range.
    """

    rows: int = 32
    seconds: float = 0.002
    queue: int = 512

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(
                f"--max_batch_size must be at least 1, which is no batching; got {self.rows}."
            )
        if not 0 <= self.seconds <= 10:
            raise ValueError(
                f"--batch_wait_ms must be from 0 to 10000; got {self.seconds * 1000:g}. A few "
                "milliseconds are enough."
            )


@dataclass(frozen=True)
class _Job:
    signature: str
    arrays: Arrays
    rows: int
    size: int  # bytes
    key: Hashable
    answer: Future[Arrays] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """A queue and the thread that works it off.

    Args:
      run: computes one batch: signature name and inputs -> outputs. Called by one thread only.
      batching: see there.
      observe: told the rows of each batch.
    """

    def __init__(
        self, run: Run, batching: Batching, observe: Callable[[int], None] = lambda rows: None
    ) -> None:
        self._run, self._batching, self._observe = run, batching, observe
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def waiting(self) -> int:
        """Rows in the queue."""
        with self._changed:
            return sum(job.rows for job in self._jobs)

    def submit(self, request: Request) -> Future[Arrays]:
        """The outputs, when they are there; cancelled before its turn, a request is left out.

        Raises:
          RequestError: the queue is full, or the server stops.
        """
        arrays = request.arrays
        job = _Job(request.signature.name, arrays, request.rows, _size(arrays), _key(request))
        with self._changed:
            if self._closed:
                raise RequestError(
                    "The server stops and takes no more requests. Ask another one, or later.",
                    HTTPStatus.SERVICE_UNAVAILABLE,
                )
            waiting = sum(job.rows for job in self._jobs)
            if waiting and waiting + job.rows > self._batching.queue:
                raise RequestError(
                    f"{self._batching.queue} instances may wait for a model; {waiting} do, and "
                    f"{job.rows} came. Send them again in a second.",
                    HTTPStatus.TOO_MANY_REQUESTS,
                )
            self._jobs.append(job)
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """Refuses new requests, answers those that wait, ends the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            jobs = [job for job in batch if job.answer.set_running_or_notify_cancel()]
            if jobs:
                self._answer(jobs)

    def _next(self) -> list[_Job]:
        """The next batch, taken out of the queue; none when the server has stopped."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            if not self._jobs:
                return []
            until = self._jobs[0].arrived + self._batching.seconds
            while True:
                batch, full = self._gathered()
                left = until - time.monotonic()
                if full or self._closed or left <= 0:
                    break
                self._changed.wait(left)
            taken = {id(job) for job in batch}
            self._jobs = [job for job in self._jobs if id(job) not in taken]
            return batch

    def _gathered(self) -> tuple[list[_Job], bool]:
        """The first job and those like it that fit, and whether no more would."""
        first = self._jobs[0]
        batch, rows, size = [first], first.rows, first.size
        for job in self._jobs[1:]:
            if job.key == first.key:
                rows, size = rows + job.rows, size + job.size
                if rows > self._batching.rows or size > BATCH_BYTES:
                    return batch, True
                batch.append(job)
        return batch, rows >= self._batching.rows or size >= BATCH_BYTES

    def _answer(self, jobs: Sequence[_Job]) -> None:
        """Computes jobs together, or, if that fails, each alone: one's error is not another's."""
        rows = [job.rows for job in jobs]
        try:
            outputs = self._run(jobs[0].signature, _joined([job.arrays for job in jobs]))
            parts = [outputs] if len(jobs) == 1 else _split(outputs, rows)
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
            else:
                for job in jobs:
                    self._answer([job])
            return
        self._observe(sum(rows))
        for job, part in zip(jobs, parts, strict=True):
            job.answer.set_result(part)


def _key(request: Request) -> Hashable:
    """Requests with equal keys can be computed together."""
    if not all(array.ndim for array in request.arrays.values()):
        return object()  # equal to no other
    shapes = tuple((name, array.shape[1:]) for name, array in sorted(request.arrays.items()))
    return request.signature.name, shapes


def _size(arrays: Arrays) -> int:
    """Bytes of strings and numbers."""
    return sum(
        sum(map(len, array.flat)) if array.dtype.kind == "O" else array.nbytes
        for array in arrays.values()
    )


def _joined(arrays: Sequence[Arrays]) -> Arrays:
    if len(arrays) == 1:
        return arrays[0]
    return {name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]}


def _split(outputs: Arrays, rows: Sequence[int]) -> list[Arrays]:
    """The outputs of each job.

    Raises:
      ValueError: an output's first axis is not the batch.
    """
    for name, output in outputs.items():
        if output.shape[:1] != (sum(rows),):
            raise ValueError(f"{name} has the shape {output.shape}, but {sum(rows)} rows went in")
    ends = np.cumsum(rows)[:-1]
    parts = {name: np.split(output, ends) for name, output in outputs.items()}
    return [{name: part[place] for name, part in parts.items()} for place in range(len(rows))]
