"""Planted mistakes in text, vocabularies and what is done with them, and the line that each gives.

`python -m tests.bad_corpora` prints the table. Cases run as those of `bad_inputs`: through the
command's own flags and `main`, to what a person at the terminal reads.
"""

import gzip
import io
import json
import lzma
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import zstandard

from bert_tf import extend_vocab, flags
from tests import bad_inputs
from tests.bad_inputs import Case, Commands, Flags, World
from tests.support import small

TEXT = (small.GOLDENS / "corpus.txt").read_bytes()
GENERATOR, VOCABULARY, EXTENDING = "create_pretraining_data", "build_vocab", "extend_vocab"


def extend_flags(world: World) -> Flags:
    return {
        "bert_config_file": small.CONFIG,
        "init_checkpoint": small.CHECKPOINT,
        "vocab_file": small.VOCAB,
        "words": "radome",
        "output_dir": world.folder / "new",
    }


COMMANDS: Commands = {
    **bad_inputs.COMMANDS,
    EXTENDING: (lambda: flags.launch(extend_vocab.define_flags, extend_vocab.main), extend_flags),
}


def read(name: str, data: bytes, **others: Any) -> Any:
    """Plants a file as the input."""

    def plant(world: World) -> Flags:
        (world.folder / name).write_bytes(data)
        return {"input_file": world.folder / name, **others}

    return plant


def vocabulary(data: bytes) -> Any:
    def plant(world: World) -> Flags:
        (world.folder / "v.txt").write_bytes(data)
        return {"vocab_file": world.folder / "v.txt"}

    return plant


def _parquet(**columns: list[Any]) -> bytes:
    made = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(columns), made)
    return made.getvalue()


def _zip() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("../../../../../../tmp/planted-by-bad-corpora", TEXT)
    return made.getvalue()


def _tar() -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("/tmp/planted-by-bad-corpora")
        entry.size = len(TEXT)
        archive.addfile(entry, io.BytesIO(TEXT))
    return made.getvalue()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def _below_a_file(world: World) -> Flags:
    return {"output_file": world.text("file", "x") / "made.tfrecord"}


def _input_as_output(world: World) -> Flags:
    path = world.folder / "same.txt"
    path.write_bytes(TEXT)
    return {"input_file": path, "output_file": f"{world.folder}/./same.txt"}


def _there(world: World) -> Flags:
    (world.folder / "new").mkdir()
    return {}


WORDS = small.VOCAB.read_bytes()
ROW = json.dumps({"text": "The sea is near."}).encode() + b"\n"
WORK = {"second_input_file": small.RECORDS, "second_max_seq_length": 64}

CASES = (
    Case(
        "a second pattern that matches nothing",
        lambda w: {"input_file": f"{small.GOLDENS / 'corpus.txt'},{w.folder}/none*.txt"},
        r"No file matches '.*/none\*\.txt'",
        GENERATOR,
    ),
    Case("an empty corpus", read("a.txt", b""), r"The input files hold no text\. Each", GENERATOR),
    Case(
        "an empty corpus to learn from",
        read("a.txt", b"\n \n"),
        r"The input files hold no words to learn from\.",
        VOCABULARY,
    ),
    Case("packed blank lines", read("a.gz", gzip.compress(b"\n \n")), r"hold no text\.", GENERATOR),
    Case(
        "rows without text",
        read("a.jsonl", b'{"text": ""}\n{"text": null}\n'),
        r"hold no text\.",
        GENERATOR,
    ),
    Case(
        "UTF-16",
        read("a.txt", TEXT.decode().encode("utf-16")),
        r"a\.txt: is UTF-16 or UTF-32 text\. Convert it to UTF-8, e\.g\. with iconv",
        GENERATOR,
    ),
    Case(
        "UTF-16 without a mark",
        read("a.txt", TEXT.decode().encode("utf-16-be")),
        r"a\.txt: (49|50) % of its first bytes are NUL, so it is no UTF-8 text\. Convert it",
        VOCABULARY,
    ),
    Case(
        "gzip cut short",
        read("a.txt.gz", gzip.compress(TEXT)[:-30]),
        r"a\.txt\.gz: the gzip data is cut or damaged .*Copy it again\.",
        GENERATOR,
    ),
    Case(
        "zstd cut short",
        read("a.txt.zst", _zstd(TEXT)[:-30]),
        r"the zstd data is cut or damaged \(it ends in the middle\)\. Copy it again",
        VOCABULARY,
    ),
    Case(
        "a flipped byte in zstd",
        read("a.txt.zst", _flipped(_zstd(TEXT), 900)),
        r"doesn't match checksum\)\. Copy it again|the zstd data is cut or damaged",
        GENERATOR,
    ),
    Case(
        "Parquet cut short",
        read("a.parquet", _parquet(text=["a"] * 99)[:-20]),
        r"a\.parquet: cannot be read as Parquet \(.*\)\. Copy it again, or leave it out",
        GENERATOR,
    ),
    Case(
        "Parquet without the column",
        read("a.parquet", _parquet(body=["a"], n=[1])),
        r"the column 'text' must hold strings, .* has body \(string\), n \(int64\)\. Name the col",
        VOCABULARY,
    ),
    Case(
        "text read as Parquet",
        read("a.txt", TEXT, input_format="parquet"),
        r"a\.txt: cannot be read as Parquet",
        GENERATOR,
    ),
    Case(
        "a broken line of JSON",
        read("a.jsonl", ROW + b'{"text": "The se\n'),
        r"a\.jsonl, line 2: is no JSON \(.*\)\. JSON lines hold one object a line",
        GENERATOR,
    ),
    Case(
        "one list of all rows",
        read("a.json", b'["The sea", "The lamp"]\n'),
        r"line 1: must be a JSON object with the text under 'text', but is a list",
        GENERATOR,
    ),
    Case(
        "JSON with another field",
        read("a.jsonl", b'{"body": "The sea", "n": 1}\n'),
        r"'text' must be a string, but the line has body \(str\), n \(int\)\. Name the field",
        VOCABULARY,
    ),
    Case(
        "text read as JSON",
        read("a.txt", TEXT, input_format="json"),
        r"a\.txt, line 1: is no JSON",
        GENERATOR,
    ),
    Case(
        "a zip archive whose names lead out of the folder",
        read("a.zip", _zip()),
        r"a\.zip: is a zip archive\. Unpack it, and name the files that it holds",
        GENERATOR,
    ),
    Case(
        "a tar.gz with an absolute name",
        read("a.tar.gz", _tar()),
        r"a\.tar\.gz: is a tar archive\. Unpack it",
        GENERATOR,
    ),
    Case(
        "another compression",
        read("a.xz", lzma.compress(TEXT)),
        r"a\.xz: is compressed with xz\. Unpack it, or pack it with gzip or zstd",
        VOCABULARY,
    ),
    Case(
        "a file name with a line end and a colour",
        read("a\n\x1b[31m.gz", gzip.compress(TEXT)[:-30]),
        r"a\\n\\x1b\[31m\.gz: the gzip data is cut or damaged",
        GENERATOR,
    ),
    Case(
        "a vocabulary without [MASK]",
        vocabulary(WORDS.replace(b"[MASK]\n", b"[MOSK]\n")),
        r"The vocabulary needs .*\[MASK\] missing among its 484 tokens",
        GENERATOR,
    ),
    Case("an empty vocabulary", vocabulary(b""), r"must hold \[UNK\]", GENERATOR),
    Case(
        "a vocabulary that is not UTF-8",
        vocabulary(WORDS + b"caf\xe9\n"),
        r"line 485 of .*v\.txt holds the byte 0xe9",
        GENERATOR,
    ),
    Case(
        "no such vocabulary",
        lambda w: {"vocab_file": w.folder / "none.txt"},
        r"there is no file .*none\.txt",
        GENERATOR,
    ),
    Case(
        "an output that is a folder",
        lambda w: {"output_file": w.folder},
        r"is a directory, but records go to one file\. Name a file in it",
        GENERATOR,
    ),
    Case(
        "a vocabulary in place of a folder",
        lambda w: {"output_file": w.folder},
        r"is a directory\. Name a file in it",
        VOCABULARY,
    ),
    Case("an output below a file", _below_a_file, r"Not a directory|File exists", GENERATOR),
    Case(
        "one output for both phases",
        lambda w: {"second_output_file": w.folder / "made.tfrecord"},
        r"The outputs name .*made\.tfrecord more than once\. Give each its own name",
        GENERATOR,
    ),
    Case(
        "an output that is the input under another name",
        _input_as_output,
        r"is input and output at once",
        VOCABULARY,
    ),
    Case(
        "weights for other corpora",
        lambda w: {"weights": "1,2"},
        r"--weights must have one number for each of the 1 patterns of --input_file; got 2",
        GENERATOR,
    ),
    Case(
        "weights that are no numbers",
        lambda w: {"weights": "much"},
        r"--weights must be numbers; got much",
        VOCABULARY,
    ),
    Case(
        "a negative weight",
        lambda w: {"weights": "-1"},
        r"--weights must be from 0 to 1000 and not all 0; got -1\.0",
        GENERATOR,
    ),
    Case(
        "an exponent above 1",
        lambda w: {"sampling_exponent": 7},
        r"--sampling_exponent must be from 0 to 1; got 7\.0",
        GENERATOR,
    ),
    Case(
        "shares above 1",
        lambda w: {"random_share": 0.3},
        r"above 1 together \(the rest keeps its tokens\); got 0\.8 and 0\.3",
        GENERATOR,
    ),
    Case(
        "runs longer than all predictions",
        lambda w: {"max_ngram": 21},
        r"--max_ngram must be from 1 to --max_predictions_per_seq \(20\); got 21",
        GENERATOR,
    ),
    Case(
        "an unknown way to pair",
        lambda w: {"next_sentence": "maybe"},
        r"next_sentence.*maybe.*one of.*random\|none\|order",
        GENERATOR,
    ),
    Case(
        "noise above 1",
        lambda w: {"truncate_share": 2},
        r"--truncate_share must be from 0 to 1; got 2\.0",
        GENERATOR,
    ),
    Case(
        "a language by its name",
        lambda w: {"sentence_splitter": "English"},
        r"--sentence_splitter takes the code of a language .* such as en; got 'English'",
        GENERATOR,
    ),
    Case(
        "a new word that the tokenizer splits",
        lambda w: {"words": "covid-19"},
        r"must be one word to the tokenizer, but 'covid-19' becomes covid - 19",
        EXTENDING,
    ),
    Case(
        "no new word",
        lambda w: {"words": "the"},
        r"There is no new word: the vocabulary holds the already",
        EXTENDING,
    ),
    Case("a folder that is there", _there, r"new is there already\. Name a new", EXTENDING),
    Case(
        "words for another checkpoint",
        vocabulary(WORDS + b"more\n"),
        r"has 484 rows, but the vocabulary has 485 tokens\. Use the vocab\.txt",
        EXTENDING,
    ),
    Case(
        "masks anew without a vocabulary",
        lambda w: {"dynamic_masking": True},
        r"--dynamic_masking needs --vocab_file: the vocabulary that the records were made with",
    ),
    Case(
        "masks anew with a larger vocabulary",
        lambda w: {"dynamic_masking": True, **vocabulary(WORDS + b"more\n")(w)},
        r"has ids up to 484, but the config's vocab_size is 484",
    ),
    Case(
        "a first phase without steps",
        lambda w: {**WORK, "first_phase": 0.1},
        r"--first_phase must leave at least one step to each phase, but is 0\.1 of 2 steps",
    ),
    Case(
        "a second phase of another length",
        lambda w: {**WORK, "second_max_seq_length": 128, "first_phase": 0.5},
        r"Feature 'input_ids' must hold 128 values; the record has 64",
    ),
)

# What is read all the same, as the original would, and what is said of it.
SAID = {
    "not UTF-8": (
        read("a.txt", TEXT + b"caf\xe9\n"), r"1 bytes of the input are not UTF-8 and were left out"
    ),
    "NUL bytes": (read("a.txt", TEXT + b"a\0b\n"), r"1 NUL bytes, which were left out"),
    "a line of 10 MB": (
        read("a.txt", b"the sea is near " * 640_000, max_predictions_per_seq=1),
        r"1 lines of more than 1 MB: lines should be sentences, or paragraphs with --sentence_spl",
    ),
    "one document": (
        read("a.txt", b"The sea.\nThe lamp.\n"), r"The input is one document: its random next"
    ),
    "a vocabulary with repetitions": (
        vocabulary(WORDS + b"the\n[MASK]\n"), r"2 lines of .*v\.txt repeat a token; the last one"
    ),
}  # fmt: skip


def small_file(folder: Path) -> Path:
    """Where a run's input lies in tests of full disks."""
    path = folder / "text.txt"
    path.write_bytes(TEXT * 20)
    return path


if __name__ == "__main__":
    bad_inputs.print_table(CASES, COMMANDS)
