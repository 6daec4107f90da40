"""Contenders in their own processes, which hold still until they are told to go.

Each keeps its memory and compiled code between turns, so that turns can alternate: what disturbs
the machine for a minute disturbs all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

WARM_UP_STEPS = 2
# Environment of PyTorch, or its idle threads take turns that are not theirs.
PATIENT_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Case:
    """What every contender trains.

    Attributes:
        model: A name of `bert_tf.config.NAMED_CONFIGS`.
        batch_size: Sequences of a step.
        length: Tokens of a sequence.
        precision: float32 or bfloat16.
        threads: Processor threads of the contender.
        device: cpu or gpu.
        compiled: Whether a contender that can run with or without its compiler uses it.
        work: What is done, for contenders that do several things.
        data: File of examples, for contenders that take some.
    """

    model: str
    batch_size: int
    length: int
    precision: str
    threads: int
    device: str = "cpu"
    compiled: bool = True
    work: str = ""
    data: str = ""


@dataclass(frozen=True)
class Contender:
    """A training step that is ready to run.

    Attributes:
        steps: Runs a number of steps to their end; returns the last loss.
        matrix_product: Multiplies large matrices, to see what the device can do.
        matrix_flops: Floating-point operations of one call of it.
        versions: Packages and versions, for the report.
    """

    steps: Callable[[int], float]
    matrix_product: Callable[[], object]
    matrix_flops: float
    versions: str


def serve(build: Callable[[Case], Contender]) -> None:
    """The contender's side: builds, warms up, then answers orders until standard input ends.

    An order is a line: `go N` runs N steps, `peak` a matrix product. An answer is a line of JSON.
    """
    # Libraries print to standard output, which here speaks to the benchmark alone.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    contender = build(Case(**json.loads(sys.argv[1])))
    first_loss = contender.steps(1)
    contender.steps(WARM_UP_STEPS - 1)
    contender.matrix_product()
    answer(first_loss=first_loss, versions=contender.versions)
    for line in sys.stdin:
        order, *count = line.split()
        started = time.perf_counter()
        if order == "peak":
            contender.matrix_product()
            answer(flops=contender.matrix_flops / (time.perf_counter() - started))
        else:
            loss = contender.steps(int(count[0]))
            answer(seconds=(time.perf_counter() - started) / int(count[0]), loss=loss)


class Worker:
    """The benchmark's side of one contender.

    Args:
        module: The contender's module.
        case: What to train.
        python: Interpreter to run it with.
    """

    def __init__(self, module: str, case: Case, python: str = sys.executable) -> None:
        self.module = module
        # A file, not a pipe: nobody empties a pipe while the contender works.
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by `close`)
        quiet = {
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_ENABLE_ONEDNN_OPTS": "1",  # off on some CPUs, and faster there too
            **PATIENT_THREADS,
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # or the first takes the whole GPU
        }
        environment = {**quiet, **os.environ, "OMP_NUM_THREADS": str(case.threads)}
        self._process = subprocess.Popen(
            [python, "-m", module, json.dumps(asdict(case))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        self.ready = self._answer()

    def go(self, steps: int) -> dict[str, Any]:
        """Runs steps; returns `seconds` of one and the last `loss`."""
        return self._ask(f"go {steps}")

    def peak(self) -> float:
        """Floating-point operations a second of a large matrix product."""
        return float(self._ask("peak")["flops"])

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()
        self._errors.close()

    def _ask(self, order: str) -> dict[str, Any]:
        print(order, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            self._process.wait()
            self._errors.seek(0)
            errors = self._errors.read().strip().splitlines()
            raise RuntimeError(
                f"The contender {self.module} ended early: {errors[-1] if errors else 'no word'}. "
                "pip install -r benchmarks/requirements.txt installs what the contenders need."
            )
        return dict(json.loads(line))


def add_case_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments that describe a `Case`."""
    parser.add_argument("--model", default="bert-base", help="a size of bert_tf.config")
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--length", type=int, default=128, help="tokens of a sequence")
    parser.add_argument("--threads", type=int, default=2)
