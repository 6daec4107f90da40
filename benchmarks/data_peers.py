"""Speed of the generator beside Model Garden's, and beside what Hugging Face's users do instead.

    python -m benchmarks.data_peers --text TEXT[.gz] --vocab VOCAB --megabytes 5 \\
      --torch_python venv/bin/python

All sides read the same slice, each in a fresh process on one core, in turn, round after round;
imports are not timed, nor is our compilation, which happens once on a machine. What is compared
are tokens a second: those that are no padding, in the examples of five passes. Hugging Face's side
tokenizes once (`tokenizers`), puts the tokens into rows of 128, and masks them five times with
DataCollatorForLanguageModeling, batch after batch, as training would; the interpreter of
`--torch_python` has torch and transformers.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.data_generation import MEGABYTE, write_slice

LENGTH, DUPE_FACTOR, BATCH = 128, 5, 256
OURS, GARDEN, FACE = "bert_tf", "Model Garden", "Hugging Face"


def ours(text: str, vocab: str, folder: str) -> tuple[int, float]:
    """Tokens, and seconds from text to records."""
    from bert_tf.inputs.records import pretraining_schema, read_records
    from data_prep.create_pretraining_data import Run, create_records
    from data_prep.options import GenerationOptions

    small = Run((__file__,), (f"{folder}/small",), vocab, True, GenerationOptions())
    create_records(small)  # compiles, or loads what was compiled before
    options = GenerationOptions(max_seq_length=LENGTH, dupe_factor=DUPE_FACTOR)
    start = time.perf_counter()
    create_records(Run((text,), (f"{folder}/records",), vocab, True, options))
    seconds = time.perf_counter() - start
    schema = pretraining_schema(LENGTH, options.max_predictions_per_seq)
    masks = (schema.decode(record)["input_mask"] for record in read_records(f"{folder}/records"))
    return sum(int(mask.sum()) for mask in masks), seconds


def garden(text: str, vocab: str, folder: str) -> tuple[int, float]:
    """The same of Model Garden's functions."""
    import random

    from official.nlp.data import create_pretraining_data as peer
    from official.nlp.tools import tokenization

    start = time.perf_counter()
    tokenizer = tokenization.FullTokenizer(vocab_file=vocab, do_lower_case=True)
    instances = peer.create_training_instances(
        [text],
        tokenizer,
        peer.get_processor_text_fn(False, True),
        LENGTH,
        DUPE_FACTOR,
        0.1,
        0.15,
        20,
        random.Random(12345),
    )
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        peer.write_instance_to_example_files(
            instances, tokenizer, LENGTH, 20, [f"{folder}/records"], False, False
        )
    seconds = time.perf_counter() - start
    return sum(len(instance.tokens) for instance in instances), seconds


def face(text: str, vocab: str, folder: str) -> tuple[int, float]:
    """Tokens and seconds of five passes of Hugging Face's collator over rows of full length."""
    del folder
    import torch
    from transformers import BertTokenizerFast, DataCollatorForLanguageModeling

    torch.set_num_threads(1)
    start = time.perf_counter()
    tokenizer = BertTokenizerFast(vocab, do_lower_case=True)
    lines = Path(text).read_text(encoding="utf-8").split("\n")
    found = tokenizer(lines, add_special_tokens=False, return_attention_mask=False)["input_ids"]
    flat = [token for line in found for token in line]
    first, last, room = tokenizer.cls_token_id, tokenizer.sep_token_id, LENGTH - 2
    rows = [{"input_ids": [first, *flat[at : at + room], last]} for at in range(0, len(flat), room)]
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    for _ in range(DUPE_FACTOR):
        for at in range(0, len(rows), BATCH):
            collate(rows[at : at + BATCH])
    tokens = DUPE_FACTOR * sum(len(row["input_ids"]) for row in rows)
    return tokens, time.perf_counter() - start


SIDES: dict[str, Callable[[str, str, str], tuple[int, float]]] = {
    OURS: ours,
    GARDEN: garden,
    FACE: face,
}


def rate_of(side: str, python: str, text: Path, vocab: str) -> float:
    """Tokens a second of a side, in a fresh process."""
    command = [python, "-m", "benchmarks.data_peers", "--side", side]
    command += ["--text", str(text), "--vocab", str(Path(vocab).resolve())]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    tokens, seconds = done.stdout.split()[-2:]
    return int(tokens) / float(seconds)


def main() -> None:
    """Prints tokens a second of each side, and the ratios; a child process runs one side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", required=True, help="text, a sentence a line; .gz too")
    parser.add_argument("--vocab", required=True, help="an uncased vocabulary")
    parser.add_argument("--megabytes", type=float, default=5.0, help="of text")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--torch_python", help="interpreter with torch and transformers")
    parser.add_argument("--side", choices=list(SIDES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.side:
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
            print(*SIDES[options.side](options.text, options.vocab, folder))
            return
        text = Path(folder, "slice.txt")
        size = write_slice(options.text, text, int(options.megabytes * MEGABYTE)) / MEGABYTE
        pythons = {OURS: sys.executable, GARDEN: sys.executable}
        if options.torch_python:
            pythons[FACE] = options.torch_python
        rates: dict[str, list[float]] = {side: [] for side in pythons}
        for _ in range(options.rounds):
            for side, python in pythons.items():
                rates[side].append(rate_of(side, python, text, options.vocab))
        print(f"{size:.1f} MB of text, one core, {options.rounds} rounds")
        for side, values in rates.items():
            ratio = statistics.median(a / b for a, b in zip(rates[OURS], values, strict=True))
            print(f"{side:14} {statistics.median(values):12,.0f} tokens/s, ours {ratio:6.1f}x")


if __name__ == "__main__":
    main()
