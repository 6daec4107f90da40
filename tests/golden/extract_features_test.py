"""extract_features against the original's lines, and its other formats against those."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.inputs import windows
from bert_tf.tasks.features import Text, TextFeaturizer
from bert_tf.tokenization import FullTokenizer
from tests.golden.classifier_test import UNCASED
from tests.support import commands, small

LARGE = small.LARGE / "tasks"
CASES = {
    "small": (
        small.GOLDENS,
        {
            "bert_config_file": small.CONFIG,
            "vocab_file": small.VOCAB,
            "init_checkpoint": small.CHECKPOINT,
            "max_seq_length": 32,
        },
    ),
    "large": (
        LARGE,
        {
            "bert_config_file": small.LARGE / "pretrained" / "bert_config.json",
            "vocab_file": UNCASED,
            "init_checkpoint": small.LARGE / "pretrained" / "model.ckpt-300",
            "max_seq_length": 24,
        },
    ),
}
FLAGS = {**CASES["small"][1], "layers": "-1,-2", "batch_size": 2}
INPUT = small.GOLDENS / "extract_features_input.txt"


@pytest.mark.parametrize("name", CASES)
def test_lines_are_the_originals(tmp_path, name):
    folder, flags = CASES[name]
    if not folder.exists():
        pytest.skip(f"{folder} is not here: the large goldens hold other people's text")
    output = tmp_path / "vectors.jsonl"
    commands.run(
        "extract_features",
        **flags,
        layers="-1,-2",
        batch_size=4,
        input_file=folder / "extract_features_input.txt",
        output_file=output,
    )
    ours = output.read_text().splitlines()
    golden = (folder / "extract_features.jsonl").read_text().splitlines()
    number = re.compile(r"-?\d+\.\d+(e-\d+)?")
    # The same characters but for the numbers, and those within two in the sixth digit.
    assert [number.sub("#", line) for line in ours] == [number.sub("#", line) for line in golden]
    for left, right in zip(ours, golden, strict=True):
        values = (
            np.array([float(match.group()) for match in number.finditer(line)])
            for line in (left, right)
        )
        np.testing.assert_allclose(*values, atol=2.1e-6, rtol=0)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def run(tmp_path, name, **changes):
    output = tmp_path / name
    commands.run(
        "extract_features", **{**FLAGS, "input_file": INPUT, "output_file": output, **changes}
    )
    return output


def test_other_formats_hold_the_same_vectors(tmp_path):
    rows = lines(run(tmp_path, "a.jsonl"))
    packed = np.load(run(tmp_path, "a.npz", format="npz"))
    records = list(tf.data.TFRecordDataset(str(run(tmp_path, "a.rec", format="tfrecord"))))
    for place, row in enumerate(rows):
        begin, end = packed["offsets"][place : place + 2]
        tokens = [feature["token"] for feature in row["features"]]
        assert packed["tokens"][begin:end].tolist() == tokens
        expected = np.array([feature["layers"][1]["values"] for feature in row["features"]])
        np.testing.assert_allclose(packed["layer_-2"][begin:end], expected, atol=1e-6)
        feature = tf.train.Example.FromString(records[place].numpy()).features.feature
        assert [token.decode() for token in feature["tokens"].bytes_list.value] == tokens
        shape = feature["shape"].int64_list.value
        values = np.reshape(feature["layer_-2"].float_list.value, shape)
        np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
@pytest.mark.parametrize("mix", ["none", "sum", "mean", "concat"])
def test_pooling_and_mixes(tmp_path, pooling, mix):
    rows = lines(run(tmp_path, "tokens.jsonl"))
    pooled = lines(run(tmp_path, "pooled.jsonl", pooling=pooling, layer_mix=mix))
    for row, said in zip(rows, pooled, strict=True):
        first, second = (
            np.array([feature["layers"][layer]["values"] for feature in row["features"]])
            for layer in (0, 1)
        )
        mixed = {
            "none": [first, second],
            "sum": [first + second],
            "mean": [(first + second) / 2],
            "concat": [np.concatenate([first, second], axis=1)],
        }[mix]
        pool = {"cls": lambda v: v[0], "mean": lambda v: v.mean(0), "max": lambda v: v.max(0)}
        assert [layer["index"] for layer in said["layers"]] == (
            [-1, -2] if mix == "none" else [mix]
        )
        for layer, values in zip(said["layers"], mixed, strict=True):
            np.testing.assert_allclose(layer["values"], pool[pooling](values), atol=3e-6)


def test_half_precision_and_shards_that_resume(tmp_path, capsys):
    whole = np.load(run(tmp_path, "whole.npz", format="npz", dtype="float16"))
    assert whole["layer_-1"].dtype == np.float16
    options = {"format": "npz", "dtype": "float16", "shards": 3}
    run(tmp_path, "part.npz", **options)
    parts = sorted(tmp_path.glob("part.npz-*"))
    assert [path.name for path in parts] == [f"part.npz-0000{n}-of-00003" for n in range(3)]
    loaded = [np.load(path) for path in parts]
    joined = np.concatenate([part["layer_-1"] for part in loaded])
    np.testing.assert_allclose(joined.astype(float), whole["layer_-1"].astype(float), atol=2e-3)
    assert np.concatenate([part["linex_index"] for part in loaded]).tolist() == [0, 1, 2, 3]
    before = parts[0].stat().st_mtime_ns
    parts[1].unlink()
    capsys.readouterr()
    run(tmp_path, "part.npz", **options)
    assert parts[1].exists()
    assert parts[0].stat().st_mtime_ns == before
    assert "part.npz-00000-of-00003 is done already" in capsys.readouterr().out
    run(tmp_path, "part.npz", **options, layers="-1")  # other vectors: made anew
    assert parts[0].stat().st_mtime_ns != before


def test_sentence_vectors_are_normal_means(tmp_path):
    output = tmp_path / "vectors.npy"
    flags = {name: FLAGS[name] for name in FLAGS if name not in ("layers", "batch_size")}
    commands.run("embed", **flags, input_file=INPUT, output_file=output)
    pooled = lines(run(tmp_path, "pooled.jsonl", pooling="mean", layers="-1"))
    means = np.array([row["layers"][0]["values"] for row in pooled])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(np.load(output), means, atol=1e-5)


def test_long_texts_are_cut_and_counted(tmp_path, capsys):
    text = tmp_path / "long.txt"
    text.write_text("sea " * 50 + "\nshort\n")
    run(tmp_path, "x.jsonl", input_file=text)
    assert "1 of 2 texts are longer than --max_seq_length = 32 and were cut" in (
        capsys.readouterr().out
    )
    assert len(lines(tmp_path / "x.jsonl")[0]["features"]) == 32


LONG = (
    "the glass is over their water and the clock turns when every book is in the wind " * 4
)  # whole words


@pytest.mark.parametrize("line", [LONG, f"{LONG}||| the sea", f"the sea ||| {LONG}"])
def test_windows_hold_every_token_of_long_texts(tmp_path, capsys, line):
    text = tmp_path / "long.txt"
    text.write_text(f"short sea\n{line}\nbread\n")
    flags = {"input_file": text, "long_texts": "window", "doc_stride": 8}
    rows = lines(run(tmp_path, "w.jsonl", **flags))
    assert (
        "1 of 3 texts are longer than --max_seq_length = 32 and were read in several windows"
        in (capsys.readouterr().out)
    )
    assert [row["linex_index"] for row in rows] == [0, 1, 2]
    tokenizer = FullTokenizer(small.VOCAB)
    parts = [tokenizer.tokenize(part) for part in line.split("|||")]
    wanted = ["[CLS]"]
    for part in parts:
        wanted += [*part, "[SEP]"]
    tokens = [feature["token"] for feature in rows[1]["features"]]
    assert tokens == wanted
    plain = lines(run(tmp_path, "p.jsonl", input_file=text))
    for place in (0, 2):  # Short texts are what they are without windows.
        ours, theirs = (
            np.array([feature["layers"][0]["values"] for feature in each[place]["features"]])
            for each in (rows, plain)
        )
        np.testing.assert_allclose(ours, theirs, atol=2e-6)


def test_vectors_come_from_the_window_with_most_context():
    tokenizer = FullTokenizer(small.VOCAB)
    tokens = tokenizer.tokenize(LONG)
    spans = windows.spans_of(len(tokens), 30, 8)
    chunk = TextFeaturizer(tokenizer, 32, 8).chunk([Text(0, LONG, None)])
    assert [window.spans[0] for window in chunk.windows[0]] == spans
    sequences, places = next(chunk.places())
    ids = chunk.table.columns["input_ids"][sequences, places]
    assert [tokenizer.inv_vocab[int(each)] for each in ids] == ["[CLS]", *tokens, "[SEP]"]
    for number, best in enumerate(windows.max_context(spans)):
        first = spans[number][0]
        for offset in np.flatnonzero(best):
            place = first + offset + 1
            assert (sequences[place], places[place]) == (number, offset + 1)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_windows_are_pooled_by_the_stated_rule(tmp_path, pooling):
    text = tmp_path / "long.txt"
    text.write_text(f"{LONG}\nsea\n")
    flags = {"input_file": text, "long_texts": "window", "doc_stride": 8, "layers": "-1"}
    pooled = lines(run(tmp_path, "w.jsonl", pooling=pooling, **flags))
    ids = FullTokenizer(small.VOCAB).encode(LONG)
    spans = windows.spans_of(len(ids), 30, 8)
    inverse = FullTokenizer(small.VOCAB).inv_vocab
    each = tmp_path / "each.txt"
    pieces = [" ".join(inverse[i] for i in ids[a : a + n]) for a, n in spans]
    assert not any("##" in piece for piece in pieces), "each window must be a text of its own"
    each.write_text("\n".join(pieces) + "\n")
    own = lines(run(tmp_path, "o.jsonl", pooling=pooling, input_file=each, layers="-1"))
    vectors = np.array([row["layers"][0]["values"] for row in own])
    weights = np.array([size + 2 for _, size in spans])[:, None]
    expected = vectors.max(0) if pooling == "max" else (vectors * weights).sum(0) / weights.sum()
    np.testing.assert_allclose(pooled[0]["layers"][0]["values"], expected, atol=3e-6)


def test_sentence_vectors_of_long_texts(tmp_path, capsys):
    text = tmp_path / "long.txt"
    text.write_text(f"{LONG}\nsea\n")
    flags = {name: FLAGS[name] for name in FLAGS if name not in ("layers", "batch_size")}
    commands.run("embed", **flags, input_file=text, output_file=tmp_path / "v.npy", doc_stride=8)
    assert "1 of 2 texts are longer than --max_seq_length = 32 and were read in several" in (
        capsys.readouterr().out
    )
    vectors = np.load(tmp_path / "v.npy")
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)
    options = {"input_file": text, "long_texts": "window", "doc_stride": 8, "layers": "-1"}
    pooled = lines(run(tmp_path, "p.jsonl", pooling="mean", **options))
    mean = np.array(pooled[0]["layers"][0]["values"])
    np.testing.assert_allclose(vectors[0], mean / np.linalg.norm(mean), atol=1e-5)
    cut = {**flags, "long_texts": "truncate"}
    commands.run("embed", **cut, input_file=text, output_file=tmp_path / "c.npy")
    assert not np.allclose(np.load(tmp_path / "c.npy")[0], vectors[0], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": "-1,-9"}, r"--layers must name layers .* from -2 .* but holds -9"),
        ({"layers": "last"}, "--layers must be numbers with commas, but is 'last'"),
        ({"init_checkpoint": ""}, "--init_checkpoint must name a pretrained model, but is empty"),
        ({"batch_size": 0}, "--batch_size must be a multiple of the 1 replicas, but is 0"),
        ({"shards": 0}, "--shards must be at least 1, but is 0"),
        ({"max_seq_length": 999}, "--max_seq_length is 999, but the model"),
        ({"max_seq_length": 2}, "max_seq_length must be at least"),
        ({"input_file": small.ROOT / "none.txt"}, "There is no file"),
        ({"input_file": "/dev/null"}, "must hold at least one line, but is empty"),
        ({"vocab_file": ""}, "--vocab_file must name the vocabulary of the model, but is empty"),
        ({"bert_config_file": ""}, "--bert_config_file must name the JSON file"),
    ],
)
def test_mistakes(tmp_path, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(tmp_path, "x.jsonl", **changes)
    assert not list(tmp_path.glob("*x.jsonl*"))
