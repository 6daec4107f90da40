"""Compiled tokenization gives what the tokenizer in Python gives, for every line."""

import os
import random
import sys
import unicodedata

import numpy as np
import pytest

from bert_tf.tokenization import FullTokenizer
from data_prep import scanning
from data_prep.block_tokens import BLANK, BlockTokenizer
from data_prep.byte_table import find, hash_bytes, table_of
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


@pytest.mark.parametrize("size", [63, 85, 128, 199, 200, 201, 254, 255, 256, 5000])
@pytest.mark.parametrize("text", ["the", "é", "thé", "ы", "한", "\U00010400", "a\u0301"])
def test_long_words(size, text):
    for lower in (True, False):
        tokenizer, subject = pair_of(lower)
        word = (text * size)[:size]
        block = f"{word} a {word}. é{word}漢{word} end\n"
        assert_equal(tokenizer, subject, block.encode())


@pytest.mark.parametrize("lower", [True, False])
def test_characters(lower, tmp_path):
    """Each in a word, alone, twice and beside marks; a sample, or with EVERY_CODE_POINT=1 all.

    The vocabulary has each as a piece, so that one that was folded wrongly shows.
    """
    codes = [code for code in range(128, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    if not os.environ.get("EVERY_CODE_POINT"):
        assigned = [code for code in codes if unicodedata.category(chr(code)) not in ("Cn", "Co")]
        codes = random.Random(lower).sample(assigned, 5000) + list(range(128, 0x600))
    chars = [chr(code) for code in codes]
    pieces = {part for c in chars for part in c + unicodedata.normalize("NFD", c.lower())}
    lines = ["[UNK]", "a", "##a", "s", "##s", *sorted(pieces), *(f"##{c}" for c in sorted(pieces))]
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{line}\n" for line in lines if line.isprintable()), "utf-8")
    tokenizer, subject = pair_of(lower, path)
    for first in range(0, len(chars), 1000):
        texts = (f"a{c}s {c} {c}{c}. \u0301{c}\u3099s{c}\n" for c in chars[first : first + 1000])
        assert_equal(tokenizer, subject, "".join(texts).encode())
    assert len(set(chars)) > scanning._MOST_NEW  # all at once: more than are learnt in one turn
    assert_equal(*pair_of(lower, path), f"{' '.join(chars)}\n".encode())


def test_bytes_that_are_no_utf8():
    """Cut, too long, surrogates, beyond the last: what Python's decoder ignores."""
    tokenizer, subject = pair_of()
    rng = random.Random(0)
    firsts = bytes([*range(0xBE, 0x100)])
    for _ in range(3000):
        odd = bytes(
            [
                rng.choice(firsts),
                *rng.choices([0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0x0D], k=3),
            ]
        )
        assert_equal(tokenizer, subject, b"the " + odd + b"a" + odd[: rng.randint(1, 4)] + b"\n")


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


def test_words_around_the_lengths_that_numbers_hold(tmp_path):
    """Of 1 to 20 bytes, pieces and spelt; each comes again, remembered by then."""
    long = "abcdefghijklmnopqrst"
    pieces = [long[:size] for size in range(1, 21, 2)] + ["##" + long[i] for i in range(20)]
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces, "##bcdefghijklmnop"]))
    tokenizer, subject = pair_of(vocab=path)
    words = [long[start : start + size] for size in range(1, 21) for start in range(21 - size)]
    words += [word + "9" for word in words]
    assert_equal(tokenizer, subject, (" ".join(words * 2) + "\n").encode())


def test_words_that_take_each_others_place_in_memory():
    """More spelt words than are kept."""
    rng = random.Random(5)
    tokenizer, subject = pair_of()
    words = ["".join(rng.choices("aeioubcdst", k=rng.randint(4, 14))) for _ in range(9000)]
    assert_equal(tokenizer, subject, (" ".join(words + words[:500]) + "\n").encode())


def test_a_piece_that_ends_in_nul_bytes_is_not_the_shorter_one(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[UNK]", "[CLS]", "[SEP]", "[MASK]", "ab\0", "ab", "a\0", "##c\0"]))
    tokenizer, subject = pair_of(vocab=path)
    assert_equal(tokenizer, subject, b"ab a ac abc, and so it goes on for a while\n")


def test_no_code_point_gives_more_tokens_than_it_has_bytes():
    """The room for tokens rests on it: a piece has a character at least."""
    for code in range(128, sys.maxunicode + 1):
        if not 0xD800 <= code < 0xE000:
            folded = unicodedata.normalize("NFD", chr(code).lower())
            kept = [char for char in folded if unicodedata.category(char) != "Mn"]
            assert len(kept) <= len(chr(code).encode()), hex(code)


def test_a_blank_line_is_what_strip_leaves_nothing_of():
    _, subject = pair_of()
    block = "\n \t\n\x1c\x0b\n\u3000\u2028\n\x00\n\u200b\n.\n".encode() + b"\xff\n"
    counts = subject.tokenize(block).counts.tolist()
    assert counts == [BLANK, BLANK, BLANK, BLANK, 0, 0, 1, BLANK]


def hashed_of(data, start, length, mark):
    return np.uint64(hash_bytes(data, start, start + length, mark))


def test_tables_find_what_they_hold_by_bytes_and_mark():
    keys = [(b"a", 0), (b"a", 1), (b"", 0), (b"abc", 1), ("é".encode(), 0)]
    table = table_of([key for key, _ in keys], np.array([mark for _, mark in keys], np.uint8))
    for entry, (key, mark) in enumerate(keys, 1):
        data = np.frombuffer(b"--" + key + b"-", np.uint8)
        hashed = hashed_of(data, 2, len(key), mark)
        assert find(*table, data, 2, len(key), mark, hashed) == entry
        assert find(*table, data, 2, len(key), 1 - mark, hashed) == 0  # same hash, other mark


def test_a_full_table_still_finds_and_misses():
    keys = [bytes([i, j]) for i in range(5) for j in range(10)]
    table = table_of(keys, np.zeros(50, np.uint8))
    data = np.frombuffer(b"".join(keys) + b"\x09\x09", np.uint8)
    found = [
        find(*table, data, start, 2, 0, hashed_of(data, start, 2, 0)) for start in range(0, 102, 2)
    ]
    assert found == [*range(1, 51), 0]


def test_keys_that_no_length_fits_are_refused():
    with pytest.raises(ValueError, match="Keys may have 255 bytes, not 256"):
        table_of([b"x" * 256], np.zeros(1, np.uint8))
