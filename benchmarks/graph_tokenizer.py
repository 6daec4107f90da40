"""Speed of the tokenizer in the graph beside tensorflow-text's, on one thread.

    python -m benchmarks.graph_tokenizer --vocab_file vocab.txt --text prose.txt.gz --megabytes 4

All three see the same batches of 1,024 lines in the same process, in turn, round after round; the
ratios are of their medians. tensorflow-text's tokenizers differ from the original's on thousands
of code points (`saved_models.graph_tokenizer`), and the fast one tells no words apart.
"""

import argparse
import gzip
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import tensorflow as tf
import tensorflow_text as tf_text

from saved_models.graph_tokenizer import GraphTokenizer

ROOT = Path(__file__).resolve().parent.parent
BATCH = 1024
OURS, SLOW, FAST = "bert_tf", "BertTokenizer", "FastBertTokenizer"


def batches(path: Path, megabytes: float) -> Iterator[list[bytes]]:
    """Whole batches of the first lines of a file, without their ends."""
    opener = gzip.open if path.suffix == ".gz" else open
    size = 0
    with opener(path, "rb") as file:
        lines = (line.rstrip(b"\r\n") for line in file)
        while size < megabytes * 1e6 and (batch := list(itertools.islice(lines, BATCH))):
            size += sum(map(len, batch))
            yield batch


def contenders(vocab_file: Path, lower: bool) -> dict[str, Callable[[tf.Tensor], object]]:
    """Each as a compiled function of strings [B]."""
    vocab = vocab_file.read_text(encoding="utf-8").split("\n")[:-1]
    ours = GraphTokenizer(vocab_file, lower)
    slow = tf_text.BertTokenizer(str(vocab_file), lower_case=lower, token_out_type=tf.int32)
    fast = tf_text.FastBertTokenizer(
        vocab=vocab, token_out_type=tf.int32, lower_case_nfd_strip_accents=lower
    )
    spec = [tf.TensorSpec([None], tf.string)]
    return {
        name: tf.function(tokenize, input_signature=spec, autograph=False)
        for name, tokenize in [(OURS, ours.tokenize), (SLOW, slow.tokenize), (FAST, fast.tokenize)]
    }


def seconds(tokenize: Callable[[tf.Tensor], object], lines: list[tf.Tensor]) -> float:
    """Processor time of one pass, which other programs' load disturbs less."""
    start = time.process_time()
    for batch in lines:
        tokenize(batch)
    return time.process_time() - start


def main() -> None:
    """Prints MB/s of each, and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, default=ROOT / "data_prep/sample_corpus.txt")
    parser.add_argument("--vocab_file", type=Path, default=ROOT / "tests/goldens/vocab.txt")
    parser.add_argument("--megabytes", type=float, default=4.0, help="read at most this much")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cased", action="store_true", help="without lower-casing")
    options = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    read = list(batches(options.text, options.megabytes))
    size = sum(len(line) for batch in read for line in batch) / 1e6
    lines = [tf.constant(batch) for batch in read]
    tokenizers = contenders(options.vocab_file, not options.cased)
    speeds: dict[str, list[float]] = {name: [] for name in tokenizers}
    for tokenize in tokenizers.values():
        tokenize(lines[0])  # traced once
    for _ in range(options.rounds):
        for name, tokenize in tokenizers.items():
            speeds[name].append(size / seconds(tokenize, lines))
    print(f"{options.text.name}: {size:.2f} MB, batches of {BATCH} lines, {options.rounds} rounds")
    ours = statistics.median(speeds[OURS])
    for name, values in speeds.items():
        median = statistics.median(values)
        print(f"{name:18} {median:7.2f} MB/s   ours is {ours / median:5.2f}x as fast")


if __name__ == "__main__":
    main()
