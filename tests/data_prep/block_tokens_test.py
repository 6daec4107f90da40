"""Compiled tokenization gives what the tokenizer in Python gives, for every line."""

import random
import sys
import unicodedata

import numpy as np
import pytest

from bert_tf.tokenization import FullTokenizer
from data_prep import block_tokens
from data_prep.block_tokens import BLANK, BlockTokenizer
from data_prep.byte_table import empty_table, find, hash_bytes, insert, table_of
from tests.data_prep.create_pretraining_data_test import SHARED, SMALL, VOCAB


def expected_of(tokenizer, block):
    """Tokens, counts and dropped bytes by the plain way."""
    tokens, counts, dropped = [], [], 0
    for raw in block.split(b"\n")[:-1]:
        kept = raw.replace(b"\r", b"")
        text = kept.decode("utf-8", "ignore")
        dropped += len(kept) - len(text.encode())
        ids = tokenizer.encode(text)
        tokens += ids
        counts.append(len(ids) if text.strip() else BLANK)
    return tokens, counts, dropped


def assert_equal(tokenizer, subject, block):
    found = subject.tokenize(block)
    got = found.tokens.tolist(), found.counts.tolist(), found.dropped_bytes
    assert got == expected_of(tokenizer, block), block


def pair_of(lower=True, vocab=VOCAB):
    tokenizer = FullTokenizer(vocab, lower)
    return tokenizer, BlockTokenizer(tokenizer)


POOLS = {
    "ascii": bytes(range(128)),
    "bytes": bytes(range(256)),
    "words": b"abc sthe \n\r\t.,##[MASK]UNK\x0b\x1c\x00",
    "unicode": "é ü 漢 字 Σ ς İ \u3000 \u2028 \u0301 a b\n\x85\xa0 \ufffd 한글 \u1d160".encode(),
}


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("pool", POOLS)
def test_random_blocks(pool, lower):
    rng = random.Random(pool)
    tokenizer, subject = pair_of(lower)
    for _ in range(400):
        size = rng.randint(0, 300)
        assert_equal(tokenizer, subject, bytes(rng.choices(POOLS[pool], k=size)) + b"\n")


@pytest.mark.parametrize("lower", [True, False])
def test_every_byte_beside_letters_and_alone(lower):
    tokenizer, subject = pair_of(lower)
    for byte in range(128):
        one = bytes([byte])
        for block in (one, b"a" + one + b"s", one + b"The", b"\xc3\xa9" + one, one + b"\xc3\xa9 b"):
            assert_equal(tokenizer, subject, block + b"\n")


@pytest.mark.parametrize("size", [63, 64, 65, 199, 200, 201, 5000])
def test_long_words(size):
    tokenizer, subject = pair_of()
    word = b"the" * size
    for block in (word[:size], b"a " + word[:size] + b".", b"\xc3\xa9" + word[:size]):
        assert_equal(tokenizer, subject, block + b" end\n")


def test_text_of_the_goldens():
    tokenizer, subject = pair_of()
    for _ in range(2):  # the second time from memory
        assert_equal(tokenizer, subject, (SMALL / "corpus.txt").read_bytes() + b"\n")


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the large data is not here")
@pytest.mark.parametrize(
    ("vocab", "lower"),
    [("uncased_30522", True), ("multi_cased_119547", False), ("chinese_21128", True)],
)
def test_real_texts(vocab, lower):
    tokenizer, subject = pair_of(lower, SHARED / "data" / "vocab" / f"{vocab}_vocab.txt")
    for name in ("wiki_en", "xquad_multi"):
        text = (SHARED / "goldens" / "corpora" / f"{name}.txt").read_bytes()
        assert_equal(tokenizer, subject, text + b"\n")


def test_odd_vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    entries = [
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
        "[MASK]",
    ]
    path.write_text("\n".join(entries), encoding="utf-8")
    tokenizer, subject = pair_of(vocab=path)
    for text in ("a aa ab aba ba # ## ##a", "é aé éa", "x" * 300, "ab c", "[MASK] [UNK]", "q"):
        assert_equal(tokenizer, subject, text.encode() + b"\n")


def test_no_code_point_gives_more_tokens_than_it_has_bytes():
    """The room for tokens rests on it: a piece has a character at least."""
    for code in range(128, sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000:
            folded = unicodedata.normalize("NFD", chr(code).lower())
            kept = [char for char in folded if unicodedata.category(char) != "Mn"]
            assert len(kept) <= len(chr(code).encode()), hex(code)


def test_forgetting_changes_nothing(monkeypatch):
    monkeypatch.setattr(block_tokens, "_REMEMBERED_CHUNKS", 3)
    tokenizer, subject = pair_of()
    words = [f"{letter}é" for letter in "abcdefgh"]
    rng = random.Random(0)
    for _ in range(50):
        assert_equal(tokenizer, subject, " ".join(rng.choices(words, k=6)).encode() + b"\n")


def test_a_blank_line_is_what_strip_leaves_nothing_of():
    _, subject = pair_of()
    block = "\n \t\n\x1c\x0b\n\u3000\u2028\n\x00\n\u200b\n.\n".encode() + b"\xff\n"
    counts = subject.tokenize(block).counts.tolist()
    assert counts == [BLANK, BLANK, BLANK, BLANK, 0, 0, 1, BLANK]


def test_tables_find_what_they_hold_by_bytes_and_mark():
    keys = [(b"a", 0), (b"a", 1), (b"", 0), (b"abc", 1), ("é".encode(), 0)]
    table = table_of(keys)
    for entry, (key, mark) in enumerate(keys, 1):
        data = np.frombuffer(b"--" + key + b"-", np.uint8)
        hashed = np.uint64(hash_bytes(data, 2, 2 + len(key), mark))
        assert find(*table, data, 2, len(key), mark, hashed) == entry
        assert find(*table, data, 2, len(key), 1 - mark, hashed) == 0  # same hash, other mark


def test_a_full_table_still_finds_and_misses():
    table = empty_table(50, 2)
    keys = [bytes([i, j]) for i in range(5) for j in range(10)]
    for entry, key in enumerate(keys, 1):
        insert(*table, entry, np.frombuffer(key, np.uint8), 0)
    data = np.frombuffer(b"".join(keys) + b"\x09\x09", np.uint8)
    hashes = [np.uint64(hash_bytes(data, i, i + 2, 0)) for i in range(0, 102, 2)]
    found = [find(*table, data, 2 * i, 2, 0, hashed) for i, hashed in enumerate(hashes)]
    assert found == [*range(1, 51), 0]


def test_keys_that_no_length_fits_are_refused():
    with pytest.raises(ValueError, match="Keys may have 255 bytes, not 256"):
        empty_table(1, 256)
