"""Items computed ahead: their order, their errors, how far ahead, and who computes."""

import gc
import threading
import time
import weakref

import pytest

from data_prep.ahead import in_order


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_results_come_in_order(workers):
    def slow_at_times(item):
        time.sleep(0.003 * (item % 3))
        return item * item

    assert list(in_order(workers, slow_at_times, range(40))) == [i * i for i in range(40)]
    assert list(in_order(workers, slow_at_times, [])) == []


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_error_comes_where_its_result_would(workers):
    def function(item):
        if item == 7:
            raise ValueError("seven")
        return item

    found = []
    with pytest.raises(ValueError, match="seven"):
        found.extend(in_order(workers, function, range(40)))
    assert found == list(range(7))


@pytest.mark.parametrize(("workers", "most"), [(1, 1), (2, 5), (5, 11)])
def test_no_more_is_taken_than_a_little_ahead(workers, most):
    taken = 0

    def items():
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    for done, _ in enumerate(in_order(workers, str, items())):
        assert taken <= done + most


@pytest.mark.parametrize("workers", [2, 3])
def test_the_consumer_computes_rather_than_waits(workers):
    """As many items as workers meet at a barrier: the consumer's thread must have one of them."""
    barrier = threading.Barrier(workers)

    def meet(item):
        barrier.wait(timeout=30)
        return threading.current_thread().name

    names = set(in_order(workers, meet, range(workers * 4)))
    assert len(names) == workers
    assert threading.current_thread().name in names


def test_what_nobody_wants_any_more_is_not_begun():
    begun = []

    def function(item):
        begun.append(item)
        time.sleep(0.05)
        return item

    results = in_order(2, function, range(100))
    next(results)
    results.close()
    after = len(begun)
    time.sleep(0.2)
    assert len(begun) == after < 10


def test_an_error_of_the_items_ends_all():
    begun = []

    def items():
        yield from range(3)
        raise OSError("no more")

    def function(item):
        begun.append(item)
        time.sleep(0.05)
        return item

    before = threading.active_count()
    with pytest.raises(OSError, match="no more"):
        list(in_order(2, function, items()))
    assert threading.active_count() == before
    assert len(begun) <= 3


def test_an_interruption_of_the_consumers_own_turn_is_not_kept_for_later():
    begun, main = [], threading.current_thread()

    def function(item):
        begun.append(item)
        if threading.current_thread() is main:
            raise KeyboardInterrupt
        time.sleep(0.05)
        return item

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        list(in_order(2, function, range(100)))
    assert threading.active_count() == before
    assert len(begun) < 10


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_keeps_no_item_alive(workers):
    class Item:
        pass

    def function(item):
        raise ValueError(f"not {type(item).__name__}")

    made = Item()
    gone = weakref.ref(made)
    gc.disable()
    try:
        with pytest.raises(ValueError, match="not Item"):
            next(in_order(workers, function, iter([made])))
        del made
        assert gone() is None
    finally:
        gc.enable()
