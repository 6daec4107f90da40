"""Scale mode: equal to the plain rules, whoever works and however often; clear refusals."""

import dataclasses
import gzip
import json
import os
import pickle
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bert_tf.inputs.records import pretraining_schema, read_manifest, read_records
from bert_tf.tokenization import load_vocab
from data_prep import examples, gather, kept, report, shards
from data_prep.create_pretraining_data import Run, scale_run
from data_prep.engines import create_shards as create_by_engine
from data_prep.engines import run_command
from data_prep.mixing import Mixture
from data_prep.options import DataError, GenerationOptions
from data_prep.scale import create_shards, finish, names_taken, prepare
from data_prep.shards import make_shard, notes_folder
from data_prep.verify_shards import verify
from tests.reference import data_rules, streams
from tests.reference.tokenizer_rules import PlainTokenizer
from tests.support.texts import ROOT, VOCAB, write_texts

FILES = 2
SHORT = GenerationOptions(
    max_seq_length=32, max_predictions_per_seq=5, dupe_factor=3, short_seq_prob=0.3, random_seed=9
)


@pytest.fixture(autouse=True)
def _small_portions(monkeypatch):
    monkeypatch.setattr(shards, "_ROWS_PER_BATCH", 11)
    monkeypatch.setattr(shards, "_ROWS_OF_A_STRETCH", 37)
    monkeypatch.setattr(gather, "_MAPPED_BYTES", 500)
    monkeypatch.setattr(shards, "_SENTENCES_OF_A_UNIT", 40)
    monkeypatch.setattr(kept, "_SECONDS_BETWEEN_KEEPS", 0.0)


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    write_texts(folder, FILES, 0.02, longest=7)
    return tuple(str(folder / f"text{number}.txt") for number in range(FILES))


@pytest.fixture
def run_of(texts, tmp_path):
    """Makes runs whose outputs lie in a folder of the test."""

    def make(count=4, options=SHORT, workers=1, output="records", scratch="scratch"):
        outputs = tuple(str(tmp_path / name) for name in output.split(","))
        run = Run(texts, outputs, str(VOCAB), True, options, workers, str(tmp_path / scratch))
        return scale_run(run, count)

    return make


def contents(run):
    return [Path(name).read_bytes() for name in run.names]


def records_of(run):
    return [record for name in run.names for record in read_records(name)]


def plain_records(texts, options):
    """All records in their order, by the plain rules with streams of their own."""
    names = [field.name for field in dataclasses.fields(data_rules.Rules)]
    rules = data_rules.Rules(**{name: getattr(options, name) for name in names})
    tokenizer = PlainTokenizer(load_vocab(VOCAB), True)
    documents = data_rules.read_documents(texts, tokenizer)
    words, made = list(tokenizer.vocab), []
    mask = data_rules.mask

    def mask_from_own_stream(tokens, words, rules, rng):
        return mask(tokens, words, rules, streams.generator(rng.getrandbits(62)))

    key = streams.key_of(options.random_seed, "passes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_rules, "mask", mask_from_own_stream)
        for duplicate in range(options.dupe_factor):
            for number in range(len(documents)):
                rng = streams.generator(streams.pass_key(key, duplicate, number))
                made += data_rules.document_examples(documents, number, words, rules, rng)
    order = streams.key_of(options.random_seed, "order")
    places = [streams.example_at(place, len(made), order) for place in range(len(made))]
    return [data_rules.features(made[place], tokenizer.vocab, rules) for place in places]


@pytest.mark.parametrize("whole_words", [False, True])
def test_records_are_those_of_the_plain_rules(run_of, texts, whole_words):
    options = dataclasses.replace(SHORT, do_whole_word_mask=whole_words)
    run = run_of(options=options)
    create_shards(run)
    schema = pretraining_schema(options.max_seq_length, options.max_predictions_per_seq)
    found = [schema.decode(record) for record in records_of(run)]
    expected = plain_records(texts, options)
    assert len(expected) > 100
    assert [{k: v.tolist() for k, v in one.items()} for one in found] == expected


def test_workers_layout_and_portions_change_nothing(run_of, monkeypatch):
    runs = [
        run_of(workers=workers, output=f"by{workers}", scratch=f"scratch{workers}")
        for workers in (1, 2, 5)
    ]
    for run in runs:
        create_shards(run)
    assert contents(runs[0]) == contents(runs[1]) == contents(runs[2])
    assert len(set(contents(runs[0]))) == 4
    for count in (1, 7):  # The shards are other cuts of one row of records.
        other = run_of(count, output="other")
        create_shards(other)
        assert b"".join(contents(other)) == b"".join(contents(runs[0]))
    monkeypatch.undo()
    usual = run_of(output="usual", scratch="usual_scratch")
    create_shards(usual)
    assert contents(usual) == contents(runs[0])


def test_sentence_order(run_of, texts):
    """Parts that follow each other in the text, half of them swapped; any workers, any layout."""
    options = dataclasses.replace(SHORT, next_sentence="order", masked_lm_prob=0.05)
    first, second = run_of(options=options), run_of(3, options, 2, "other", "other_scratch")
    for run in (first, second):
        create_shards(run)
    assert records_of(first) == records_of(second)
    tokenizer = PlainTokenizer(load_vocab(VOCAB), True)
    documents = data_rules.read_documents(texts, tokenizer)
    flat = [[tokenizer.vocab[t] for s in document for t in s] for document in documents]
    text = [" " + " ".join(map(str, ids)) + " " for ids in flat]
    schema = pretraining_schema(options.max_seq_length, options.max_predictions_per_seq)
    swapped = 0
    for record in records_of(first):
        values = schema.decode(record)
        ids = values["input_ids"]
        asked = values["masked_lm_weights"] > 0
        ids[values["masked_lm_positions"][asked]] = values["masked_lm_ids"][asked]
        size, second_part = values["input_mask"].sum(), values["segment_ids"] == 1
        b = ids[second_part][:-1]
        a = ids[1 : size - len(b) - 2]
        swapped += values["next_sentence_labels"][0]
        # As they stand in the text; truncation may have taken tokens from either end of both.
        first_part, then = (b, a) if values["next_sentence_labels"][0] else (a, b)
        places = [
            (number, document.find(" " + " ".join(map(str, first_part)) + " "))
            for number, document in enumerate(text)
        ]
        found = [(number, at) for number, at in places if at >= 0]
        assert any(text[n].find(" " + " ".join(map(str, then)) + " ", at) >= at for n, at in found)
    assert 0.4 < swapped / len(records_of(first)) < 0.6


def test_other_readers_mixtures_and_noise_in_scale_mode(texts, tmp_path):
    """The same files by workers, by crashes' way and by engines; not those without noise."""
    lines = Path(texts[0]).read_text(encoding="utf-8").split("\n\n")
    rows = "".join(json.dumps({"text": text}) + "\n" for text in lines)
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(rows.encode()))

    def make(folder, share, mixture, by_engine):
        outputs = (str(tmp_path / folder / "records"),)
        files = (*texts, str(tmp_path / "rows.jsonl.gz"))
        run = scale_run(
            Run(files, outputs, str(VOCAB), True, SHORT, 1, truncate_share=share, mixture=mixture),
            3,
        )
        if by_engine:
            create_by_engine(run, lambda work, items: [work(item) for item in reversed(items)])
        else:
            create_shards(run)
        return contents(run)

    mixture = Mixture(("text", "rows"), (2, 1), (0.5, 2.0), seed=3)
    kinds = {}
    for share in (0.0, 0.3):
        for mixed in (None, mixture):
            name = f"{share}{mixed is None}"
            kinds[name] = make(name, share, mixed, False)
            assert make(name + "engine", share, mixed, True) == kinds[name]
    assert len({part for parts in kinds.values() for part in parts}) == 12


def test_what_is_of_the_exact_mode_alone(run_of, texts, tmp_path):
    with pytest.raises(DataError, match="--next_sentence=none is of the exact mode"):
        run_of(options=dataclasses.replace(SHORT, next_sentence="none"))
    run = Run(
        texts, (str(tmp_path / "a"),), str(VOCAB), True, SHORT,
        second_files=(str(tmp_path / "b"),), second_options=SHORT,
    )  # fmt: skip
    with pytest.raises(DataError, match="--second_output_file is of the exact mode"):
        scale_run(run, 2)


def test_seeds_differ(run_of):
    first, second = (
        run_of(output="a"),
        run_of(options=dataclasses.replace(SHORT, random_seed=10), output="b"),
    )
    for run in (first, second):
        create_shards(run)
    assert not set(contents(first)) & set(contents(second))


def test_an_engine_makes_the_same(run_of):
    """In any order, some twice, each time from a job that was sent as bytes."""

    def engine(work, items):
        for item in [*reversed(items), items[0]]:
            pickle.loads(pickle.dumps(work))(item)

    here, there = run_of(), run_of(output="there", scratch="there_scratch")
    made_here = create_shards(here)
    finished = create_by_engine(there, engine)
    assert contents(there) == contents(here)
    assert len(finished.notes) == 4
    assert made_here.input_report.startswith("input: read ")
    assert finished.input_report == ""  # nobody read all files, and could say what repeats


def test_corpora_of_older_versions_are_used(run_of):
    run = run_of()
    first = create_shards(run)
    (path,) = Path(run.source.scratch_dir).glob(".bert_tf_corpus-*/corpus/facts.json")
    facts = json.loads(path.read_text())
    assert facts.pop("input_report") == first.input_report
    path.write_text(json.dumps(facts))
    again = create_shards(run)
    assert again.input_report == ""
    assert [note.sha256 for note in again.notes] == [note.sha256 for note in first.notes]


def test_an_engine_that_forgets_a_shard_is_found_out(run_of):
    def engine(work, items):
        for item in list(items)[:2]:
            work(item)

    with pytest.raises(DataError, match=r"Nobody made the shards \[2, 3\]"):
        create_by_engine(run_of(), engine)


def test_manifests(run_of):
    run = run_of()
    finished = create_shards(run)
    manifest = json.loads(finished.manifest.read_text())
    assert finished.manifest == notes_folder(run.output, 4) / "manifest.json"
    assert manifest["records"] == len(records_of(run)) == finished.findings.statistics.records
    assert [shard["name"] for shard in manifest["shards"]] == [
        f"records-0000{number}-of-00004" for number in range(4)
    ]
    assert max(s["records"] for s in manifest["shards"]) <= 1 + min(
        s["records"] for s in manifest["shards"]
    )
    assert manifest["flags"]["shards"] == 4
    assert manifest["flags"]["random_seed"] == 9
    assert len(manifest["vocab_sha256"]) == 64
    assert manifest["text"]["documents"] > 10
    own = read_manifest(run.names[2])
    assert (own.records, own.seed) == (manifest["shards"][2]["records"], 9)
    assert not list(Path(run.source.scratch_dir).rglob("pairs-*"))


def written(run):
    return [os.stat(name).st_mtime_ns for name in run.names]


def test_the_same_command_again_makes_only_what_is_missing(run_of, monkeypatch):
    run = run_of()
    create_shards(run)
    expected, before = contents(run), written(run)
    create_shards(run)
    assert written(run) == before
    os.remove(run.names[2])
    finished = create_shards(run)
    assert contents(run) == expected
    assert [old == new for old, new in zip(before, written(run), strict=True)] == [
        True, True, False, True,
    ]  # fmt: skip
    assert finished.findings.statistics.records == len(records_of(run))


def test_after_a_crash_complete_shards_and_pairs_stay(run_of, monkeypatch):
    undisturbed, run = run_of(output="undisturbed"), run_of()
    create_shards(undisturbed)
    with names_taken(run):
        make_shard(prepare(run), 1)
    before = os.stat(run.names[1]).st_mtime_ns
    Path(run.output).with_name(".records-00000-of-00004.partial").write_bytes(b"half")
    monkeypatch.setattr(shards, "_draw_unit", lambda *_: pytest.fail("drawn again"))
    create_shards(run)
    assert contents(run) == contents(undisturbed)
    assert os.stat(run.names[1]).st_mtime_ns == before


def test_pairs_go_on_where_they_were(run_of, monkeypatch):
    undisturbed, run = run_of(output="undisturbed"), run_of()
    create_shards(undisturbed)
    draw, drawn = shards._draw_unit, []

    def stopping(*arguments):
        if len(drawn) == 5:
            raise KeyboardInterrupt
        drawn.append(arguments[-1])
        return draw(*arguments)

    monkeypatch.setattr(shards, "_draw_unit", stopping)
    with pytest.raises(KeyboardInterrupt):
        create_shards(run)
    first, drawn[:] = list(drawn), []
    monkeypatch.setattr(shards, "_draw_unit", lambda *a: drawn.append(a[-1]) or draw(*a))
    create_shards(run)
    assert contents(run) == contents(undisturbed)
    assert len(set(first) & set(drawn)) < 5  # what was kept, at least one, is not drawn again


def test_shards_of_another_run_are_not_overwritten(run_of):
    run = run_of()
    create_shards(run)
    before = contents(run)
    other = run_of(options=dataclasses.replace(SHORT, random_seed=1))
    message = r"records-00000-of-00004 and 3 more of its shards .* other text or with other flags"
    with pytest.raises(DataError, match=message):
        create_shards(other)
    assert contents(run) == before
    assert verify(run.output, 4) == []
    for name in run.names:
        os.remove(name)
    create_shards(other)
    assert contents(other) != before


def test_two_runs_do_not_mix_and_the_same_run_may_be_twice(run_of):
    run = run_of()
    other = run_of(options=dataclasses.replace(SHORT, random_seed=1))
    with names_taken(run):
        with pytest.raises(DataError, match=r"Another run, .*, is writing .*records in 4 shards"):
            create_shards(other)
        create_shards(run)
    assert verify(run.output, 4) == []


def test_more_shards_than_examples_are_refused(run_of):
    with pytest.raises(DataError, match=r"gives \d+ examples, fewer than --shards=9999. Lower"):
        create_shards(run_of(9999))


@pytest.mark.parametrize("count", [0, -1, 100_000])
def test_numbers_of_shards_are_checked(run_of, count):
    with pytest.raises(DataError, match=f"--shards must be from 1 to 99999; got {count}"):
        run_of(count)


def test_one_output_is_named(run_of):
    with pytest.raises(DataError, match=r"--output_file is one name, .*; got '.*a,.*b'"):
        run_of(output="a,b")


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
    if how == "cut":
        del data[-30:]
    if how == "shorter by a record":
        *kept_records, _ = read_records(path)
        size = sum(len(record) + 16 for record in kept_records)
        del data[size:]
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("flipped", r"records-00001-of-00004 has other bytes than were written \(record \d+ at"),
        ("cut", r"has \d+ bytes instead of \d+ \(record \d+ at byte \d+: it should have"),
        ("shorter by a record", r"has \d+ bytes instead of \d+, though each of its records is"),
    ],
)
def test_verify_finds_damage(run_of, how, message):
    run = run_of()
    create_shards(run)
    assert verify(run.output, 4, threads=2) == []
    damage(Path(run.names[1]), how)
    (fault,) = verify(run.output, 4)
    assert re.search(message, fault), fault


def test_verify_finds_what_is_missing_and_what_is_strange(run_of):
    run = run_of()
    create_shards(run)
    os.remove(run.names[3])
    Path(run.names[0]).with_name(".records-00000-of-00004.manifest.json").write_text("{}")
    create_shards(run_of(2))
    faults = verify(run.output, 4)
    assert len(faults) == 3
    assert "not a manifest of record files" in faults[0]
    assert faults[1] == f"{run.names[3]} is missing."
    assert "records-00000-of-00002 and 1 more files are shards of another layout" in faults[2]


def test_verify_without_a_manifest_says_so(run_of):
    run = run_of()
    with pytest.raises(DataError, match=r"manifest.json is not there: .* is not complete"):
        verify(run.output, 4)
    create_shards(run)
    manifest = notes_folder(run.output, 4) / "manifest.json"
    manifest.write_text('{"shards": [1]}')
    with pytest.raises(DataError, match=r"cannot be read \(it lists 1 shards\). Remove it"):
        verify(run.output, 4)


def test_notes_of_another_form_are_made_again(run_of):
    run = run_of()
    finished = create_shards(run)
    for path in finished.manifest.parent.glob("0*.json"):
        path.write_text('{"label": 3}')
    assert create_shards(run).notes[0].sha256 == finished.notes[0].sha256


def test_finish_wants_every_note(run_of):
    run = run_of()
    with names_taken(run):
        job = prepare(run)
    with pytest.raises(DataError, match=r"Nobody made the shards \[1, 2, 3\]"):
        finish(run, job, [make_shard(job, 0)])


# --- The command. ---


def command(*arguments, module="create_pretraining_data"):
    start = [sys.executable, "-m", f"data_prep.{module}", *arguments]
    return subprocess.run(start, cwd=ROOT, capture_output=True, text=True, check=False)


def flags_for(texts, output):
    return [
        f"--input_file={','.join(texts)}", f"--vocab_file={VOCAB}", f"--output_file={output}",
        "--dupe_factor=1",
    ]  # fmt: skip


def test_the_command_makes_verifies_and_reports(texts, tmp_path):
    flags = flags_for(texts, tmp_path / "r")
    page = tmp_path / "page" / "r.html"
    done = command(*flags, "--shards=3", "--workers=2", f"--report={page}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"input: read \d+ lines, .* nearly the same as an earlier one", done.stderr)
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{tmp_path}/r-00000-of-00003: ")
    assert (
        lines[0].split()[-1]
        == subprocess.check_output(
            ["sha256sum", f"{tmp_path}/r-00000-of-00003"], text=True
        ).split()[0]
    )
    assert any(line.startswith("masked        1") for line in lines)
    assert lines[-2] == f"manifest: {tmp_path}/.r-of-00003.shards/manifest.json"
    html = page.read_text(encoding="utf-8")
    assert html.count("<svg") == 4
    assert "Pretraining data: masked words" in html
    assert "http" not in html.replace("http-equiv", "")

    done = command(f"--output_file={tmp_path}/r", "--shards=3", "--verify")
    assert (done.returncode, done.stdout) == (0, f"{tmp_path}/r: all 3 shards are as written\n")
    os.remove(tmp_path / "r-00001-of-00003")
    done = command(f"--output_file={tmp_path}/r", "--shards=3", "--verify")
    assert done.returncode == 1
    assert f"error: {tmp_path}/r-00001-of-00003 is missing." in done.stderr


def test_the_report_of_the_exact_mode(texts, tmp_path):
    flags = flags_for(texts, tmp_path / "r")
    done = command(*flags, f"--report={tmp_path}/r.html")
    assert done.returncode == 0, done.stderr
    records = len(list(read_records(tmp_path / "r")))
    assert f"pairs         {records}, random next " in done.stdout
    assert f"{tmp_path}/r: {records} records" in done.stdout
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert '<h2 id="masks-title">Masked words and next sentences</h2>' in page


def test_a_report_without_next_sentences(texts, tmp_path):
    flags = flags_for(texts, tmp_path / "r")
    done = command(*flags, "--next_sentence=none", f"--report={tmp_path}/r.html")
    assert done.returncode == 0, done.stderr
    schema = pretraining_schema(128, 20)
    records = [schema.decode(record) for record in read_records(tmp_path / "r")]
    assert f"sequences     {len(records)}\n" in done.stdout
    # Each token of the text is in one record; a [SEP] between documents is none of them.
    tokens = int(re.search(r"([\d,]+) tokens\n", done.stdout)[1].replace(",", ""))
    masked = sum((record["masked_lm_weights"] > 0).sum() for record in records)
    assert f"masked        {100 * masked / tokens:.2f} % of all tokens" in done.stdout
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "next sentence" not in page


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--verify"], "--verify needs --shards"),
        (["--verify", "--shards=2"], "manifest.json is not there"),
        (["--shards=0"], "--shards must be from 1 to 99999; got 0"),
        (["--shards=2", "--input_file=/nowhere"], "No file matches '/nowhere'"),
        (["--shards=2", "--output_file=a,b"], "--output_file is one name"),
        (["--input_file="], "No file matches ''"),
    ],
)
def test_bad_flags_are_one_line(texts, tmp_path, more, message):
    done = command(*flags_for(texts, tmp_path / "r"), *more)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("missing", ["input_file", "vocab_file", "output_file"])
def test_flags_that_must_be_given(texts, tmp_path, missing):
    flags = [f for f in flags_for(texts, tmp_path / "r") if not f.startswith(f"--{missing}")]
    done = command(*flags)
    assert done.returncode == 1
    assert f"--{missing}" in done.stderr
    assert "must have a value other than None" in done.stderr


@pytest.mark.parametrize(
    ("module", "package"), [("beam_pipeline", "apache-beam"), ("spark_job", "pyspark")]
)
def test_engines_that_are_not_installed(texts, tmp_path, module, package):
    code = f"""
import sys
sys.modules.update(dict.fromkeys(["apache_beam", "pyspark"]))  # importing them fails
from data_prep import {module}
sys.argv[1:] = {flags_for(texts, tmp_path / "r")!r}
{module}.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f"pip install {package}. create_pretraining_data makes the same" in done.stderr


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"verify": True}, "--verify needs no engine: give it to create_pretraining_data."),
        ({"verify": False, "shards": None}, "--shards must say how many shards to make."),
    ],
)
def test_engines_refuse_flags(values, message, capsys):
    assert run_command(SimpleNamespace(**values), lambda *_: pytest.fail("worked")) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_report_that_could_not_be_made_is_refused_first(monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="--report needs matplotlib and markupsafe: install"):
        report.check_report("page.html", [])


def _small_files_only():
    """A limit on the size of files stands for a full disk: writing fails in the same way."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


def test_a_full_disk_leaves_no_torn_shard_and_is_one_line(texts, tmp_path):
    flags = [*flags_for(texts, tmp_path / "r"), "--shards=2", "--dupe_factor=3"]
    start = [sys.executable, "-m", "data_prep.create_pretraining_data", *flags]
    done = subprocess.run(
        start, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=_small_files_only
    )
    assert done.returncode == 1, done.stderr
    assert "error: [Errno 27] File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("r-*"))
    assert command(*flags).returncode == 0
    assert verify(str(tmp_path / "r"), 2) == []


def test_examples_are_observed_in_exact_mode_once(tmp_path):
    """What the report of the exact mode counts is what is written."""
    pairs, ends, predictions = np.array([[0, 2, 2, 4, 0]]), np.array([0]), np.empty(0, np.int64)
    layout = examples.row_layout(SHORT, 9)
    rows = examples.pack_rows(pairs, ends, predictions, layout)
    drawn = examples.Drawn(rows, np.arange(1), layout)
    corpus = examples.Corpus(np.arange(4), np.array([0, 4]), np.array([0, 1]))
    seen = []
    vocabulary = shards.VocabularyIds(1, 2, 3, [0], np.zeros(9, np.uint8))
    writer = examples.ExampleWriter(drawn, corpus, vocabulary, SHORT, seen.append)
    writer.frames(drawn.order)
    assert [rows.shape for rows in seen] == [(1, 3 * 32 + 3 * 5 + 1)]
