"""Items made ahead: their order, their errors, and how far ahead."""

import threading
import time

import pytest

from bert_tf.inputs.prefetch import prefetched


def test_all_items_come_in_order():
    assert list(prefetched(range(100))) == list(range(100))
    assert list(prefetched([None])) == [None]


def test_an_error_is_raised_after_the_items_before_it():
    def items():
        yield 1
        raise KeyError("broken")

    made = prefetched(items())
    assert next(made) == 1
    with pytest.raises(KeyError, match="broken"):
        next(made)


def test_no_more_than_asked_for_is_made_ahead():
    made = []

    def items():
        for number in range(50):
            made.append(number)
            yield number

    got = prefetched(items(), ahead=2)
    next(got)
    deadline = time.monotonic() + 10
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    assert len(made) == 4  # one in use, two waiting, one in hand
    got.close()


def test_a_consumer_that_stops_ends_the_thread():
    before = threading.active_count()
    got = prefetched(iter(int, 1))
    next(got)
    got.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before
