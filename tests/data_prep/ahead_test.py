"""Items computed ahead: their order, their errors, how far ahead, and who computes."""

import threading
import time

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
