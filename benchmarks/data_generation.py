"""Speed and memory of the generation of pretraining data, beside the rules written plainly.

    python benchmarks/data_generation.py --text TEXT[.gz] --vocab VOCAB --megabytes 20
    python benchmarks/data_generation.py --text TEXT[.gz] --vocab VOCAB --megabytes 20 --cores 2
    python benchmarks/data_generation.py --text TEXT[.gz] --vocab VOCAB --memory 20 100 400

A is data_prep.create_pretraining_data; B is tests/reference (the rules of the 2018 script on
lists of strings, tf.train.Example and TFRecordWriter), pinned to one core like A. Both generate
the same slice, each time in a fresh process, in turn; what is not timed is imports, and A's
compilation, which happens once on a machine. The outputs of one round are compared. With
`--cores 2`, A on two cores takes its turn as well.
"""

from __future__ import annotations

import argparse
import gzip
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

MEGABYTE = 1_000_000


def ours(text: str, vocab: str, output: str, dupe_factor: int) -> float:
    """Seconds that our generator takes, with a worker for each core that it may use."""
    from data_prep.create_pretraining_data import Run, create_records
    from data_prep.options import GenerationOptions

    workers = len(os.sched_getaffinity(0))
    options = GenerationOptions(dupe_factor=dupe_factor)
    with tempfile.TemporaryDirectory() as folder:
        # Compiles, or loads what was compiled before, also what deals many examples.
        other = Path(folder, "other")
        other.write_text("Σ\n" + f"{'é one ' * 12}\n\n" * 40_000, "utf-8")
        several = GenerationOptions(dupe_factor=5)
        create_records(Run((str(other),), (f"{folder}/r",), vocab, True, several, workers))
    start = time.perf_counter()
    create_records(Run((text,), (output,), vocab, True, options, workers))
    return time.perf_counter() - start


def plain(text: str, vocab: str, output: str, dupe_factor: int) -> float:
    """Seconds that the plain rules take."""
    import tensorflow as tf

    from bert_tf.tokenization import load_vocab
    from tests.reference import data_rules
    from tests.reference.tokenizer_rules import PlainTokenizer

    start = time.perf_counter()
    tokenizer = PlainTokenizer(load_vocab(vocab), True)
    rules = data_rules.Rules(dupe_factor=dupe_factor)
    with tf.io.TFRecordWriter(output) as writer:
        for values in data_rules.all_features([text], tokenizer, rules):
            example = tf.train.Example()
            for name, numbers in values.items():
                feature = example.features.feature[name]
                kind = feature.float_list if name == "masked_lm_weights" else feature.int64_list
                kind.value.extend(numbers)
            writer.write(example.SerializeToString())
    return time.perf_counter() - start


SIDES: dict[str, Callable[[str, str, str, int], float]] = {"A": ours, "B": plain}


def run_side(
    side: str, text: Path, vocab: str, output: Path, dupe_factor: int, cores: int = 1
) -> list[str]:
    """Seconds and peak memory in MB, as a fresh process prints them."""
    command = [sys.executable, str(Path(__file__).resolve()), "--side", side]
    command += ["--text", str(text), "--vocab", vocab, "--output", str(output)]
    command += ["--dupe_factor", str(dupe_factor), "--cores", str(cores)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout.split()


def write_slice(source: str, target: Path, size: int) -> int:
    """Lines of `source`, over and over, up to about `size` bytes; how many bytes were written."""
    opener = gzip.open if source.endswith(".gz") else open
    written = 0
    with target.open("wb") as out:
        while written < size:
            with opener(source, "rb") as lines:
                for line in lines:
                    out.write(line)
                    written += len(line)
                    if written >= size:
                        break
    return written


def same_records(left: Path, right: Path, dupe_factor: int) -> int:
    """How many records both files hold, where all are equal."""
    from bert_tf.inputs.records import pretraining_schema, read_records

    schema = pretraining_schema(128, 20)
    count = 0
    for a, b in zip(read_records(left), read_records(right), strict=True):
        first, second = schema.decode(a), schema.decode(b)
        for name, values in first.items():
            if (values != second[name]).any():
                raise SystemExit(f"record {count} differs in {name}")
        count += 1
    return count


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Interleaved rounds of A and B on one slice."""
    text = folder / "slice.txt"
    size = write_slice(options.text, text, int(options.megabytes * MEGABYTE)) / MEGABYTE
    turns = {"A": ("A", 1), "B": ("B", 1)}
    if options.cores > 1:
        turns[f"A on {options.cores} cores"] = ("A", options.cores)
    rates: dict[str, list[float]] = {name: [] for name in turns}
    outputs = {name: folder / f"{name}.tfrecord" for name in turns}
    for number in range(options.rounds):
        for name, (side, cores) in turns.items():
            outputs[name].unlink(missing_ok=True)  # giving up hundreds of MB takes its time, too
            seconds, _ = run_side(
                side, text, options.vocab, outputs[name], options.dupe_factor, cores
            )
            rates[name].append(size / float(seconds))
        figures = ", ".join(f"{name} {rate[-1]:.3f} MB/s" for name, rate in rates.items())
        print(f"round {number + 1}: {figures}", flush=True)
    records = same_records(outputs["A"], outputs["B"], options.dupe_factor)
    print(
        f"{size:.1f} MB of text, dupe factor {options.dupe_factor}, {records} equal records, "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    for name, rate in rates.items():
        ratio = statistics.median(a / b for a, b in zip(rate, rates["B"], strict=True))
        print(f"{name:12} {statistics.median(rate):8.3f} MB/s, {ratio:6.1f}x B")
    if options.cores > 1:
        *_, several = rates.values()
        ratio = statistics.median(a / b for a, b in zip(several, rates["A"], strict=True))
        print(f"{options.cores} cores are {ratio:.2f}x as fast as one")


def memory(options: argparse.Namespace, folder: Path) -> None:
    """Peak memory of our process on larger and larger slices."""
    for megabytes in options.memory:
        text = folder / "slice.txt"
        size = write_slice(options.text, text, int(megabytes * MEGABYTE)) / MEGABYTE
        seconds, peak = run_side(
            "A", text, options.vocab, folder / "A", options.dupe_factor, options.cores
        )
        print(
            f"{size:.1f} MB of text, dupe factor {options.dupe_factor}: peak {peak} MB, "
            f"{float(seconds):.1f} s, {size / float(seconds):.3f} MB/s",
            flush=True,
        )


def main() -> None:
    """Parses the command line; a child process runs one side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text", required=True, help="text, a sentence a line; .gz too")
    parser.add_argument("--vocab", required=True, help="an uncased vocabulary")
    parser.add_argument("--megabytes", type=float, default=2.0, help="of text")
    parser.add_argument("--dupe_factor", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="also time A on so many cores")
    parser.add_argument(
        "--memory", type=float, nargs="+", metavar="MB", help="peak memory on slices of these sizes"
    )
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--output", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
        run = SIDES[options.side]
        seconds = run(options.text, options.vocab, options.output, options.dupe_factor)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{seconds:.3f} {peak:.0f}")
        return
    with tempfile.TemporaryDirectory() as folder:
        (memory if options.memory else compare)(options, Path(folder))


if __name__ == "__main__":
    main()
