"""Makes the next items of an iterator while the last one is being used."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar, cast

Item = TypeVar("Item")
_SECONDS_TO_NOTICE = 0.1  # that the consumer has gone


class _End(Exception):  # noqa: N818  (travels where errors do)
    """There are no more items."""


def prefetched(items: Iterable[Item], ahead: int = 2) -> Iterator[Item]:
    """The items, made in a thread of their own, at most `ahead` of the one in use.

    An exception of `items` is raised where the item would have come. A consumer that stops early
    must close the iterator (or let go of it) for the thread to end.
    """
    waiting: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(maxsize=ahead)
    closed = threading.Event()

    def put(item: Item | None, error: BaseException | None = None) -> bool:
        while not closed.is_set():
            try:
                waiting.put((item, error), timeout=_SECONDS_TO_NOTICE)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None, _End())
        except BaseException as error:  # Raised again by the consumer.
            put(None, error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            item, error = waiting.get()
            if isinstance(error, _End):
                return
            if error is not None:
                raise error
            yield cast(Item, item)
    finally:
        closed.set()
