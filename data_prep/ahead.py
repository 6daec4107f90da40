"""Work that goes on ahead of its consumer, in order and within bounds."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_AHEAD = 2  # items of each worker


def in_order(
    pool: Executor, workers: int, function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Iterator[_Result]:
    """`function` of each item, as `Executor.map`, but items are taken only as results are.

    Args:
      pool: computes.
      workers: how many it computes at once.
      function: of one item.
      items: read a little ahead of the results.
    """
    pending: collections.deque[Future[_Result]] = collections.deque()
    for item in items:
        pending.append(pool.submit(function, item))
        if len(pending) > workers * _AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()
