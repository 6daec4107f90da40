"""The learned vocabulary: right order, complete alphabet, the same file every time."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bert_tf.tokenization import BasicTokenizer, FullTokenizer
from data_prep import build_vocab as build_vocab_module
from data_prep.build_vocab import (
    VocabOptions,
    build_vocab,
    count_words,
    learn_vocab,
    special_tokens,
)
from data_prep.options import DataError
from data_prep.readers import Reading

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "goldens" / "corpus.txt"


def learn(tmp_path, **options):
    output = tmp_path / "vocab.txt"
    build_vocab([str(CORPUS)], str(output), VocabOptions(**options))
    return output, output.read_text(encoding="utf-8").split("\n")[:-1]


def test_order_and_size(tmp_path):
    _, entries = learn(tmp_path, vocab_size=400)
    assert entries[:2] == ["[PAD]", "[unused0]"]
    assert entries[99:104] == ["[unused98]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(entries) == len(set(entries)) == 400
    assert "the" in entries
    assert any(entry.startswith("##") and len(entry) > 3 for entry in entries)


@pytest.mark.parametrize("lower", [True, False])
def test_the_tokenizer_needs_no_unk_for_the_corpus(tmp_path, lower):
    path, entries = learn(tmp_path, vocab_size=500, do_lower_case=lower, num_unused=0)
    assert entries[:5] == special_tokens(0)
    tokens = FullTokenizer(path, lower).tokenize(CORPUS.read_text(encoding="utf-8"))
    assert "[UNK]" not in tokens
    assert len(set(tokens)) > 200
    assert any(entry[0].isupper() for entry in entries) is not lower


def test_two_processes_write_the_same_bytes(tmp_path):
    written = []
    for number in range(3):
        output = tmp_path / f"v{number}"
        done = subprocess.run(
            [sys.executable, str(ROOT / "data_prep" / "build_vocab.py"),
             f"--input_file={CORPUS}", f"--output_file={output}", "--vocab_size=600"],
            cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONHASHSEED": str(number)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        written.append(output.read_bytes())
    assert written[0] == written[1] == written[2]
    assert sorted(os.listdir(tmp_path)) == ["v0", "v1", "v2"]


def test_frequent_pieces_are_merged_first():
    words = Counter({"abc": 50, "abd": 40, "xy": 3, "once": 1})
    entries = learn_vocab(words, VocabOptions(vocab_size=23, num_unused=0))
    learned = entries[5:]
    assert learned[:10] == [*"abcdenoxy", "##b"]
    assert learned[-3:] == ["ab", "abc", "abd"]
    assert "once" not in learn_vocab(words, VocabOptions(vocab_size=99, num_unused=0))
    rare = learn_vocab(words, VocabOptions(vocab_size=99, num_unused=0, min_frequency=1))
    assert {"xy", "once"} <= set(rare)


def test_refusals(tmp_path):
    with pytest.raises(DataError, match=r"above 104, the number of special and unused .* got 104"):
        VocabOptions(vocab_size=104)
    with pytest.raises(DataError, match="min_frequency must be at least 1; got 0"):
        VocabOptions(min_frequency=0)
    with pytest.raises(DataError, match="num_unused must be at least 0; got -1"):
        VocabOptions(num_unused=-1)
    with pytest.raises(DataError, match="--vocab_size 110 is too small: 104 special"):
        learn(tmp_path, vocab_size=110)
    with pytest.raises(DataError, match="no words"):
        learn_vocab(Counter(), VocabOptions())
    with pytest.raises(DataError, match="input and output at once"):
        build_vocab([str(CORPUS)], str(CORPUS), VocabOptions())
    assert os.listdir(tmp_path) == []


ODD = (
    "The sea,\tthe\x0bsea\r.\nna\u00efve\u2028caf\u00e9\u3000\u642d\u5854 x\x00y\n\n"
    " Z\u0301\u00a0z\n"
)


@pytest.mark.parametrize("lower", [True, False])
def test_words_are_those_of_the_lines(monkeypatch, lower):
    text = ODD + CORPUS.read_text(encoding="utf-8") + "a" * 201 + "\n"
    lines = [line.replace("\r", "") for line in text.split("\n")]
    expected = Counter(word for line in lines for word in BasicTokenizer(lower).tokenize(line))
    del expected["a" * 201]
    blocks = [f"{line}\n".encode() for line in text.split("\n")]
    for most in (1 << 20, 10):
        monkeypatch.setattr(build_vocab_module, "_MOST_CHUNKS", most)
        words, dropped = count_words(blocks, lower)
        assert list(words.items()) == list(expected.items())
        assert dropped == 0
    assert count_words([b"a\xff b\xe9\n", b"a\xff\n"], True) == (Counter(a=2, b=1), 3)


def test_the_rarest_words_are_forgotten_before_memory_is_full(monkeypatch):
    monkeypatch.setattr(build_vocab_module, "_MOST_CHUNKS", 4)
    monkeypatch.setattr(build_vocab_module, "_MOST_WORDS", 3)
    blocks = [b"a a a b b c d e\n", b"a b f g h i\n"]
    assert count_words(blocks, True)[0] == Counter(a=4, b=3)


def test_rows_and_text_give_the_same_vocabulary(tmp_path):
    _, entries = learn(tmp_path, vocab_size=400)
    rows = tmp_path / "rows.jsonl"
    documents = CORPUS.read_text(encoding="utf-8").split("\n\n")
    rows.write_text("".join(json.dumps({"body": text}) + "\n" for text in documents))
    output = tmp_path / "v"
    reading = Reading(text_field="body")
    assert build_vocab([str(rows)], str(output), VocabOptions(vocab_size=400), reading) == 400
    assert output.read_text(encoding="utf-8").split("\n")[:-1] == entries
