"""By which names a server is called, and connections on which nothing comes."""

import http.client
import socket
import time

import pytest

from saved_models.serving.connections import Connection, names_of
from tests.support.http_server import model_of, served

OWN = {"localhost", "127.0.0.1", "[::1]"}


class Impatient(Connection):
    head_seconds = 0.3


@pytest.fixture(scope="module")
def client():
    with served(model_of(), names=names_of("Here", "127.0.0.1"), http=Impatient) as client:
        yield client


def test_names_are_those_of_the_machine_while_it_listens_to_itself():
    assert names_of("127.0.0.1", "127.0.0.1") == names_of("::1", "::1") == OWN
    assert names_of("Here", "127.0.0.1") == OWN | {"here"}
    assert names_of("0.0.0.0", "0.0.0.0") is names_of("::", "::") is None
    assert names_of("192.0.2.1", "192.0.2.1") is None


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8501", "[::1]", "[::1]:8501", "here:1"]
)
def test_its_own_names_are_answered(client, host):
    assert client.ask("/v1/models/echo:predict", {"instances": ["a"]}, Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org:80", "192.0.2.1", "[::2]", "localhost:x", ""]
)
def test_other_names_are_refused(client, host):
    for path, body in [("/", None), ("/v1/models/echo:predict", {"instances": ["a"]})]:
        answer = client.ask(path, body, Host=host)
        assert answer.status == 421
        assert (
            "must be called 127.0.0.1, [::1], here, localhost; "
            f'got the Host "{host}". Use one of them, or start it with another --host.'
        ) in answer.json["error"]


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: loc"])
def test_connections_without_a_whole_head_are_closed(client, sent):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as raw:
        raw.sendall(sent)
        assert raw.recv(1) == b""
    assert 0.3 <= time.monotonic() - start < 20


def test_connections_that_drip_are_closed_and_those_that_ask_are_not(client):
    asks = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
    asks.connect()
    same = asks.sock
    closed = False
    with socket.create_connection(("127.0.0.1", client.port), timeout=30) as drips:
        until = time.monotonic() + 20
        while not closed and time.monotonic() < until:
            try:
                drips.sendall(b"a")
            except OSError:
                closed = True
            asks.request("GET", "/healthz")
            assert asks.getresponse().read() == b"ok\n"
            time.sleep(0.05)
    assert closed
    assert asks.sock is same  # was not closed between
    asks.close()
