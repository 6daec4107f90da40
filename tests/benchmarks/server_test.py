"""The clients of the server's benchmark: they count what was answered, and stop at an error."""

import numpy as np
import pytest

from benchmarks import server
from saved_models.serving.limits import RequestError
from tests.support.http_server import echo, model_of, served


def test_latencies_are_those_of_answered_requests():
    rows = []

    def counting(signature, arrays):
        rows.append(len(arrays["text"]))
        return echo(signature, arrays)

    with served(model_of(counting, "model")) as client:
        inputs = server._inputs_of(client.port)
        latencies = server.turn(client.port, clients=3, seconds=0.5, inputs=inputs)
    assert inputs == ["text"]
    assert len(latencies) == sum(rows) > 3
    assert all(0 < each < 10 for each in latencies)


def test_an_error_ends_it():
    def refuses(signature, arrays):
        raise RequestError("no")

    with (
        served(model_of(refuses, "model")) as client,
        pytest.raises(RuntimeError, match=r"2 of 2 clients failed: .*must be 200; it is 400"),
    ):
        server.turn(client.port, clients=2, seconds=0.5, inputs=["text"])


def test_an_answer_of_another_size_ends_it():
    def drops(signature, arrays):
        return {"said": np.concatenate([arrays["text"]] * 2)}

    with (
        served(model_of(drops, "model")) as client,
        pytest.raises(RuntimeError, match="clients failed"),
    ):
        server.turn(client.port, clients=1, seconds=0.5, inputs=["text"])


def test_line():
    measured = server.Measured([10.0, 30.0, 20.0], [0.010] * 99 + [0.5])
    assert measured.line("batching") == (
        "batching       20.0 requests/s   p50   10.0 ms   p99   14.9 ms   100 requests, no error"
    )
