"""Speed of a pretraining step on a GPU: the Keras model on the JAX backend beside PyTorch.

    pip install -r benchmarks/requirements.txt  # with jax[cuda12] in place of jax, for a GPU
    python -m benchmarks.gpu_step --length 128 --batch_size 256
    python -m benchmarks.gpu_step --length 512 --batch_size 64
    python -m benchmarks.gpu_step --model bert-tiny --device cpu --batch_size 4 --length 32

A step is forward and backward pass with dropout, clipping and the update. The contenders live in
processes of their own on the same device, and their turns alternate; the ratio is the median over
the rounds. Takes about 3 minutes; TensorFlow need not be installed.
"""

import argparse
from dataclasses import replace

from benchmarks.peers.batches import training_flops
from benchmarks.peers.protocol import Case, add_case_arguments
from benchmarks.turns import Options, Result, measure
from bert_tf.config import named_config

OURS, PEER = "bert_tf", "pytorch"
MODULES = {OURS: "benchmarks.peers.jax_step", PEER: "benchmarks.peers.torch_step"}


def report(options: Options, result: Result) -> None:
    """Prints one line for each contender."""
    case = options.case
    flops = training_flops(named_config(case.model), case.length)
    print(
        f"{case.model}, batch {case.batch_size} x {case.length}, {case.precision}, {case.device}, "
        f"{options.rounds} rounds, matrix peak {result.peak / 1e12:.2f} TFLOP/s"
    )
    for name in result.speeds:
        speed = result.median(name)
        line = f"{name:10} {speed * case.length:12,.0f} tokens/s  "
        line += f"{speed * flops / result.peak:4.0%} of the peak"
        if name != OURS:
            line += f"  ours is {result.ratio(OURS, name):.2f}x as fast"
        print(line)


def parse(arguments: list[str] | None = None) -> Options:
    """Command line to options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_case_arguments(parser)
    parser.set_defaults(batch_size=256)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a turn")
    parser.add_argument("--no_compile", action="store_true", help="run PyTorch without compiler")
    parser.add_argument("--no_peer", action="store_true", help="measure ours alone")
    flags = parser.parse_args(arguments)
    case = Case(flags.model, flags.batch_size, flags.length, flags.precision, flags.threads)
    case = replace(case, device=flags.device, compiled=not flags.no_compile)
    modules = {name: MODULES[name] for name in MODULES if name == OURS or not flags.no_peer}
    return Options(case, modules, {}, flags.rounds, flags.seconds)


def main() -> None:
    """Measures and prints."""
    options = parse()
    report(options, measure(options))


if __name__ == "__main__":
    main()
