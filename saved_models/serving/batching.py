"""Dynamic batching: requests that come at the same time are computed together.

One thread computes. It takes the request that has waited longest and those of the same signature
and shapes behind it, up to a number of rows; if they are fewer, it waits for more until the first
one has waited `seconds`. While it computes, the next batch gathers. Long texts are computed
apart: a batch takes as long as its longest text, and as much memory as all of them. For the same
reason a request that is larger than a batch is computed in parts.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from http import HTTPStatus

import numpy as np

from saved_models.serving.limits import Limits, RequestError, too_much
from saved_models.serving.protocol import Arrays, Request, without_rows

Run = Callable[[str, Arrays], Arrays]

BATCH_BYTES = 50_000  # of the inputs of a batch of several rows
# What the tasks fill rows up with, by the kind of type.
_FILLING = {"O": b"", "i": -1}


@dataclass(frozen=True)
class Batching:
    """How batches are made.

    Attributes:
      rows: the most of a batch, or of its texts where a row has several; a request with more is
        computed alone, in parts.
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
    sizes: Sequence[int]  # bytes of each row; of all of them, where there are no rows
    weight: int  # rows, or texts where a row has several
    key: Hashable
    answer: Future[Arrays] = field(default_factory=Future)
    arrived: float = field(default_factory=time.monotonic)


class Batcher:
    """A queue and the thread that works it off.

    Args:
      run: computes one batch: signature name and inputs -> outputs. Called by one thread only.
      batching: see there.
      observe: told the rows of each batch.
      answer_values: the most strings or numbers of a request's outputs.
    """

    def __init__(
        self,
        run: Run,
        batching: Batching,
        observe: Callable[[int], None] = lambda rows: None,
        answer_values: int = Limits.answer_values,
    ) -> None:
        self._run, self._batching, self._observe = run, batching, observe
        self._answer_values = answer_values
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

        Its result is a RequestError if there are more outputs than an answer may hold.

        Raises:
          RequestError: the queue is full, or the server stops.
        """
        job = _job(request)
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
        batch, weight, size = [first], first.weight, sum(first.sizes)
        for job in self._jobs[1:]:
            if job.key == first.key:
                weight, size = weight + job.weight, size + sum(job.sizes)
                if weight > self._batching.rows or size > BATCH_BYTES:
                    return batch, True
                batch.append(job)
        return batch, weight >= self._batching.rows or size >= BATCH_BYTES

    def _answer(self, jobs: Sequence[_Job]) -> None:
        """Computes jobs together, or, if that fails, each alone: one's error is not another's."""
        try:
            parts = [self._alone(jobs[0])] if len(jobs) == 1 else self._together(jobs)
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].answer.set_exception(error)
            else:
                for job in jobs:
                    self._answer([job])
            return
        for job, part in zip(jobs, parts, strict=True):
            try:
                self._check(_values(part))
                job.answer.set_result(part)
            except RequestError as error:
                job.answer.set_exception(error)

    def _together(self, jobs: Sequence[_Job]) -> list[Arrays]:
        rows = [job.rows for job in jobs]
        joined = {
            name: np.concatenate([job.arrays[name] for job in jobs]) for name in jobs[0].arrays
        }
        parts = _split(self._run(jobs[0].signature, joined), rows)
        self._observe(sum(rows))
        return parts

    def _alone(self, job: _Job) -> Arrays:
        """A job in as many parts as it takes; at once, where outputs have no rows to be joined."""
        bounds = self._bounds(job)
        parts: list[Arrays] = []
        values = 0
        for start, end in itertools.pairwise(bounds):
            arrays = job.arrays
            if len(bounds) > 2:
                arrays = {name: array[start:end] for name, array in arrays.items()}
            outputs = self._run(job.signature, arrays)
            if len(bounds) > 2 and without_rows(outputs, end - start):
                parts = [self._run(job.signature, job.arrays)]
                self._observe(job.rows)
                break
            values += _values(outputs)
            self._check(values)  # before the next part is computed
            parts.append(outputs)
            self._observe(end - start)
        return _in_a_row(parts)

    def _bounds(self, job: _Job) -> list[int]:
        """Where the parts of a job begin, and the last one ends."""
        most = max(1, self._batching.rows * job.rows // job.weight)
        bounds, size = [0], 0
        for row, more in enumerate(job.sizes):
            size += more
            if row > bounds[-1] and (row - bounds[-1] >= most or size > BATCH_BYTES):
                bounds.append(row)
                size = more
        return [*bounds, job.rows]

    def _check(self, values: int) -> None:
        if values > self._answer_values:
            raise too_much(
                f"An answer may hold {self._answer_values} values; this one has {values} or more. "
                "Send fewer or shorter instances, or raise --max_answer_values."
            )


def _job(request: Request) -> _Job:
    arrays, rows = request.arrays, request.rows
    texts = [array for array in arrays.values() if array.dtype.kind == "O"]
    if not all(array.ndim for array in arrays.values()):
        # Not to be joined or parted: equal to no other.
        sizes, key = [sum(map(_size, arrays.values()))], object()
        return _Job(request.signature.name, arrays, rows, sizes, rows, key)
    sizes = [sum(_size(array[row : row + 1]) for array in arrays.values()) for row in range(rows)]
    weight = max([rows, *(array.size for array in texts)])
    return _Job(request.signature.name, arrays, rows, sizes, weight, _key(request))


def _key(request: Request) -> Hashable:
    """Requests with equal keys can be computed together."""
    shapes = tuple((name, array.shape[1:]) for name, array in sorted(request.arrays.items()))
    return request.signature.name, shapes


def _size(array: np.ndarray) -> int:
    """Bytes of strings or numbers."""
    return sum(map(len, array.flat)) if array.dtype.kind == "O" else int(array.nbytes)


def _values(outputs: Arrays) -> int:
    return sum(output.size for output in outputs.values())


def _in_a_row(parts: Sequence[Arrays]) -> Arrays:
    """The outputs of a job's parts, one after the other, filled up to the largest of them."""
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate(_alike([part[name] for part in parts])) for name in parts[0]}


def _alike(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The arrays, as long as the longest along each axis but the first."""
    longest = [max(lengths) for lengths in zip(*(each.shape[1:] for each in arrays), strict=True)]
    filled = []
    for array in arrays:
        wanted = (len(array), *longest)
        if array.shape != wanted:
            larger = np.full(wanted, _FILLING.get(array.dtype.kind, 0), array.dtype)
            larger[tuple(map(slice, array.shape))] = array
            array = larger
        filled.append(array)
    return filled


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
