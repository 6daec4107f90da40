"""The generator: equal to the goldens and to the plain rules; all or nothing; clear refusals."""

import gzip
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bert_tf.inputs import example_proto
from bert_tf.inputs.records import (
    RecordError,
    RecordWriter,
    count_records,
    match_files,
    pretraining_schema,
    read_manifest,
    read_records,
)
from bert_tf.tokenization import load_vocab
from data_prep import documents, examples
from data_prep.create_pretraining_data import Run, create_records
from data_prep.options import DataError, GenerationOptions
from tests.reference import data_rules
from tests.reference.tokenizer_rules import PlainTokenizer

ROOT = Path(__file__).parents[2]
SMALL = ROOT / "tests" / "goldens"
SHARED = ROOT.parent / "shared"
CORPUS, VOCAB = SMALL / "corpus.txt", SMALL / "vocab.txt"


def generate(folder, inputs, outputs, vocab=VOCAB, lower=True, workers=1, **options):
    """Runs the generator; the paths of its outputs."""
    paths = tuple(str(folder / name) for name in outputs)
    run = Run(
        tuple(match_files([str(name) for name in inputs])), paths, str(vocab), lower,
        GenerationOptions(**options), workers,
    )  # fmt: skip
    counts = create_records(run)
    assert counts == {path: count_records(path) for path in paths}
    return paths


def assert_same_records(expected, actual):
    expected, actual = list(expected), list(actual)
    assert len(actual) == len(expected)
    for index, (wanted, got) in enumerate(zip(expected, actual, strict=True)):
        wanted, got = example_proto.parse_example(wanted), example_proto.parse_example(got)
        assert got.keys() == wanted.keys()
        for name, (kind, values) in wanted.items():
            assert got[name][0] == kind
            np.testing.assert_array_equal(got[name][1], values, f"record {index}: {name}")


SMALL_RUNS = {
    ("default",): {"dupe_factor": 5},
    ("wwm",): {"dupe_factor": 2, "do_whole_word_mask": True, "random_seed": 7},
    ("cased_a", "cased_b"): {
        "dupe_factor": 2, "lower": False, "short_seq_prob": 0.5, "masked_lm_prob": 0.25,
    },
}  # fmt: skip


@pytest.mark.parametrize("names", SMALL_RUNS, ids="+".join)
def test_small_goldens(tmp_path, names):
    options = {"max_seq_length": 64, "max_predictions_per_seq": 10, **SMALL_RUNS[names]}
    paths = generate(tmp_path, [CORPUS], names, **options)
    for name, path in zip(names, paths, strict=True):
        expected = read_records(SMALL / "records" / f"{name}.tfrecord")
        assert_same_records(expected, read_records(path))


LARGE_RUNS = {
    "default": (["wiki_en"], "uncased_30522", {"dupe_factor": 5}),
    "wwm": (["wiki_en"], "uncased_30522", {"dupe_factor": 2, "do_whole_word_mask": True}),
    "cased64": (
        ["wiki_en_b"], "cased_28996",
        {"lower": False, "max_seq_length": 64, "max_predictions_per_seq": 10,
         "dupe_factor": 3, "random_seed": 7},
    ),
    "long512": (
        ["wiki_en"], "uncased_30522",
        {"max_seq_length": 512, "max_predictions_per_seq": 77, "short_seq_prob": 0.5,
         "dupe_factor": 2},
    ),
    "multi": (["xquad_multi"], "multi_cased_119547", {"lower": False, "dupe_factor": 2}),
    "files23": (
        ["wiki_en", "wiki_en_b"], "uncased_30522",
        {"dupe_factor": 1, "masked_lm_prob": 0.3, "max_predictions_per_seq": 40},
    ),
}  # fmt: skip


@pytest.mark.skipif(
    not (SHARED / "goldens" / "records").is_dir(), reason="the large goldens are not here"
)
@pytest.mark.parametrize("name", LARGE_RUNS)
def test_large_goldens(tmp_path, name):
    corpora, vocab, options = LARGE_RUNS[name]
    expected = sorted((SHARED / "goldens" / "records").glob(f"{name}.*.tfrecord.gz"))
    paths = generate(
        tmp_path,
        [SHARED / "goldens" / "corpora" / f"{corpus}.txt" for corpus in corpora],
        [path.name for path in expected],
        SHARED / "data" / "vocab" / f"{vocab}_vocab.txt",
        **options,
    )
    assert expected
    for packed, path in zip(expected, paths, strict=True):
        plain = tmp_path / "expected"
        plain.write_bytes(gzip.decompress(packed.read_bytes()))
        assert_same_records(read_records(plain), read_records(path))


LINES = [line for line in CORPUS.read_text(encoding="utf-8").splitlines() if line]


def random_text(rng: random.Random) -> str:
    """Documents of one to six lines: prose, single words, no tokens, odd line ends."""
    odd = [
        "a",
        "stairs stairs",
        "\u200b",
        "\u200bx",
        "Café\u0301 über",
        "搭 塔a",
        "tab\tand\rreturn",
    ]
    lines = []
    for _ in range(rng.randint(1, 9)):
        for _ in range(rng.randint(1, 6)):
            line = rng.choice(LINES) if rng.random() < 0.6 else rng.choice(odd)
            if rng.random() < 0.2:
                line = " ".join([line] * 4)
            lines.append(line + rng.choice(["", "", " ", "\r"]))
        lines += [rng.choice(["", "", "  ", "\u3000"])] * rng.randint(0, 2)
    return "\n".join(lines) + rng.choice(["", "\n", "\n\n"])


def odd_vocabulary(path: Path, rng: random.Random) -> None:
    """The same tokens with other ids: shuffled, some twice, and with blank lines."""
    lines = VOCAB.read_text(encoding="utf-8").splitlines()
    lines += [*rng.sample(lines, 40), "[MASK]", "", "  "]
    rng.shuffle(lines)
    path.write_text("\n".join(lines), encoding="utf-8")


@pytest.mark.parametrize("seed", [*range(60), 85, 203, 973])
def test_equal_to_the_plain_rules(tmp_path, seed):
    rng = random.Random(seed)
    inputs = [tmp_path / f"in{number}.txt" for number in range(rng.randint(1, 3))]
    for path in inputs:
        path.write_text(random_text(rng), encoding="utf-8", newline="")
    options = {
        "max_seq_length": rng.choice([5, 6, 9, 16, 31, 64, 128, 300]),
        "max_predictions_per_seq": rng.choice([1, 2, 5, 20, 70]),
        "random_seed": rng.choice([0, 1, 12345, -3, 2**40]) + seed,
        "dupe_factor": rng.randint(1, 4),
        "masked_lm_prob": rng.choice([0.01, 0.15, 0.5, 1.0]),
        "short_seq_prob": rng.choice([0.0, 0.1, 0.5, 1.0]),
        "do_whole_word_mask": rng.random() < 0.5,
    }
    lower = rng.random() < 0.5
    outputs = [f"out{number}" for number in range(rng.randint(1, 3))]
    vocab = VOCAB
    if seed % 3 == 0:
        vocab = tmp_path / "vocab.txt"
        odd_vocabulary(vocab, rng)
    paths = generate(tmp_path, inputs, outputs, vocab, lower, **options)
    tokenizer = PlainTokenizer(load_vocab(vocab), lower)
    expected = list(data_rules.all_features(inputs, tokenizer, data_rules.Rules(**options)))
    schema = pretraining_schema(options["max_seq_length"], options["max_predictions_per_seq"])
    assert expected
    for number, path in enumerate(paths):
        wanted = expected[number :: len(paths)]
        got = [schema.decode(record) for record in read_records(path)]
        assert [{k: v.tolist() for k, v in one.items()} for one in got] == wanted


def test_gzip_and_repeated_inputs(tmp_path):
    packed = tmp_path / "corpus.txt.gz"
    packed.write_bytes(gzip.compress(CORPUS.read_bytes()))
    plain = generate(tmp_path, [CORPUS, CORPUS], ["a"], dupe_factor=1)
    zipped = generate(tmp_path, [packed, CORPUS], ["b"], dupe_factor=1)
    assert Path(plain[0]).read_bytes() == Path(zipped[0]).read_bytes()
    once = generate(tmp_path, [CORPUS], ["c"], dupe_factor=1)
    assert len(list(read_records(plain[0]))) > len(list(read_records(once[0])))


def test_more_outputs_than_records_is_warned_of(tmp_path):
    text = tmp_path / "t"
    text.write_text("The stairs.\n", encoding="utf-8")
    done = command(*flags_for(f"{tmp_path}/a,{tmp_path}/b", input_file=text))
    assert done.returncode == 0
    assert f"No record was left for {tmp_path}/b" in done.stderr
    assert "The input is one document: its random next sentences come from itself" in done.stderr
    assert done.stdout == f"{tmp_path}/a: 1 records\n{tmp_path}/b: 0 records\n"


def test_manifest(tmp_path):
    (path,) = generate(tmp_path, [CORPUS], ["r"], max_seq_length=32, random_seed=9, dupe_factor=1)
    manifest = read_manifest(path)
    assert manifest is not None
    assert manifest.schema == pretraining_schema(32, 20)
    assert (manifest.vocab_size, manifest.do_lower_case, manifest.seed) == (484, True, 9)
    assert len(manifest.vocab_sha256) == 64
    assert manifest.flags["dupe_factor"] == 1


def test_manifest_counts_ids_not_different_tokens(tmp_path):
    twice = tmp_path / "vocab.txt"
    twice.write_text(VOCAB.read_text(encoding="utf-8") + "[MASK]\n", encoding="utf-8")
    (path,) = generate(tmp_path, [CORPUS], ["r"], twice, dupe_factor=1)
    assert read_manifest(path).vocab_size == 485


def test_an_output_that_another_run_writes_is_refused_before_anything_is_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("data_prep.create_pretraining_data._read", lambda *_: pytest.fail("read"))
    with (
        RecordWriter(tmp_path / "b"),
        pytest.raises(RecordError, match="another writer has this output open"),
    ):
        generate(tmp_path, [CORPUS], ["a", "b"])
    assert not (tmp_path / "a").exists()


def command(*arguments: str, module: bool = False, cwd: Path = ROOT, **options):
    start = [sys.executable, str(ROOT / "data_prep" / "create_pretraining_data.py")]
    if module:
        start = [sys.executable, "-m", "data_prep.create_pretraining_data"]
    return subprocess.run(
        [*start, *arguments], cwd=cwd, capture_output=True, text=True, check=False, **options
    )


def flags_for(output, **others):
    values = {"input_file": CORPUS, "vocab_file": VOCAB, "output_file": output, "dupe_factor": 1}
    return [f"--{name}={value}" for name, value in {**values, **others}.items()]


def test_script_from_elsewhere_and_module_write_the_same(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    script = command(*flags_for(tmp_path / "new" / "a"), cwd=tmp_path, env=environment)
    assert script.returncode == 0, script.stderr
    assert script.stdout == f"{tmp_path}/new/a: 27 records\n"
    assert "drawing: 100%" in script.stderr
    module = command(*flags_for(tmp_path / "b"), module=True)
    assert module.returncode == 0, module.stderr
    assert (tmp_path / "new" / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_help_names_every_flag_of_the_original():
    shown = command("--help").stdout
    for name in (
        "input_file", "output_file", "vocab_file", "do_lower_case", "do_whole_word_mask",
        "max_seq_length", "max_predictions_per_seq", "random_seed", "dupe_factor",
        "masked_lm_prob", "short_seq_prob",
    ):  # fmt: skip
        assert name in shown


@pytest.mark.parametrize(
    ("others", "message"),
    [
        ({"input_file": "/nowhere/*.txt"}, "No file matches '/nowhere/*.txt'"),
        ({"input_file": "{tmp}/empty"}, "The input files hold no text."),
        ({"input_file": "{tmp}/torn.gz"}, "the gzip data is cut or damaged"),
        ({"vocab_file": "/nowhere"}, "/nowhere"),
        ({"vocab_file": "{tmp}/vocab"}, "[CLS], [SEP] missing"),
        ({"output_file": "{tmp}/a,{tmp}/./a"}, "more than once"),
        ({"output_file": "{tmp}/a,"}, "--output_file holds an empty name"),
        ({"output_file": "{tmp}/a,{tmp}"}, "is a directory, but records go to one file"),
        ({"output_file": str(CORPUS)}, "is input and output at once"),
        ({"max_seq_length": 4}, "--max_seq_length must be at least 5"),
        ({"do_lower_case": "True", "dupe_factor": "2 left"}, "dupe_factor"),
    ],
)
def test_bad_input_is_one_line(tmp_path, others, message):
    (tmp_path / "empty").touch()
    (tmp_path / "torn.gz").write_bytes(gzip.compress(CORPUS.read_bytes())[:-40])
    (tmp_path / "vocab").write_text("[PAD]\n[UNK]\n[MASK]\n")
    others = {name: str(value).format(tmp=tmp_path) for name, value in others.items()}
    done = command(*flags_for(tmp_path / "out", **others))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "a").exists()


def test_a_switch_with_a_space_is_refused(tmp_path):
    done = command(*flags_for(tmp_path / "out"), "--do_lower_case", "False")
    assert done.returncode == 1
    assert "error: These arguments belong to no flag: False. Write --flag=value" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_predictions_per_seq": 0}, "max_predictions_per_seq must be at least 1; got 0"),
        ({"dupe_factor": 0}, "dupe_factor must be at least 1 .*; got 0"),
        ({"masked_lm_prob": 0.0}, "masked_lm_prob must be above 0 and at most 1; got 0.0"),
        ({"masked_lm_prob": float("nan")}, "masked_lm_prob must be above 0"),
        ({"short_seq_prob": -0.1}, "short_seq_prob must be from 0 to 1; got -0.1"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(DataError, match=message):
        GenerationOptions(**options)


def test_bytes_that_are_not_utf8_are_counted_and_left_out(tmp_path):
    text = tmp_path / "latin1.txt"
    text.write_bytes(CORPUS.read_bytes() + b"\nTh\xe9 beam\xff of the lamp.\n")
    done = command(*flags_for(tmp_path / "a", input_file=text))
    assert done.returncode == 0
    assert "2 bytes of the input are not UTF-8" in done.stderr
    text.write_bytes(CORPUS.read_bytes() + b"\nTh beam of the lamp.\n")
    generate(tmp_path, [text], ["b"], dupe_factor=1)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "options",
    [{}, {"do_whole_word_mask": True, "dupe_factor": 7}, {"next_sentence": "none"}],
)
def test_the_number_of_workers_changes_nothing(tmp_path, monkeypatch, options):
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 300)  # many blocks
    monkeypatch.setattr(examples, "_ROWS_PER_BATCH", 11)  # many batches
    monkeypatch.setattr(examples, "_PREDICTIONS_PER_BLOCK", 60)  # less than a document needs
    outputs = ["a", "b", "c"]
    plain = generate(tmp_path, [CORPUS, CORPUS], outputs, **options)
    expected = [Path(path).read_bytes() for path in plain]
    assert all(expected)
    for workers in (2, 7):
        paths = generate(tmp_path, [CORPUS, CORPUS], outputs, workers=workers, **options)
        assert [Path(path).read_bytes() for path in paths] == expected
    monkeypatch.undo()
    paths = generate(tmp_path, [CORPUS, CORPUS], outputs, **options)
    assert [Path(path).read_bytes() for path in paths] == expected


def test_workers_below_one_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"--num_workers must be at least 1, or 0 .*; got -1"):
        generate(tmp_path, [CORPUS], ["a"], workers=-1)


def _small_files_only():
    """A limit on the size of files stands for a full disk: writing fails in the same way."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_full_disk_leaves_nothing_and_is_one_line(tmp_path):
    (tmp_path / "a").write_bytes(b"older")
    # Compiled code is kept in files too: let it be there already.
    assert command(*flags_for(tmp_path / "b")).returncode == 0
    done = command(*flags_for(tmp_path / "a", dupe_factor=30), preexec_fn=_small_files_only)
    assert done.returncode == 1, done.stderr
    assert "error: [Errno 27] File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "a").read_bytes() == b"older"
    assert sorted(os.listdir(tmp_path)) == [".b.manifest.json", "a", "b"]


KILLED_WHILE_WRITING = """
import os, signal, sys
import data_prep.create_pretraining_data as command
whole = command.written_batches
def halfway(*arguments):
    for batch in whole(*arguments):
        yield [(frames[: len(frames) // 2], records) for frames, records in batch]
        os.kill(os.getpid(), signal.SIGKILL)
command.written_batches = halfway
command.main()
"""


def test_killed_in_the_middle_leaves_no_output_and_the_next_run_works(tmp_path):
    arguments = flags_for(f"{tmp_path}/a,{tmp_path}/b")
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_WRITING, *arguments],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path)) == [".a.partial", ".b.partial"]
    assert command(*arguments).returncode == 0
    names = [".a.manifest.json", ".b.manifest.json", "a", "b"]
    assert sorted(os.listdir(tmp_path)) == names


def test_tensorflow_is_not_imported():
    code = "import sys, data_prep.create_pretraining_data, data_prep.build_vocab\n"
    code += "sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_rows_splitter_and_noise(tmp_path):
    """JSON lines of the same documents give the same records; noise changes them by its seed."""
    rows = tmp_path / "rows.jsonl"
    texts = CORPUS.read_text(encoding="utf-8").split("\n\n")
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    done = command(*flags_for(tmp_path / "a", input_file=rows))
    assert done.returncode == 0, done.stderr
    assert re.search(r"^input: read \d+ lines, \d+ of them .* blank lines$", done.stderr, re.M)
    (plain,) = generate(tmp_path, [CORPUS], ["b"], dupe_factor=1)
    assert list(read_records(tmp_path / "a")) == list(read_records(plain))
    noisy = []
    for seed in (1, 1, 2):
        arguments = flags_for(tmp_path / "c", truncate_share=0.5, random_seed=seed)
        assert command(*arguments).returncode == 0
        noisy.append((tmp_path / "c").read_bytes())
    assert noisy[0] == noisy[1] != noisy[2]


def test_weights_over_patterns(tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("The stairs.\nThe lamp.\n")
    arguments = flags_for(tmp_path / "a", input_file=f"{CORPUS},{other}", weights="1,3")
    done = command(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"input: {other}: each document 3 times on average" in done.stderr
    assert read_manifest(tmp_path / "a").flags["mixture"]["weights"] == [1.0, 3.0]


def test_two_phases_are_two_runs(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    done = command(
        *flags_for(
            first, second_output_file=second, max_seq_length=32, second_max_seq_length=100,
            second_max_predictions_per_seq=15,
        )
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [str(first), str(second)]
    generate(tmp_path, [CORPUS], ["c"], dupe_factor=1, max_seq_length=32)
    generate(
        tmp_path, [CORPUS], ["d"], dupe_factor=1, max_seq_length=100, max_predictions_per_seq=15
    )
    for one, other in (("a", "c"), ("b", "d")):
        assert (tmp_path / one).read_bytes() == (tmp_path / other).read_bytes()
    assert read_manifest(second).flags["max_seq_length"] == 100
    assert read_manifest(second).flags["output_file"] == str(second)


def test_outputs_of_both_phases_must_differ(tmp_path):
    done = command(*flags_for(tmp_path / "a", second_output_file=tmp_path / "a"))
    assert "more than once. Give each its own name" in done.stderr
    assert done.returncode == 1


def test_no_phase_appears_before_all_are_on_the_disk(tmp_path, monkeypatch):
    whole = RecordWriter.finish

    def finish(writer):
        if writer.path.name == "first":
            raise OSError("No space left on device")
        whole(writer)

    monkeypatch.setattr(RecordWriter, "finish", finish)
    options = GenerationOptions(dupe_factor=1)
    run = Run(
        (str(CORPUS),), (str(tmp_path / "first"),), str(VOCAB), True, options,
        second_files=(str(tmp_path / "second"),), second_options=options,
    )  # fmt: skip
    with pytest.raises(OSError, match="No space left"):
        create_records(run)
    assert not any((tmp_path / name).exists() for name in ("first", "second"))


def test_a_report_writes_over_nothing_of_the_run(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The lamp.\n\nThe stairs.\n")
    for report, said in [(text, "is input or output of this run"), (tmp_path, "cannot be written")]:
        done = command(f"--input_file={text}", f"--output_file={tmp_path / 'records'}",
                       f"--vocab_file={VOCAB}", f"--report={report}")  # fmt: skip
        assert done.returncode == 1
        assert f"error: --report={report} {said}" in done.stderr
    assert text.read_text() == "The lamp.\n\nThe stairs.\n"
    assert not (tmp_path / "records").exists()
