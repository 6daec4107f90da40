"""A real server in a thread of the test, and requests to it."""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import uvicorn

from saved_models.serve import bound
from saved_models.serving.app import Server
from saved_models.serving.batching import Batching
from saved_models.serving.connections import Connection
from saved_models.serving.limits import Limits
from saved_models.serving.models import Model, Version
from saved_models.serving.protocol import Signature
from saved_models.serving.tensors import Spec

SECONDS = 60


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Client:
    """Requests to a port of this machine, each on a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> Answer:
        """`body`: bytes as they are, anything else as JSON."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request(method or ("GET" if body is None else "POST"), path, sent, headers)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read().decode())


@contextlib.contextmanager
def served(
    models: dict[str, Model],
    batching: Batching | None = None,
    limits: Limits | None = None,
    names: frozenset[str] | None = None,
    http: type[Connection] = Connection,
) -> Iterator[Client]:
    """Serves models until the block ends."""
    app = Server(models, batching or Batching(), limits or Limits()).app(names)
    with bound("127.0.0.1", 0) as sock:
        config = uvicorn.Config(
            app, http=http, log_level="critical", timeout_graceful_shutdown=SECONDS
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            until = time.monotonic() + SECONDS
            while not server.started and time.monotonic() < until:
                time.sleep(0.01)
            yield Client(sock.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


ECHO = Signature(
    "serving_default",
    {"text": Spec("object", (None,))},
    {"said": Spec("object", (None,)), "size": Spec("int64", (None,))},
)


def echo(signature: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Says what it was told, and how long that is; `crash` is a mistake of the program."""
    del signature
    if b"crash" in arrays["text"]:
        raise ZeroDivisionError("a mistake of the program")
    return {"said": arrays["text"], "size": np.array([len(each) for each in arrays["text"]])}


def model_of(run: Any = echo, name: str = "echo", **changes: Any) -> dict[str, Model]:
    """A model without TensorFlow, by name."""
    version = Version(1, {ECHO.name: ECHO}, run, changes.pop("card", {}))
    return {name: Model(name, changes.pop("versions", {1: version}), changes.pop("labels", {}))}
