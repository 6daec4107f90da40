"""Throughput of `saved_models.serve` with batching beside the same server without.

    python -m benchmarks.server --model reviews_model --seconds 60

Two servers of one SavedModel, with --max_batch_size 32 and 1, each in a process of its own; clients
on as many connections, each of which sends a text of six to ten words when it has the answer to the
last one. The servers take turns of a few seconds, and only one works at a time. Clients and server
share the processors, so that the ratio is a lower bound of what the model gains: what HTTP and JSON
cost is paid for every request either way. Any answer but 200 with the right number of rows ends the
benchmark. The model may be of any kind that takes texts.
"""

import argparse
import contextlib
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

WORDS = [
    "the",
    "keeper",
    "climbed",
    "stairs",
    "of",
    "lighthouse",
    "lit",
    "lamp",
    "every",
    "evening",
]
BATCHED, ALONE = "batching", "batch 1"
_SECONDS_TO_START = 300


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
        model: Folder of the SavedModel.
        clients: Connections at a time.
        seconds: For each server, all turns together.
        turns: Of each server.
        batch_size: Of the server with batching.
    """

    model: Path
    clients: int = 8
    seconds: float = 60.0
    turns: int = 6
    batch_size: int = 32


@dataclass
class Measured:
    """What the clients of one server saw, over all its turns."""

    rates: list[float] = field(default_factory=list)  # requests a second, turn by turn
    latencies: list[float] = field(default_factory=list)  # seconds, request by request

    def line(self, name: str) -> str:
        """In words."""
        p50, p99 = np.percentile(self.latencies, [50, 99]) * 1000
        return (
            f"{name:10} {statistics.median(self.rates):8.1f} requests/s   p50 {p50:6.1f} ms   "
            f"p99 {p99:6.1f} ms   {len(self.latencies)} requests, no error"
        )


@contextlib.contextmanager
def started(model: Path, batch_size: int) -> Iterator[int]:
    """A server in a process; its port, once it is ready."""
    command = [sys.executable, "-m", "saved_models.serve", f"--model=model={model}", "--port=0"]
    command.append(f"--max_batch_size={batch_size}")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.search(r":(\d+)/$", line.strip())
        if not found:
            raise RuntimeError(f"saved_models.serve must say its port; it said {line!r}.")
        port = int(found[1])
        until = time.monotonic() + _SECONDS_TO_START
        while True:
            try:
                _get(port, "/readyz")
                break
            except ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def _ask(connection: http.client.HTTPConnection, path: str, body: bytes | None = None) -> bytes:
    connection.request("POST" if body else "GET", path, body)
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.client.OK:
        raise RuntimeError(f"The answer to {path} must be 200; it is {response.status}: {answer!r}")
    return answer


def _get(port: int, path: str) -> bytes:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        return _ask(connection, path)


def _inputs_of(port: int) -> list[str]:
    found = json.loads(_get(port, "/v1/models"))
    return found["models"][0]["inputs"]["serving_default"]


def _client(port: int, seed: int, until: float, inputs: Sequence[str], out: list[float]) -> None:
    """Asks until the time is over; its latencies, or what went wrong, into `out`."""
    draw = random.Random(seed)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with contextlib.closing(connection):
        while (start := time.monotonic()) < until:
            row = {name: " ".join(draw.choices(WORDS, k=draw.randint(6, 10))) for name in inputs}
            body = json.dumps({"instances": [row]}).encode()
            answer = json.loads(_ask(connection, "/v1/models/model:predict", body))
            if len(answer["predictions"]) != 1:
                raise RuntimeError(f"One row was asked for; the answer is {answer}")
            out.append(time.monotonic() - start)


def turn(port: int, clients: int, seconds: float, inputs: Sequence[str]) -> list[float]:
    """Latencies of all requests of a turn.

    Raises:
        RuntimeError: If a client got an error.
    """
    latencies: list[list[float]] = [[] for _ in range(clients)]
    errors: list[Exception] = []
    until = time.monotonic() + seconds

    def run(number: int) -> None:
        try:
            _client(port, number, until, inputs, latencies[number])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(f"{len(errors)} of {clients} clients failed: {errors[0]!r}")
    return [each for one in latencies for each in one]


def measure(options: Options) -> dict[str, Measured]:
    """Starts both servers and lets them take turns; prints what was seen."""
    seconds = options.seconds / options.turns
    found = {BATCHED: Measured(), ALONE: Measured()}
    with (
        started(options.model, options.batch_size) as batched,
        started(options.model, 1) as alone,
    ):
        ports = {BATCHED: batched, ALONE: alone}
        inputs = _inputs_of(batched)
        for port in ports.values():
            turn(port, options.clients, min(2.0, seconds), inputs)  # warms up, counts not
        for number in range(options.turns):
            for name in list(ports) if number % 2 == 0 else reversed(list(ports)):
                latencies = turn(ports[name], options.clients, seconds, inputs)
                found[name].rates.append(len(latencies) / seconds)
                found[name].latencies += latencies
    print(f"{options.model}: {options.clients} clients, {options.seconds:g} s each")
    for name, measured in found.items():
        print(measured.line(name))
    pairs = zip(found[BATCHED].rates, found[ALONE].rates, strict=True)
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"batching answers {ratio:.2f}x as many requests (median of {options.turns} turns)")
    return found


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="folder of a SavedModel")
    parser.add_argument("--clients", type=int, default=Options.clients)
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="for each server")
    parser.add_argument("--turns", type=int, default=Options.turns)
    parser.add_argument("--batch_size", type=int, default=Options.batch_size)
    return Options(**vars(parser.parse_args(arguments)))


if __name__ == "__main__":
    measure(parse())
