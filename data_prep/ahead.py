"""Work that goes on ahead of its consumer, in order and within bounds."""

from __future__ import annotations

import collections
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Pending = collections.deque[tuple[_Item, Future[_Result]]]

_AHEAD = 2  # items of each worker


def in_order(
    workers: int, function: Callable[[_Item], _Result], items: Iterable[_Item]
) -> Generator[_Result, None, None]:
    """`function` of each item, as `map`, computed ahead by threads.

    The consumer's thread is one of the workers: rather than wait for a result it computes one. As
    many threads as cores are then at work all the time, none of which has to be woken; a thread
    that is woken often lands on a core that is busy.

    Args:
      workers: how many items are computed at once; 1 for no other thread.
      function: of one item.
      items: read a little ahead of the results.

    No other thread is left when the iterator is closed or has raised: whoever lends it files that
    are closed afterwards should see to that with `contextlib.closing`.
    """
    if workers == 1:
        yield from map(function, items)
        return
    pool, pending = ThreadPoolExecutor(workers - 1), _Pending[_Item, _Result]()
    try:
        for item in items:
            pending.append((item, pool.submit(function, item)))
            if len(pending) > workers * _AHEAD:
                yield _oldest(function, pending)
        while pending:
            yield _oldest(function, pending)
    finally:
        pool.shutdown(cancel_futures=True)


def _oldest(function: Callable[[_Item], _Result], pending: _Pending[_Item, _Result]) -> _Result:
    """The result of the oldest item, with the help of this thread as long as it takes."""
    place = 0
    while not pending[0][1].done() and place < len(pending):
        item, future = pending[place]
        if future.cancel():  # no other thread has begun with it
            pending[place] = item, _computed(function, item)
        place += 1
    return pending.popleft()[1].result()


def _computed(function: Callable[[_Item], _Result], item: _Item) -> Future[_Result]:
    future = Future[_Result]()
    try:
        future.set_result(function(item))
    except Exception as error:
        future.set_exception(error)
    try:
        return future
    finally:
        del future, item  # an error knows this frame, which should not keep it and the item alive
