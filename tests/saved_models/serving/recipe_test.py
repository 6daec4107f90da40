"""Every request of the recipe is sent, by REST and, where its messages are there, by gRPC."""

import json
import re
import shutil
from concurrent import futures
from urllib.parse import urlsplit

import pytest
import tensorflow as tf

from saved_models.serving import models
from saved_models.serving.model_config import read_model_config
from tests.support import servable, small
from tests.support.http_server import served

FOLDER = small.ROOT / "saved_models" / "serving"
RECIPE = (FOLDER / "README.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"^curl -d '(.*?)' \\\n  (http://localhost:8501\S+)$", RECIPE, re.MULTILINE)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The models of models.config, at the places that it names under another root."""
    root = tmp_path_factory.mktemp("models")
    first = servable.save("classifier", root / "reviews" / "1")
    shutil.copytree(first, root / "reviews" / "2")
    servable.save("squad", root / "questions" / "1")
    text = (FOLDER / "models.config").read_text(encoding="utf-8")
    assert text.count('"/models/') == 2
    config = root / "models.config"
    config.write_text(text.replace('"/models/', f'"{root}/'), encoding="utf-8")
    return models.load_models(read_model_config(config))


def test_every_request_is_found():
    assert len(REQUESTS) == RECIPE.count("curl -d") == 5


def test_requests_are_answered(loaded):
    answers = []
    with served(loaded) as client:
        for body, address in REQUESTS:
            answer = client.ask(urlsplit(address).path, json.loads(body))
            assert answer.status == 200, (body, answer)
            answers.append(answer.json)
    rows, columns, ids, examples, questions = answers
    assert [row["label"] for row in rows["predictions"]] == ["good", "bad"]
    assert columns["outputs"]["label"] == ["good", "bad"]
    assert ids == {"predictions": [[1.0, 2.0, 3.0]]}
    assert examples["predictions"][0]["label"] == "good"
    assert questions["predictions"][0]["text"] == "lamp"


def test_request_over_grpc(loaded):
    service = pytest.importorskip(
        "tensorflow_serving.apis.prediction_service_pb2_grpc",
        reason="tensorflow-serving-api, which has the messages of gRPC, is not installed",
    )
    import grpc
    from tensorflow_serving.apis.predict_pb2 import PredictResponse

    class Service(service.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802 - its name in the protocol
            spec = request.model_spec
            version = loaded[spec.name].version(label=spec.version_label)
            arrays = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
            response = PredictResponse()
            for name, value in version.run(spec.signature_name, arrays).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(futures.ThreadPoolExecutor(1))
    service.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    (code,) = re.findall(r"^```python\n(.*?)^```$", RECIPE, re.MULTILINE | re.DOTALL)
    names: dict = {}
    try:
        exec(
            compile(code.replace("localhost:8500", f"127.0.0.1:{port}"), "README.md", "exec"), names
        )
    finally:
        server.stop(None).wait()
    assert names["labels"].tolist() == [b"good", b"bad"]
