"""The tokenizer in the graph equals the one in Python: ids and offsets, on all kinds of text."""

import os
import random
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.tokenization import FullTokenizer, MissingTokenError
from saved_models.agreement import LONG_CHUNK, agreeing, agreeing_line
from saved_models.graph_tokenizer import GraphTokenizer

ROOT = Path(__file__).parents[2]
VOCAB = ROOT / "tests" / "goldens" / "vocab.txt"
SHARED = ROOT.parent / "shared"
EVERY = bool(os.environ.get("EVERY_CODE_POINT"))
CODE_POINTS = [
    code
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) not in ("Cn", "Cs")
]
CONTEXTS = (("", ""), ("a", "c"), ("a", " "), (" ", "b"), ("Σ", "Σ"), ("aΣ", "e"))


def both(vocab, lower):
    graph = GraphTokenizer(vocab, lower)
    compiled = tf.function(
        graph.tokenize_with_offsets, input_signature=[tf.TensorSpec([None], tf.string)]
    )
    return FullTokenizer(vocab, lower), compiled


@pytest.fixture(scope="module", params=[True, False], ids=["uncased", "cased"])
def tokenizers(request):
    return both(VOCAB, request.param)


def assert_equal(tokenizers, lines):
    """Ids; and offsets, where the text is valid, so that characters have bytes."""
    plain, graph = tokenizers
    raw = [line.encode() if isinstance(line, str) else line for line in lines]
    found = graph(tf.constant(raw, tf.string))
    flat = [part.merge_dims(1, 2).to_list() for part in found]
    for line, ids, starts, ends in zip(lines, *flat, strict=True):
        tokens, offsets = plain.tokenize_with_offsets(line)
        assert ids == plain.convert_tokens_to_ids(tokens), repr(line)
        if isinstance(line, str):
            size = [0, *np.cumsum([len(char.encode()) for char in line]).tolist()]
            expected = [(size[start], size[end]) for start, end in offsets]
            assert list(zip(starts, ends, strict=True)) == expected, repr(line)


def test_words_are_an_axis(tokenizers):
    plain, graph = tokenizers
    lines = ["the lamp's stairs", "", "Stairs é"]
    ids = graph(tf.constant(lines)).ids
    for line, words in zip(lines, ids.to_list(), strict=True):
        texts = plain.basic_tokenizer.tokenize(line)
        pieces = [plain.wordpiece_tokenizer.tokenize(text) for text in texts]
        assert words == [plain.convert_tokens_to_ids(part) for part in pieces]


def test_awkward_lines(tokenizers):
    assert_equal(
        tokenizers,
        [
            "", " ", "\t\n", "a", "Hello, world!", "ΑΣ ΑΣΑ Σ. ΟΔΟΣ ΑΣ\u0301 ΑΣ\u0301Α 1Σ Σ",
            "漢字x漢\u0301", "\u0301a\u0301 b\u0301", "İstanbul ıßﬁ", "한글 각\u11a8", "[MASK]##s",
            "a\U0001d16d\U0001d165b", "a\u302f\u302eb\u0301", "\u037e\u1fef\u2260", "\ufdfa\u0344",
            "soft\u00adhyphen zero\u200bwidth \ufffd", "a\u2028b\u2029c\u3000d\x85e\x0bf\x1cg",
        ],
    )  # fmt: skip


@pytest.mark.parametrize("size", [100, 101, 199, 200, 201, 1000])
def test_long_words(tokenizers, size):
    lines = [letter * size + tail for letter in "aé漢\U00010400" for tail in ("", " the", ".")]
    assert_equal(tokenizers, lines)


def test_bytes_that_are_not_utf8_are_left_out(tokenizers):
    assert_equal(
        tokenizers,
        [b"a\xffb \xe2\x82 c \xed\xa0\x80 s", b"\xf4\x90\x80\x80 a", b"\xc0\x80b", b"a\x80",
         b"\xf8\x88\x80\x80\x80t", b"\xe2\x28\xa1", b"\xe2\x82", b"\xff"],
    )  # fmt: skip


POOL = (
    "abcXYZthe  .,#$-é ü漢ΣσςΑİıßﬁ\u0301\u0345\u3000\u2028\ufffd\u200b\u00ad한글각\u1100\u1161"
    "\U0001d165\U0001d16d\u302e\u302f'’:·\n\t\r\x00\x85"
)


@pytest.mark.parametrize("seed", range(10))
def test_random_strings(tokenizers, seed):
    rng = random.Random(seed)
    lines = ["".join(rng.choices(POOL, k=rng.randint(0, 30))) for _ in range(300)]
    lines += ["".join(map(chr, rng.choices(CODE_POINTS, k=8))) for _ in range(300)]
    assert_equal(tokenizers, lines)


@pytest.mark.parametrize("seed", range(3))
def test_lines_of_agreeing_characters(tokenizers, seed):
    """They go through the fast tokenizer, if their chunks are short."""
    plain, _ = tokenizers
    lower, rng = plain.do_lower_case, random.Random(seed)
    chars = [chr(code) for code in agreeing(lower)]
    assert 1300 < len(chars) < 1632
    assert "é" in chars
    assert not {"Σ", "İ", "\u00ad"} & set(chars)
    lines = []
    for _ in range(300):
        pool = [*rng.sample(chars, 12), *"ab the. ", " "]
        lines.append("".join(rng.choices(pool, k=rng.randint(1, 200))))
    for size in (66, 67, 120, 201):
        lines += ["é" * size + " é", "–" * size, "a\u00a0" * size, f"the {'ế' * size}. –"]
    found = tf.strings.regex_full_match(lines, agreeing_line(lower)).numpy()
    long = tf.strings.regex_full_match(lines, LONG_CHUNK).numpy()
    assert found.all()
    assert long[-16:-12].tolist() == [False, False, True, True]
    assert_equal(tokenizers, lines)


def test_every_pair_of_ascii(tokenizers):
    chars = [chr(code) for code in range(128)]
    assert_equal(tokenizers, [a + b for a in chars for b in chars])


def test_code_points_in_contexts(tokenizers):
    """A sample; all of them with EVERY_CODE_POINT=1."""
    codes = CODE_POINTS if EVERY else random.Random(0).sample(CODE_POINTS, 6000)
    for start in range(0, len(codes), 2000):
        chars = [chr(code) for code in codes[start : start + 2000]]
        for before, after in CONTEXTS:
            assert_equal(tokenizers, [before + char + after for char in chars])


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the large data is not here")
@pytest.mark.parametrize(
    ("vocab", "lower"),
    [("uncased_30522", True), ("multi_cased_119547", False), ("chinese_21128", True)],
)
def test_real_texts(vocab, lower):
    pair = both(SHARED / "data" / "vocab" / f"{vocab}_vocab.txt", lower)
    for name in ("wiki_en", "xquad_multi"):
        text = (SHARED / "goldens" / "corpora" / f"{name}.txt").read_text(encoding="utf-8")
        assert_equal(pair, text.split("\n")[:1500])


def test_odd_vocabulary(tmp_path):
    """Empty lines, tokens that stand twice, and tokens that no text can give."""
    path = tmp_path / "vocab.txt"
    tokens = [
        "[UNK]",
        "",
        "a",
        "##a",
        "##",
        "#",
        "a",
        "é",
        "##é",
        "x" * 300,
        "ab c",
        "##b",
        "\u2028",
        "\ufffd",
    ]
    path.write_text("\n".join(tokens), encoding="utf-8")
    for lower in (True, False):
        texts = [
            "a aa ab aba ba # ## ##a",
            "é aé éa",
            "x" * 300,
            "ab c \u2028",
            "[MASK] [UNK]",
            "q",
        ]
        assert_equal(both(path, lower), texts)


def test_a_vocabulary_needs_unk(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("a\nb")
    with pytest.raises(MissingTokenError, match=r"must hold \[UNK\]"):
        GraphTokenizer(path)
