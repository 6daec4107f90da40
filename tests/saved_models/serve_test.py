"""The command: starts, answers, and ends well; what is served loads without it, too."""

import contextlib
import importlib.util
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.inputs.features import pad
from bert_tf.tokenization import FullTokenizer
from saved_models import serve
from saved_models.serving import models
from saved_models.serving.batching import Batching
from saved_models.serving.connections import Connection
from saved_models.serving.limits import Limits
from tests.support import servable, small
from tests.support.commands import run
from tests.support.http_server import Client

SECONDS = 120
TEXT = "The lamp of the lighthouse"


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    return servable.save_tokens(tmp_path_factory.mktemp("models") / "tokens")


@contextlib.contextmanager
def started(*arguments):
    """The command in a process, once it is ready."""
    command = [sys.executable, "-m", "saved_models.serve", *arguments, "--port=0"]
    process = subprocess.Popen(command, cwd=small.ROOT, stdout=subprocess.PIPE, text=True)
    try:
        client = Client(int(re.search(r":(\d+)/$", process.stdout.readline())[1]))
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            try:
                assert client.ask("/readyz").status == 200
                break
            except ConnectionError:
                time.sleep(0.05)
        yield process, client
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def expected_ids():
    tokenizer = FullTokenizer(small.VOCAB)
    ids = [tokenizer.vocab["[CLS]"], *tokenizer.encode(TEXT), tokenizer.vocab["[SEP]"]]
    return pad(ids, servable.LENGTH)


def test_answers_and_ends_when_all_are_answered(tokens, tmp_path):
    slow = servable.save_slow(tmp_path / "slow")
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "slow" base_path: "{slow}" '
        'model_platform: "tensorflow" version_labels { key: "stable" value: 1 } } }'
    )
    answers = []
    with started(f"--model=tokens={tokens}", f"--model_config_file={config}") as (process, client):
        found = client.ask("/v1/models/tokens:predict", {"instances": [TEXT]})
        assert found.json == {"predictions": [expected_ids()]}
        # Busy when the signal comes: one request is computed, another waits behind it.
        address = "/v1/models/slow/labels/stable:predict"
        threads = [
            threading.Thread(
                target=lambda: answers.append(client.ask(address, {"instances": ["2"]}))
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) in (-signal.SIGTERM, 0)
        for thread in threads:
            thread.join(SECONDS)
        with pytest.raises(ConnectionError):
            client.ask("/healthz")
    assert [answer.status for answer in answers] == [200, 200]


def test_refuses_what_it_cannot_serve(tmp_path):
    for flags, message in [
        ({}, "At least one model must be named: --model NAME=FOLDER."),
        ({"model": f"a={tmp_path}"}, "no saved_model.pb is in it"),
        ({"model": "a=b", "max_batch_size": 0}, "--max_batch_size must be at least 1"),
        ({"model": "a=b", "max_queue": 0}, "--max_queue must be at least 1; got 0"),
        ({"model_config_file": tmp_path / "none"}, "No such file or directory"),
    ]:
        with pytest.raises((ValueError, OSError), match=re.escape(message)):
            run("saved_models.serve", port=0, **flags)


@pytest.mark.parametrize(
    ("host", "said", "names"),
    [
        ("127.0.0.2", "http://127.0.0.2:", {"127.0.0.2", "127.0.0.1", "localhost", "[::1]"}),
        ("::1", "http://[::1]:", {"127.0.0.1", "localhost", "[::1]"}),
        ("0.0.0.0", "http://0.0.0.0:", None),
    ],
)
def test_flags_become_options(monkeypatch, host, said, names):
    try:
        serve.bound(host, 0).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    server, uvicorn_server = mock.MagicMock(), mock.MagicMock()
    addresses = []
    uvicorn_server.return_value.run.side_effect = lambda sockets: addresses.append(
        sockets[0].getsockname()[:2]
    )
    monkeypatch.setattr(serve, "Server", server)
    monkeypatch.setattr(serve.uvicorn, "Server", uvicorn_server)
    monkeypatch.setattr(serve, "load_models", lambda configs: {each.name: 1 for each in configs})
    numbers = {
        "instances": 3, "body_bytes": 4, "text_bytes": 5, "queue": 6, "axis": 7, "answer_values": 8,
    }  # fmt: skip
    flags = {f"max_{name}": value for name, value in numbers.items()}
    # Not capsys: it replaces sys.stderr too, which uvicorn's set-up of logging would close.
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        run("saved_models.serve", model="a=b", host=host, port=0, batch_wait_ms=12.5,
            max_batch_size=9, **flags)  # fmt: skip
    server.assert_called_once_with({"a": 1}, Batching(9, 0.0125, 6), Limits(**numbers))
    server.return_value.app.assert_called_once_with(names)
    ((address, port),) = addresses
    assert address == host
    assert printed.getvalue() == f"a: {said}{port}/\n"
    (config,) = uvicorn_server.call_args.args
    assert config.http is Connection


def test_says_what_is_not_installed():
    spec = importlib.util.spec_from_file_location("fresh", serve.__file__)
    with (
        mock.patch.dict(sys.modules, {"uvicorn": None}),
        pytest.raises(
            ModuleNotFoundError,
            match=r"^saved_models.serve needs starlette, uvicorn and prometheus-client, but "
            r"uvicorn is not installed. Install them: ",
        ),
    ):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


# The command line tool of TensorFlow, which knows no ops of other packages by itself.
CLI = "import tensorflow_text; from tensorflow.python.tools import saved_model_cli as c; c.main()"


def test_saved_model_cli_runs_the_signature(tokens, tmp_path):
    arguments = ["run", f"--dir={tokens}", "--tag_set=serve", "--signature_def=serving_default"]
    inputs = f"--input_exprs=text_a=[{json.dumps(TEXT)}]"
    done = subprocess.run(
        [sys.executable, "-c", CLI, *arguments, inputs, f"--outdir={tmp_path}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert np.load(tmp_path / "ids.npy").tolist() == [expected_ids()]


def test_saved_model_and_server_answer_alike(tokens):
    texts = np.array([TEXT.encode(), b""], object)
    alone = tf.saved_model.load(str(tokens)).signatures["serving_default"](tf.constant(texts))
    in_server = models.load_version(tokens, 1).run("serving_default", {"text_a": texts})
    assert in_server["ids"].tolist() == alone["ids"].numpy().tolist()
    assert in_server["ids"][0].tolist() == expected_ids()
