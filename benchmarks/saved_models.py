"""Speed of the exported encoder beside its peers, on the processor, in float32.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.saved_models
    python -m benchmarks.saved_models --python hugging_face=PYTHON onnx=PYTHON

All have the same random weights, which the number beside their versions shows: ours and Model
Garden's SavedModel through `serving_default`, Hugging Face's BertModel in eager PyTorch, and ONNX
Runtime with its transformer fusions. Ids go in and the pooled vectors come out as numpy arrays.
Each lives in its own process, and their turns alternate; a ratio is the median over the rounds of
our speed by theirs in the same round. Takes 10 minutes with bert-base.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.protocol import Case
from benchmarks.turns import Options, Result, measure
from bert_tf.config import named_config
from bert_tf.conversion import huggingface
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling.encoder import build_encoder

OURS = "bert_tf"
MODULES = {
    OURS: "benchmarks.peers.saved_ours",
    "model_garden": "benchmarks.peers.saved_garden",
    "hugging_face": "benchmarks.peers.saved_torch",
    "onnx": "benchmarks.peers.saved_onnx",
}
WANTED = {"model_garden": 1.0, "hugging_face": 1.3, "onnx": 0.9}
SHAPES = ("1x32", "1x128", "32x128")


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        model: A size of `bert_tf.config`.
        shapes: Batch sizes and lengths.
        peers: Of `MODULES`.
        pythons: Interpreter by contender, where it is not the benchmark's own.
        threads: Processor threads of a contender.
        rounds: Turns of each contender.
        seconds: Length of a turn.
    """

    model: str
    shapes: tuple[tuple[int, int], ...]
    peers: tuple[str, ...]
    pythons: dict[str, str]
    threads: int
    rounds: int
    seconds: float


def write_source(model: str, folder: Path) -> None:
    """Writes the random weights that all contenders load, as a Hugging Face folder.

    No bias is 0 and no scale 1, as after training: who optimises a graph would leave them out.
    """
    config = named_config(model)
    weights = named_variables(build_encoder(config, seed=1))
    vocab = folder.with_name("vocab.txt")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [f"w{number}" for number in range(config.vocab_size - len(words))]
    vocab.write_text("\n".join(words) + "\n", encoding="utf-8")
    tensors = {name: variable.numpy() for name, variable in weights.items()}
    draw = np.random.default_rng(1)
    for name, value in tensors.items():
        if value.ndim == 1:
            noise = draw.normal(scale=config.initializer_range, size=value.shape)
            tensors[name] = (value + noise).astype(np.float32)
    huggingface.write_folder(folder, config, tensors, vocab)


def report(case: Case, rounds: int, result: Result) -> None:
    """Prints one line for each contender."""
    print(
        f"{case.model}, batch {case.batch_size} x {case.length}, {case.precision}, "
        f"{case.threads} threads, {rounds} rounds, load average {os.getloadavg()[0]:.1f}"
    )
    for name in result.speeds:
        speed = result.median(name)
        line = f"{name:14} {case.batch_size / speed * 1e3:8.1f} ms  {speed:7.2f} sequences/s"
        if name != OURS:
            ratio = result.ratio(OURS, name)
            line += f"  ours is {ratio:.2f}x as fast (wanted: {WANTED[name]})"
        print(line, flush=True)


def run(plan: Plan) -> None:
    """Measures every shape and prints it."""
    modules = {name: MODULES[name] for name in (OURS, *plan.peers)}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        write_source(plan.model, source)
        for batch_size, length in plan.shapes:
            case = Case(plan.model, batch_size, length, "float32", plan.threads, data=str(source))
            options = Options(case, modules, plan.pythons, plan.rounds, plan.seconds)
            report(case, plan.rounds, measure(options))


def _shape(text: str) -> tuple[int, int]:
    batch_size, length = text.split("x")
    return int(batch_size), int(length)


def parse(arguments: list[str] | None = None) -> Plan:
    """Command line to a plan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="bert-base", help="a size of bert_tf.config")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="batch x length, such as 1x32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a turn")
    parser.add_argument("--peers", nargs="*", choices=list(WANTED), default=list(WANTED))
    parser.add_argument(
        "--python", nargs="*", default=[], metavar="PEER=PATH",
        help="interpreters of contenders that are installed elsewhere",
    )  # fmt: skip
    flags = parser.parse_args(arguments)
    return Plan(
        flags.model,
        tuple(map(_shape, flags.shapes)),
        tuple(flags.peers),
        dict(item.split("=", 1) for item in flags.python),
        flags.threads,
        flags.rounds,
        flags.seconds,
    )


if __name__ == "__main__":
    run(parse())
