"""Speed of `FullTokenizer` beside the rules written plainly, on one thread.

    python -m benchmarks.tokenizer --vocab_file vocab.txt --text prose.txt.gz --megabytes 4

Both see the same lines in the same process, one after the other, round after round; the ratio is
of their medians. The cache starts cold in every round, so repeated text would flatter it: give a
text (plain or .gz) that is as long as the figure should speak for. Takes about 10 s per megabyte.
"""

import argparse
import gzip
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bert_tf.tokenization import FullTokenizer
from tests.reference.tokenizer_rules import PlainTokenizer

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """What to measure, and on what."""

    text: Path
    vocab_file: Path
    megabytes: float
    rounds: int
    do_lower_case: bool


def read_lines(path: Path, megabytes: float) -> tuple[list[str], float]:
    """The first lines of a file, and their size in megabytes (10**6 bytes of UTF-8)."""
    opener = gzip.open if path.suffix == ".gz" else open
    lines: list[str] = []
    size = 0
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            lines.append(line)
            size += len(line.encode("utf-8"))
            if size >= megabytes * 1e6:
                break
    if not size:
        raise ValueError(f"The benchmark needs text, but {path} is empty. Give another --text.")
    return lines, size / 1e6


def seconds(function: Callable[[str], object], lines: Sequence[str]) -> float:
    """Processor time of one pass over the lines, which other programs' load disturbs less."""
    start = time.process_time()
    for line in lines:
        function(line)
    return time.process_time() - start


def run(options: Options) -> dict[str, float]:
    """Prints MB/s of each and the ratios; returns the median MB/s."""
    lines, size = read_lines(options.text, options.megabytes)
    plain = PlainTokenizer(FullTokenizer(options.vocab_file).vocab, options.do_lower_case)
    speeds: dict[str, list[float]] = {}
    contenders: list[tuple[str, Callable[[FullTokenizer], Callable[[str], object]]]] = [
        ("plain tokenize", lambda _: plain.tokenize),
        ("tokenize", lambda ours: ours.tokenize),
        ("plain encode", lambda _: plain.encode),
        ("encode", lambda ours: ours.encode),
        ("tokenize_with_offsets", lambda ours: ours.tokenize_with_offsets),
    ]
    for _ in range(options.rounds):
        for name, method in contenders:
            fresh = FullTokenizer(options.vocab_file, options.do_lower_case)
            speeds.setdefault(name, []).append(size / seconds(method(fresh), lines))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    print(f"{options.text.name}: {size:.2f} MB, {len(lines)} lines, {options.rounds} rounds")
    for name, speed in medians.items():
        peer = medians["plain encode" if name == "encode" else "plain tokenize"]
        print(f"{name:22} {speed:7.2f} MB/s   {speed / peer:6.1f}x the plain rules")
    return medians


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Options from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, default=ROOT / "data_prep/sample_corpus.txt")
    parser.add_argument("--vocab_file", type=Path, default=ROOT / "tests/goldens/vocab.txt")
    parser.add_argument("--megabytes", type=float, default=4.0, help="read at most this much")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cased", action="store_true", help="without lower-casing")
    given = parser.parse_args(arguments)
    return Options(given.text, given.vocab_file, given.megabytes, given.rounds, not given.cased)


if __name__ == "__main__":
    run(parse())
