"""The server over real connections: addresses, errors, limits, metrics; nothing ends it."""

import http.client
import json
import random
import socket
import threading
import time

import pytest

from saved_models.serving import protocol
from saved_models.serving.batching import Batching
from saved_models.serving.limits import Limits, RequestError
from saved_models.serving.models import Model, Version
from tests.support import http_server
from tests.support.http_server import ECHO, echo, model_of, served

LIMITS = Limits(body_bytes=10_000, instances=4, text_bytes=1000, queue=4, receive_seconds=1)
PREDICT = "/v1/models/echo:predict"


@pytest.fixture(scope="module")
def client():
    with served(model_of(card={"type": "classifier"}), limits=LIMITS) as client:
        yield client


def test_predictions_by_row_and_by_column(client):
    answer = client.ask(PREDICT, {"instances": ["a", {"text": "schön"}]})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {"predictions": [{"said": "a", "size": 1}, {"said": "schön", "size": 6}]}
    answer = client.ask(PREDICT, {"inputs": {"text": ["a", "bc"]}})
    assert answer.json == {"outputs": {"said": ["a", "bc"], "size": [1, 2]}}


def test_versions_and_labels():
    versions = {
        number: Version(number, {ECHO.name: ECHO}, lambda _, arrays, number=number: {
            "said": arrays["text"], "size": arrays["text"] == str(number).encode()
        }, {})
        for number in (1, 2)
    }  # fmt: skip
    with served({"m": Model("m", versions, {"stable": 1})}) as client:
        for place, says in [("", 2), ("/versions/1", 1), ("/versions/2", 2), ("/labels/stable", 1)]:
            answer = client.ask(f"/v1/models/m{place}:predict", {"instances": [str(says)]})
            assert answer.json["predictions"][0]["size"] is True, place
            spec = client.ask(f"/v1/models/m{place}/metadata").json["model_spec"]
            assert spec["version"] == str(says)
        states = client.ask("/v1/models/m").json["model_version_status"]
        assert [state["version"] for state in states] == ["2", "1"]
        assert {state["state"] for state in states} == {"AVAILABLE"}
        (state,) = client.ask("/v1/models/m/labels/stable").json["model_version_status"]
        assert state["version"] == "1"
        for place in ("/versions/3", "/labels/canary", "/versions/x"):
            assert client.ask(f"/v1/models/m{place}").status == 404
            answer = client.ask(f"/v1/models/m{place}:predict", {"instances": ["a"]})
            assert answer.status == 404
            assert "m has no " in answer.json["error"]


def test_models_health_and_readiness(client):
    (model,) = client.ask("/v1/models").json["models"]
    assert model == {
        "name": "echo",
        "versions": [1],
        "labels": {},
        "inputs": {"serving_default": ["text"]},
        "card": {"type": "classifier"},
    }
    assert client.ask("/healthz").text == "ok\n"
    assert client.ask("/readyz").text == "ready\n"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (
            "/v1/models/other:predict",
            {"instances": ["a"]},
            404,
            'no model "other" here; there is echo',
        ),
        ("/v1/models/other", None, 404, 'no model "other"'),
        ("/v1/models/echo:classify", {"examples": []}, 404, 'must be predict, got "classify"'),
        (PREDICT, None, 405, "predict takes POST"),
        ("/v1/models/echo", {}, 405, "Method Not Allowed"),
        ("/v2", None, 404, 'GET "/v2": Not Found. Models are predicted with by POST'),
        ("/../../etc/passwd", None, 404, "Not Found"),
        (PREDICT, b"", 400, "must be JSON"),
        (PREDICT, b"\xff", 400, "must be UTF-8"),
        (PREDICT, b"[" * 9000, 400, "hundreds of levels deep"),
        (PREDICT, b'{"instances": [NaN]}', 400, "no number of JSON"),
        (PREDICT, {"instances": [1]}, 400, "must hold a string"),
        (PREDICT, {"instances": ["a"], "signature_name": "x"}, 400, "It has serving_default"),
        (PREDICT, {"instances": ["a"] * 5}, 413, "may hold 4 instances; got 5"),
        (PREDICT, {"instances": ["a" * 1001]}, 413, "may have 1000 bytes; got 1001"),
        (PREDICT, b" " * 10_001, 413, "A body may have 10000 bytes; more came"),
    ],
)
def test_refused(client, path, body, status, message):
    answer = client.ask(path, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json.keys() == {"error"}
    assert message in answer.json["error"]
    assert client.ask(PREDICT, {"instances": ["a"]}).status == 200


def test_a_body_without_end_is_not_read(client):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    sent = 0

    def endless():
        nonlocal sent
        while True:
            sent += 1000
            yield b" " * 1000

    with pytest.raises(ConnectionError):  # the server leaves
        connection.request("POST", PREDICT, endless())
    assert sent < 100_000_000
    connection.close()
    assert client.ask("/healthz").status == 200


def test_a_body_that_does_not_come_is_not_waited_for(client):
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    connection.putrequest("POST", PREDICT)
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"{")
    response = connection.getresponse()
    assert response.status == 408
    assert "within 1 s; 1 bytes came" in json.loads(response.read())["error"]
    connection.close()


def test_a_mistake_of_the_program_is_not_told_and_ends_nothing(client):
    answer = client.ask(PREDICT, {"instances": ["crash"]})
    assert answer.status == 500
    assert answer.json == {
        "error": "The server failed at this request, and has logged why. Ask whoever runs it."
    }
    assert client.ask(PREDICT, {"instances": ["a"]}).status == 200


def test_others_are_heard_while_an_answer_is_written(client, monkeypatch):
    encode = protocol.encode_answer
    begun, go = threading.Event(), threading.Event()

    def slow(request, outputs):
        begun.set()
        assert go.wait(10)
        return encode(request, outputs)

    monkeypatch.setattr(protocol, "encode_answer", slow)
    answers = []
    asks = threading.Thread(
        target=lambda: answers.append(client.ask(PREDICT, {"instances": ["a"]}))
    )
    asks.start()
    assert begun.wait(60)
    assert client.ask("/healthz").status == 200
    go.set()
    asks.join(60)
    assert answers[0].status == 200


def test_bytes_at_random_end_nothing(client):
    draw = random.Random(0)
    whole = (
        f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
        + '{"instances": ["a"]}\n'
    ).encode()
    for _ in range(100):
        sent = bytearray(whole)
        for _ in range(draw.randint(1, 8)):
            sent[draw.randrange(len(sent))] = draw.randrange(256)
        with socket.create_connection(("127.0.0.1", client.port), timeout=60) as raw:
            raw.sendall(sent[: draw.randint(1, len(sent))])
            raw.shutdown(socket.SHUT_WR)
            said = raw.recv(12)
            assert not said or said[9:10] in (b"2", b"4"), (said, bytes(sent))
    assert client.ask(PREDICT, {"instances": ["a"]}).status == 200


def test_a_full_queue_answers_429_and_the_server_stops_well():
    begun, go = threading.Event(), threading.Event()

    def slow(signature, arrays):
        begun.set()
        assert go.wait(60)
        return echo(signature, arrays)

    answers = []
    body = {"instances": ["a"] * 4}
    with served(model_of(slow), Batching(rows=4, queue=4), LIMITS) as client:
        threads = [
            threading.Thread(target=lambda: answers.append(client.ask(PREDICT, body)))
            for _ in range(2)
        ]
        threads[0].start()
        assert begun.wait(60)
        threads[1].start()
        while 'waiting_rows{model="echo",version="1"} 4.0' not in client.ask("/metrics").text:
            pass
        refused = client.ask(PREDICT, body)
        assert refused.status == 429
        assert refused.headers["retry-after"] == "1"
        assert "4 instances may wait" in refused.json["error"]
        threading.Timer(0.5, go.set).start()
    # The block has ended, and with it the server: both were answered nevertheless.
    for thread in threads:
        thread.join(60)
    assert [answer.status for answer in answers] == [200, 200]


def test_metrics():
    with served(model_of()) as client:
        client.ask(PREDICT, {"instances": ["a", "b", "c"]})
        client.ask(PREDICT, {"instances": [1]})
        client.ask("/v1/models/none:predict", {"instances": [1]})
        client.ask(PREDICT, {"instances": ["crash"]})
        answer = client.ask("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    for line in [
        'bert_tf_requests_total{model="echo",status="200"} 1.0',
        'bert_tf_requests_total{model="echo",status="400"} 1.0',
        'bert_tf_requests_total{model="echo",status="500"} 1.0',
        'bert_tf_requests_total{model="",status="404"} 1.0',
        'bert_tf_request_seconds_count{model="echo"} 3.0',
        'bert_tf_batch_rows_sum{model="echo",version="1"} 3.0',
        'bert_tf_batch_rows_count{model="echo",version="1"} 1.0',
        'bert_tf_waiting_rows{model="echo",version="1"} 0.0',
    ]:
        assert f"\n{line}\n" in answer.text


def test_many_clients_at_once(client):
    wrong = []

    def ask(number):
        for turn in range(20):
            text = f"{number}/{turn}"
            answer = client.ask(PREDICT, {"instances": [text]})
            if answer.status != 200 or answer.json["predictions"][0]["said"] != text:
                wrong.append((text, answer))

    # As many as may wait: none is refused.
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(LIMITS.queue)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_error_of_a_model_reaches_its_sender_alone():
    def picky(signature, arrays):
        if b"no" in arrays["text"]:
            raise RequestError("no is refused")
        return echo(signature, arrays)

    answers = {}
    with served(model_of(picky), Batching(seconds=0.3)) as client:

        def ask(text):
            answers[text] = client.ask(PREDICT, {"instances": [text]})

        threads = [threading.Thread(target=ask, args=(text,)) for text in ("yes", "no", "well")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {text: answer.status for text, answer in answers.items()} == {
        "yes": 200,
        "no": 400,
        "well": 200,
    }
    assert answers["no"].json == {"error": "no is refused"}


def test_answers_on_a_connection_that_stays_are_not_held_back(client):
    """Head and body are two packets; to wait for the first one's receipt would take 40 ms."""
    connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=60)
    seconds = []
    for _ in range(20):
        start = time.monotonic()
        connection.request("POST", PREDICT, b'{"instances": ["a"]}')
        assert connection.getresponse().read()
        seconds.append(time.monotonic() - start)
    connection.close()
    assert sorted(seconds)[4] < 0.03  # a busy machine may hold back the others


def test_port_that_is_taken_is_said(client):
    with pytest.raises(OSError, match=rf"127.0.0.1:{client.port}: .* Take another port"):
        http_server.bound("127.0.0.1", client.port)
    with pytest.raises(OSError, match="Take another port"):
        http_server.bound("127.0.0.1", 99999)
