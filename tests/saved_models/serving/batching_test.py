"""Requests are computed together, answered apart, and one's error is not another's."""

import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from saved_models.serving import batching
from saved_models.serving.batching import Batcher, Batching
from saved_models.serving.limits import RequestError
from saved_models.serving.protocol import Request, Signature

SECONDS = 30


def request(*rows, signature="s", by=None):
    """A request of one input, whose rows are numbers or lists."""
    array = np.array(rows if by is None else by)
    return Request(Signature(signature, {}, {}), {"x": array}, len(rows) or 1, True)


class Model:
    """Doubles; holds its first batch back until it is let go."""

    def __init__(self, hold=True):
        self.batches = []
        self.begun, self.go = threading.Event(), threading.Event()
        if not hold:
            self.go.set()

    def __call__(self, signature, arrays):
        self.begun.set()
        assert self.go.wait(SECONDS)
        self.batches.append((signature, arrays["x"].tolist()))
        if (arrays["x"] == 13).any():
            raise RequestError("13 is refused")
        if signature == "total":
            return {"y": arrays["x"].sum()}
        return {"y": arrays["x"] * 2}


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def batcher(model):
    made = Batcher(model, Batching(rows=4, seconds=0, queue=8))
    made.submit(request(0))  # the model is busy with it while a test fills the queue
    assert model.begun.wait(SECONDS)
    yield made
    model.go.set()
    made.close()


def value(future):
    return future.result(SECONDS)["y"].tolist()


def test_requests_that_wait_are_computed_together(model, batcher):
    jobs = [batcher.submit(request(1)), batcher.submit(request(2, 3)), batcher.submit(request(4))]
    model.go.set()
    assert [value(job) for job in jobs] == [[2], [4, 6], [8]]
    assert model.batches == [("s", [0]), ("s", [1, 2, 3, 4])]


def test_other_signatures_and_shapes_go_apart_and_in_order(model, batcher):
    sent = [request(1), request(2, signature="t"), request([5, 6]), request(3)]
    jobs = [batcher.submit(each) for each in sent]
    model.go.set()
    assert [value(job) for job in jobs] == [[2], [4], [[10, 12]], [6]]
    assert model.batches[1:] == [("s", [1, 3]), ("t", [2]), ("s", [[5, 6]])]


def test_a_batch_has_no_more_rows_than_it_may(model, batcher):
    jobs = [batcher.submit(request(number, number)) for number in range(1, 4)]
    model.go.set()
    assert [value(job) for job in jobs] == [[2, 2], [4, 4], [6, 6]]
    assert model.batches[1:] == [("s", [1, 1, 2, 2]), ("s", [3, 3])]


def test_a_request_above_a_batch_is_computed_alone_in_parts(model, batcher):
    jobs = [batcher.submit(request(*range(6))), batcher.submit(request(1))]
    model.go.set()
    assert [value(job) for job in jobs] == [[0, 2, 4, 6, 8, 10], [2]]
    assert [len(rows) for _, rows in model.batches] == [1, 4, 2, 1]
    total = batcher.submit(request(*range(6), signature="total"))
    assert value(total) == 15  # not of a part
    with pytest.raises(RequestError, match="13 is refused"):
        batcher.submit(request(*range(9, 15))).result(SECONDS)


def test_parts_are_filled_up_as_the_tasks_do():
    def padded(signature, arrays):
        shape = (len(arrays["x"]), arrays["x"].max())
        names = {"text": (object, b"a"), "start": (np.int32, 7), "score": (np.float32, 0.5)}
        return {name: np.full(shape, value, dtype) for name, (dtype, value) in names.items()}

    batcher = Batcher(padded, Batching(rows=2, seconds=0))
    found = batcher.submit(request(1, 1, 3)).result(SECONDS)
    batcher.close()
    assert found["text"].tolist() == [[b"a", b"", b""]] * 2 + [[b"a"] * 3]
    assert found["start"].tolist() == [[7, -1, -1]] * 2 + [[7] * 3]
    assert found["score"].tolist() == [[0.5, 0, 0]] * 2 + [[0.5] * 3]


def test_rows_of_many_texts_or_bytes_are_computed_in_parts():
    model = Model(hold=False)

    def rows_of(arrays):
        batcher = Batcher(model, Batching(rows=4, seconds=0))
        model.batches.clear()
        job = Request(Signature("s", {}, {}), arrays, len(arrays["x"]), True)
        assert len(value(batcher.submit(job))) == len(arrays["x"])
        batcher.close()
        return [len(rows) for _, rows in model.batches]

    texts = np.full([5, 2], b"a", object)
    assert rows_of({"x": np.zeros(5), "texts": texts}) == [2, 2, 1]
    assert rows_of({"x": np.zeros([3, batching.BATCH_BYTES // 16])}) == [2, 1]


def test_large_answers_are_refused_before_all_of_them_are_computed():
    model = Model(hold=False)
    batcher = Batcher(model, Batching(rows=2, seconds=0), answer_values=4)
    assert value(batcher.submit(request(1, 2, 3, 4))) == [2, 4, 6, 8]
    for many in (request(*range(9)), request(by=[[1] * 5])):
        model.batches.clear()
        with pytest.raises(RequestError, match=r"may hold 4 values; .* has [56] or more") as caught:
            batcher.submit(many).result(SECONDS)
        assert caught.value.status == 413
        assert "raise --max_answer_values" in caught.value.message
        assert sum(len(rows) for _, rows in model.batches) <= 6
    batcher.close()


def test_long_texts_are_computed_apart():
    class Texts(Model):
        def __call__(self, signature, arrays):
            lengths = np.array([len(text) for text in arrays["x"]])
            super().__call__(signature, {"x": lengths})
            return {"y": lengths}

    model = Texts()
    batcher = Batcher(model, Batching(rows=4, seconds=0))
    texts = [b"", b"short", b"a" * (batching.BATCH_BYTES - 4), b"b", b"c"]
    jobs = []
    for text in texts:
        array = np.array([text], object)
        jobs.append(batcher.submit(Request(Signature("s", {}, {}), {"x": array}, 1, True)))
        assert model.begun.wait(SECONDS)
    model.go.set()
    assert [value(job) for job in jobs] == [[len(text)] for text in texts]
    batcher.close()
    assert [rows for _, rows in model.batches] == [[0], [5], [len(texts[2]), 1, 1]]


def test_an_error_is_told_to_who_made_it_alone(model, batcher):
    jobs = [batcher.submit(request(number)) for number in (1, 13, 2)]
    model.go.set()
    assert value(jobs[0]) == [2]
    assert value(jobs[2]) == [4]
    with pytest.raises(RequestError, match="13 is refused"):
        jobs[1].result(SECONDS)


def test_outputs_without_rows_are_computed_for_each(model, batcher):
    jobs = [batcher.submit(request(1, 2, signature="total")) for _ in range(2)]
    model.go.set()
    assert [value(job) for job in jobs] == [3, 3]


def test_inputs_without_rows_are_computed_alone(model, batcher):
    jobs = [batcher.submit(request(by=number)) for number in (1, 2)]
    model.go.set()
    assert [value(job) for job in jobs] == [2, 4]


def test_a_full_queue_refuses(model, batcher):
    jobs = [batcher.submit(request(1, 2, 3, 4)) for _ in range(2)]
    assert batcher.waiting() == 8
    with pytest.raises(RequestError, match=r"8 instances may wait .*; 8 do, and 1 came") as caught:
        batcher.submit(request(5))
    assert caught.value.status == 429
    model.go.set()
    assert [value(job) for job in jobs] == [[2, 4, 6, 8]] * 2
    assert value(batcher.submit(request(5))) == [10]  # there is room again


def test_a_cancelled_request_is_not_computed(model, batcher):
    gone, stays = batcher.submit(request(1)), batcher.submit(request(2))
    assert gone.cancel()
    model.go.set()
    assert value(stays) == [4]
    assert model.batches[1:] == [("s", [2])]
    with pytest.raises(CancelledError):
        gone.result(SECONDS)


def test_closing_answers_what_waits_and_refuses_more(model, batcher):
    waiting = batcher.submit(request(1))
    closing = threading.Thread(target=batcher.close)
    closing.start()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            batcher.submit(request(2)).cancel()
        except RequestError as error:
            refusal = error
            break
    model.go.set()
    closing.join(SECONDS)
    assert not closing.is_alive()
    assert refusal.status == 503
    assert "takes no more requests" in refusal.message
    assert value(waiting) == [2]


def test_a_request_waits_for_others_but_not_for_long():
    model, rows = Model(hold=False), []
    batcher = Batcher(model, Batching(rows=2, seconds=0.5), rows.append)
    start = time.monotonic()
    jobs = [batcher.submit(request(1)), batcher.submit(request(2))]
    assert [value(job) for job in jobs] == [[2], [4]]
    assert time.monotonic() - start < 0.4  # a full batch goes at once
    alone = time.monotonic()
    assert value(batcher.submit(request(3))) == [6]
    assert time.monotonic() - alone > 0.4
    batcher.close()
    assert rows == [2, 1]


def test_many_clients_get_their_own_answers():
    batcher = Batcher(Model(hold=False), Batching(rows=5, seconds=0.001))
    wrong = []

    def client(number):
        for turn in range(50):
            rows = [number * 1000 + 100 + turn + place for place in range(number % 3 + 1)]
            if value(batcher.submit(request(*rows))) != [2 * each for each in rows]:
                wrong.append((number, turn))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    batcher.close()
    assert not wrong


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "--max_batch_size must be at least 1, which is no batching; got 0."),
        ({"seconds": -0.001}, "--batch_wait_ms must be from 0 to 10000; got -1."),
        ({"seconds": float("nan")}, "got nan"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match="--") as caught:
        Batching(**options)
    assert message in str(caught.value)
