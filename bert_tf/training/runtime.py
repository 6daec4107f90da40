"""The runtime of a training process: devices, strategy, precision, seeds.

This module is the only one that sets global state of TensorFlow and Keras.
"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from bert_tf.inputs.source import Batch

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker_mirrored", "tpu")
PRECISIONS = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
}
SECONDS_TO_REACH_A_TPU = 20.0
_LENGTHS = 4  # a row of registers is filled, and little is padded
_COMPILED_LENGTHS = 32  # every length is compiled once


@dataclass(frozen=True)
class RuntimeOptions:
    """What a process runs on.

    Attributes:
        distribution_strategy: One of `STRATEGIES`; "auto" takes what the machine has.
        precision: A key of `PRECISIONS`; variables and losses are float32 in all of them.
        jit_compile: Whether to compile forward and backward pass with XLA; None leaves it to the
            devices: compiled on GPUs, not on CPUs, where graphs are faster. TPUs always compile.
        seed: Seed of initialisation, dropout and data order.
        deterministic: Whether to use deterministic kernels only, so that runs are bit-identical.
        tpu: Name, grpc address or "local"; None for no TPU.
        tpu_zone: Zone of a named TPU.
        gcp_project: Project of a named TPU.
        num_tpu_cores: Cores that `tpu` must have; None for any.
        logical_cpus: Number of devices to split the CPU into, to try replicas without hardware.
    """

    distribution_strategy: str = "auto"
    precision: str = "float32"
    jit_compile: bool | None = None
    seed: int = 1
    deterministic: bool = False
    tpu: str | None = None
    tpu_zone: str | None = None
    gcp_project: str | None = None
    num_tpu_cores: int | None = None
    logical_cpus: int = 1

    def __post_init__(self) -> None:
        if self.distribution_strategy not in STRATEGIES:
            raise ValueError(
                f"--distribution_strategy must be one of {', '.join(STRATEGIES)}, but is "
                f"{self.distribution_strategy!r}."
            )
        if self.precision not in PRECISIONS:
            raise ValueError(
                f"--precision must be one of {', '.join(PRECISIONS)}, but is {self.precision!r}."
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"--seed must be in [0, 2**32), but is {self.seed}. Use another seed.")
        if self.logical_cpus < 1:
            raise ValueError(f"--logical_cpus must be at least 1, but is {self.logical_cpus}.")
        if self.distribution_strategy == "tpu" and not self.tpu:
            raise ValueError(
                "--distribution_strategy=tpu needs --tpu (a name, a grpc:// address or local), "
                "but none is given."
            )
        if self.tpu and self.distribution_strategy not in ("auto", "tpu"):
            raise ValueError(
                f"--tpu={self.tpu} runs under --distribution_strategy=tpu, but "
                f"{self.distribution_strategy} was asked for. Drop one of the two."
            )


@dataclass(frozen=True)
class Runtime:
    """A started runtime.

    Attributes:
        strategy: The strategy to train under.
        options: What it was started with.
        name: Strategy as resolved from "auto".
        jit_compile: Whether to compile forward and backward pass.
        is_chief: Whether this process writes files.
    """

    strategy: tf.distribute.Strategy
    options: RuntimeOptions
    name: str
    jit_compile: bool
    is_chief: bool

    @property
    def replicas(self) -> int:
        """Number of replicas over all workers."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def compile_chains(self) -> bool:
        """Whether to compile chains of element-wise operations, as nothing compiles the whole."""
        return not self.jit_compile and self.name != "tpu"

    @property
    def length_multiple(self) -> int:
        """What lengths of batches are rounded up to; 0 for one length (`batches.TableSource`)."""
        if self.name == "tpu":  # A TPU compiles every shape: one only.
            return 0
        return _COMPILED_LENGTHS if self.jit_compile else _LENGTHS

    def iterate(
        self, dataset_of: Callable[[tf.distribute.InputContext], tf.data.Dataset]
    ) -> Iterator[Batch]:
        """An iterator of batches for `strategy.run`, from the dataset of each input pipeline.

        On one device it is the dataset's own, whose batches are copied to a GPU in the step. A
        strategy puts another pipeline behind it, which copies ahead, but with a thread that
        TensorFlow tunes it by; who lets go of the iterator may wait for that thread as long as the
        iterator was used (see `source.prefetch`).
        """
        if self.name == "one_device":
            return iter(dataset_of(tf.distribute.InputContext()))
        return iter(self.strategy.distribute_datasets_from_function(dataset_of))

    def describe(self) -> str:
        """One line for the person at the terminal."""
        replicas = f"{self.replicas} replica{'s' if self.replicas > 1 else ''}"
        compiled = "XLA" if self.jit_compile else "graph"
        return f"{self.name}, {replicas}, {self.options.precision}, {compiled}"


def start(options: RuntimeOptions) -> Runtime:
    """Configures TensorFlow and Keras and creates the strategy; call it once, first of all.

    Raises:
        ValueError: If the machine lacks what was asked for.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Training runs on Keras' TensorFlow backend, but KERAS_BACKEND is "
            f"{keras.backend.backend()!r}. Unset it, or set it to tensorflow."
        )
    if options.logical_cpus > 1:
        devices = [tf.config.LogicalDeviceConfiguration()] * options.logical_cpus
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, devices)
    name = _resolve(options)
    strategy = _create(name, options)
    keras.utils.set_random_seed(options.seed)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(PRECISIONS[options.precision])
    jit = options.jit_compile
    if jit is None:
        jit = name != "tpu" and bool(tf.config.list_physical_devices("GPU"))
    is_chief = name != "multi_worker_mirrored" or _is_chief(strategy.cluster_resolver)
    return Runtime(strategy, options, name, jit_compile=jit and name != "tpu", is_chief=is_chief)


def _workers() -> int:
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        return sum(len(cluster.get(role, ())) for role in ("chief", "worker"))
    except (ValueError, AttributeError) as error:
        raise ValueError(
            'TF_CONFIG must be a JSON object such as {"cluster": {"worker": ["host:port", ...]}, '
            f'"task": {{"type": "worker", "index": 0}}}}, but cannot be read: {error}'
        ) from None


def _is_chief(resolver: tf.distribute.cluster_resolver.ClusterResolver) -> bool:
    """Whether this is the worker that writes: the job `chief` if there is one, else the first."""
    if "chief" in resolver.cluster_spec().jobs:
        return bool(resolver.task_type == "chief")
    return bool(resolver.task_id == 0)


def _resolve(options: RuntimeOptions) -> str:
    if options.distribution_strategy != "auto":
        return options.distribution_strategy
    if options.tpu:
        return "tpu"
    if _workers() > 1:
        return "multi_worker_mirrored"
    gpus = len(tf.config.list_physical_devices("GPU"))
    return "mirrored" if gpus > 1 or options.logical_cpus > 1 else "one_device"


def _create(name: str, options: RuntimeOptions) -> tf.distribute.Strategy:
    if name == "tpu":
        return _tpu_strategy(options)
    if name == "multi_worker_mirrored":
        if _workers() < 1:
            raise ValueError(
                "--distribution_strategy=multi_worker_mirrored needs the cluster in the "
                "environment variable TF_CONFIG, but it is empty."
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "mirrored" and options.logical_cpus > 1:
        return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(options.logical_cpus)])
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    device = "GPU:0" if tf.config.list_physical_devices("GPU") else "CPU:0"
    return tf.distribute.OneDeviceStrategy(device)


def _knock(address: str) -> None:
    """Connects to grpc://host:port once; TensorFlow waits minutes for a host that is not there."""
    host, _, port = address.removeprefix("grpc://").rpartition(":")
    target = (host.strip("[]"), int(port))
    with socket.create_connection(target, timeout=SECONDS_TO_REACH_A_TPU):
        pass


def _tpu_strategy(options: RuntimeOptions) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=options.tpu, zone=options.tpu_zone, project=options.gcp_project
        )
        if options.tpu != "local":
            _knock(resolver.master())
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # Whatever cloud client or runtime raises: the user sees one line.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"No TPU could be reached by --tpu={options.tpu} ({reason}). --tpu takes a name with "
            "--tpu_zone and --gcp_project, an address grpc://host:port, or local on a TPU VM."
        ) from None
    strategy = tf.distribute.TPUStrategy(resolver)
    cores = int(strategy.num_replicas_in_sync)
    if options.num_tpu_cores is not None and cores != options.num_tpu_cores:
        raise ValueError(
            f"--num_tpu_cores is {options.num_tpu_cores}, but the TPU {options.tpu} has {cores}."
        )
    return strategy
