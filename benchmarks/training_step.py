"""Speed of a whole training step of BERT beside its peers, on the processor.

    pip install -r benchmarks/requirements.txt
    python -m benchmarks.training_step --precision float32
    python -m benchmarks.training_step --precision bfloat16
    python -m benchmarks.training_step --model bert-tiny --batch_size 32

A step is forward and backward pass with dropout, clipping and the update: ours as
`run_pretraining` runs it, Model Garden's BertPretrainerV2 in graph mode, Hugging Face's
BertForPreTraining in eager PyTorch. Each lives in its own process, and their turns alternate; a
ratio is the median over the rounds of our speed by theirs in the same round. Takes 5 minutes with
bert-base. The matrix peak is the fastest product of two large matrices that any contender
reached in this run.
"""

import argparse
import os

from benchmarks.peers.batches import training_flops
from benchmarks.peers.protocol import Case, add_case_arguments
from benchmarks.turns import Options, Result, measure
from bert_tf.config import named_config

OURS = "bert_tf"
MODULES = {
    OURS: "benchmarks.peers.ours",
    "model_garden": "benchmarks.peers.model_garden",
    "hugging_face": "benchmarks.peers.hugging_face",
}


def report(options: Options, result: Result) -> None:
    """Prints one line for each contender."""
    case = options.case
    flops = training_flops(named_config(case.model), case.length)
    print(
        f"{case.model}, batch {case.batch_size} x {case.length}, {case.precision}, "
        f"{case.threads} threads, {options.rounds} rounds, load average {os.getloadavg()[0]:.1f}, "
        f"matrix peak {result.peak / 1e9:.0f} GFLOP/s"
    )
    for name in result.speeds:
        speed = result.median(name)
        line = f"{name:14} {speed:8.2f} sequences/s  {speed * flops / result.peak:4.0%} of the peak"
        if name != OURS:
            line += f"  ours is {result.ratio(OURS, name):.2f}x as fast"
        print(line)


def parse(arguments: list[str] | None = None) -> Options:
    """Command line to options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_case_arguments(parser)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a turn")
    parser.add_argument(
        "--peers", nargs="*", choices=[name for name in MODULES if name != OURS],
        default=[name for name in MODULES if name != OURS],
    )  # fmt: skip
    parser.add_argument(
        "--python", nargs="*", default=[], metavar="PEER=PATH",
        help="interpreters of contenders that are installed elsewhere",
    )  # fmt: skip
    flags = parser.parse_args(arguments)
    case = Case(flags.model, flags.batch_size, flags.length, flags.precision, flags.threads)
    pythons = dict(item.split("=", 1) for item in flags.python)
    modules = {name: MODULES[name] for name in (OURS, *flags.peers)}
    return Options(case, modules, pythons, flags.rounds, flags.seconds)


def main() -> None:
    """Measures and prints."""
    options = parse()
    report(options, measure(options))


if __name__ == "__main__":
    main()
