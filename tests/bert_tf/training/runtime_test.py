"""What a process runs on: how `auto` is resolved, and what is refused."""

import json
import socket
from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from bert_tf.training import runtime
from bert_tf.training.runtime import RuntimeOptions
from tests.support import small


def resolve(**changes) -> str:
    return runtime._resolve(RuntimeOptions(**changes))


def set_workers(monkeypatch, count: int) -> None:
    cluster = {"cluster": {"worker": [f"host:{number}" for number in range(count)]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))


def test_auto_takes_what_there_is(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert resolve() == "one_device"
    assert resolve(logical_cpus=2) == "mirrored"
    assert resolve(tpu="local") == "tpu"
    assert resolve(distribution_strategy="mirrored") == "mirrored"
    set_workers(monkeypatch, 1)
    assert resolve() == "one_device"
    set_workers(monkeypatch, 2)
    assert resolve() == "multi_worker_mirrored"
    assert resolve(tpu="local") == "tpu"
    assert resolve(distribution_strategy="one_device") == "one_device"


def test_auto_mirrors_over_several_gpus(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for count, name in ((1, "one_device"), (2, "mirrored")):
        gpus = [object()] * count
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind, gpus=gpus: gpus)
        assert resolve() == name


@pytest.mark.parametrize("text", ["{", "[1]", '{"cluster": 3}'])
def test_a_cluster_that_cannot_be_read_is_refused(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r'TF_CONFIG must be a JSON object such as \{"cluster"'):
        resolve()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"distribution_strategy": "magic"}, "must be one of auto, one_device, .*'magic'"),
        ({"precision": "int8"}, "--precision must be one of float32, bfloat16, float16"),
        ({"seed": -1}, r"--seed must be in \[0, 2\*\*32\), but is -1"),
        ({"seed": 2**32}, r"--seed must be in .*, but is 4294967296\. Use another"),
        ({"logical_cpus": 0}, "--logical_cpus must be at least 1, but is 0"),
        ({"distribution_strategy": "tpu"}, "--distribution_strategy=tpu needs --tpu"),
        ({"distribution_strategy": "mirrored", "tpu": "x"}, "--tpu=x runs under .* Drop one"),
    ],
)
def test_options_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        RuntimeOptions(**changes)


def test_another_backend_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND is 'jax'"):
        runtime.start(RuntimeOptions())


def test_precision_sets_the_policy_and_the_line_says_it(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with small.started(RuntimeOptions(precision="bfloat16", jit_compile=True)) as running:
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert running.describe() == "one_device, 1 replica, bfloat16, XLA"
        assert (running.replicas, running.is_chief) == (1, True)
    with small.started(RuntimeOptions(logical_cpus=2)) as running:
        assert running.describe() == "mirrored, 2 replicas, float32, graph"


def numbers(context):
    return tf.data.Dataset.range(6 * (context.input_pipeline_id + 1))


def test_each_replica_gets_the_next_batch():
    with small.started(RuntimeOptions(distribution_strategy="one_device")) as running:
        iterator = running.iterate(numbers)
        assert isinstance(iterator, tf.data.Iterator)  # no strategy's, whose end is waited for
        assert [int(batch) for batch in iterator] == list(range(6))
    with small.started(RuntimeOptions(logical_cpus=2)) as running:
        steps = [running.strategy.experimental_local_results(b) for b in running.iterate(numbers)]
        assert [[int(batch) for batch in step] for step in steps] == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize(
    ("jobs", "task", "chief"),
    [
        (("worker",), ("worker", 0), True),
        (("worker",), ("worker", 1), False),
        (("chief", "worker"), ("chief", 0), True),
        (("chief", "worker"), ("worker", 0), False),
    ],
)
def test_one_worker_is_the_chief(monkeypatch, jobs, task, chief):
    set_workers(monkeypatch, 2)
    resolver = SimpleNamespace(
        cluster_spec=lambda: tf.train.ClusterSpec({job: ["a:1", "b:1"] for job in jobs}),
        task_type=task[0],
        task_id=task[1],
    )
    strategy = SimpleNamespace(num_replicas_in_sync=2, cluster_resolver=resolver)
    monkeypatch.setattr(tf.distribute, "MultiWorkerMirroredStrategy", lambda: strategy)
    assert runtime.start(RuntimeOptions()).is_chief == chief


# --- TPU: the resolver is a stand-in, for want of hardware ---


@pytest.fixture
def tpu(monkeypatch):
    """Records what TensorFlow is asked for; a listening socket stands for the TPU."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"grpc://127.0.0.1:{server.getsockname()[1]}"

        def resolver(tpu, zone, project):
            calls.append((tpu, zone, project))
            return SimpleNamespace(master=lambda: "" if tpu == "local" else address)

        resolvers = tf.distribute.cluster_resolver
        monkeypatch.setattr(resolvers, "TPUClusterResolver", resolver)
        monkeypatch.setattr(
            tf.config, "experimental_connect_to_cluster", lambda _: calls.append("connect")
        )
        monkeypatch.setattr(
            tf.tpu.experimental, "initialize_tpu_system", lambda _: calls.append("initialize")
        )
        strategy = SimpleNamespace(num_replicas_in_sync=8, cluster_resolver=None)
        monkeypatch.setattr(tf.distribute, "TPUStrategy", lambda _: strategy)
        yield calls


@pytest.mark.parametrize("name", ["my-tpu", "local", "grpc://10.0.0.2:8470"])
def test_tpu_is_connected_to_unless_local(tpu, name):
    options = RuntimeOptions(tpu=name, tpu_zone="z", gcp_project="p", num_tpu_cores=8)
    running = runtime.start(options)
    connect = [] if name == "local" else ["connect"]
    assert tpu == [(name, "z", "p"), *connect, "initialize"]
    assert (running.name, running.replicas, running.jit_compile) == ("tpu", 8, False)
    assert not running.compile_chains  # TPUs compile the whole


def test_number_of_cores_is_checked(tpu):
    with pytest.raises(ValueError, match="--num_tpu_cores is 32, but the TPU x has 8"):
        runtime.start(RuntimeOptions(tpu="x", num_tpu_cores=32))


@pytest.mark.parametrize("address", ["grpc://127.0.0.1:1", "grpc://127.0.0.1", "grpc://[::1]:1"])
def test_a_tpu_that_is_not_there_is_named_at_once(monkeypatch, address):
    monkeypatch.setattr(runtime, "SECONDS_TO_REACH_A_TPU", 1.0)
    with pytest.raises(ValueError, match=r"No TPU could be reached by --tpu=grpc.* --tpu takes a"):
        runtime.start(RuntimeOptions(tpu=address))
