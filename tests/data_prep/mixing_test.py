"""Corpora mixed by weight, counted lines, and noise."""

import random
from collections import Counter

import numpy as np
import pytest

from data_prep.block_tokens import BLANK, TokenBlock
from data_prep.line_counts import LineCounter
from data_prep.mixing import Mixture, TextInput, corpora_of, some_documents
from data_prep.noise import truncate_lines
from data_prep.options import DataError
from data_prep.readers import AS_IT_IS


def documents(name, count, lines=2):
    """Documents whose lines say where they stand."""
    return "\n".join(
        "".join(f"{name} {number} {line}\n" for line in range(lines)) for number in range(count)
    )


@pytest.fixture
def corpora(tmp_path):
    """Files of three corpora, and a pattern for each."""
    (tmp_path / "a1").write_text(documents("a", 300))
    (tmp_path / "a2").write_text(documents("A", 100))
    (tmp_path / "b1").write_text(documents("b", 40))
    (tmp_path / "c1").write_text(documents("c", 5))
    return ",".join(str(tmp_path / f"{name}*") for name in "abc")


def read(corpora, weights=(), exponent=None, seed=1):
    """How often each document was read, and the input; documents are whole."""
    files, mixture = corpora_of(corpora, weights, exponent, seed)
    text = TextInput(files, AS_IT_IS, mixture)
    found = b"".join(text.blocks()).decode().split("\n\n")
    times = Counter()
    for document in found:
        lines = document.strip("\n").split("\n")
        if lines != [""]:
            names = [tuple(line.split()) for line in lines]
            # Files of one corpus follow each other without a boundary, as in the original.
            for start in range(0, len(names), 2):
                name, number, _ = names[start]
                assert names[start : start + 2] == [(name, number, "0"), (name, number, "1")]
                times[name, int(number)] += 1
    return times, text


def test_without_weights_all_is_read_once(corpora):
    times, text = read(corpora)
    assert set(times.values()) == {1}
    assert len(times) == 445
    assert corpora_of(corpora, [], None, 0)[1] is None
    assert text.report().startswith("input: read 890 lines, ")


def test_weights_say_how_often(corpora):
    times, text = read(corpora, ["0.25", "2", "2.5"])
    first = [count for (name, _), count in times.items() if name in "aA"]
    assert set(first) == {1}
    assert 70 < len(first) < 130
    assert {times["b", number] for number in range(40)} == {2}
    third = [times["c", number] for number in range(5)]
    assert set(third) == {2, 3}
    assert text.counts().lines == 890  # each line once
    assert "c*: each document 2.5 times on average" in text.report()


def test_a_weight_of_zero_leaves_a_corpus_out(corpora):
    times, _ = read(corpora, ["0", "1", "0"])
    assert {name for name, _ in times} == {"b"}


def test_the_seed_chooses_the_documents(corpora):
    chosen = [set(read(corpora, ["0.5", "0", "0"], seed=seed)[0]) for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]


def test_exponent_smooths_shares_as_the_multilingual_models(corpora):
    sizes = [60_000, 30_000, 10_000, 0]
    mixture = Mixture(tuple("abcd"), (1,) * 4, (1.0,) * 4, 0.7)
    times = mixture.times(sizes)
    got = np.array([size * time for size, time in zip(sizes, times, strict=True)])
    smoothed = np.array([0.6, 0.3, 0.1]) ** 0.7
    np.testing.assert_allclose(got[:3] / got.sum(), smoothed / smoothed.sum())
    assert got.sum() == pytest.approx(100_000)
    assert times[3] == 1.0
    same = Mixture(tuple("abcd"), (1,) * 4, (1.0,) * 4, 1.0).times(sizes)
    assert same == pytest.approx([1.0] * 4)


def test_exponent_over_files(corpora):
    times, text = read(corpora, exponent=0.7)
    of_c = [times["c", number] for number in range(5)]
    assert min(of_c) >= 3
    assert sum(times["a", number] for number in range(300)) < 300
    assert text.report().count("times on average") == 3


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_documents_are_chosen_whatever_the_blocks(size):
    lines = documents("x", 50, 3).encode().splitlines(keepends=True)
    blocks = [b"".join(lines[at : at + size]) for at in range(0, len(lines), size)]
    kept = b"".join(some_documents(blocks, 0.4, random.Random(3))).split(b"\n\n")
    whole = b"".join(some_documents([b"".join(lines)], 0.4, random.Random(3)))
    assert kept == whole.split(b"\n\n")
    assert 10 < len([document for document in kept if document.strip()]) < 30


@pytest.mark.parametrize(
    ("weights", "exponent", "message"),
    [
        (["1", "2"], None, r"one number for each of the 3 patterns of --input_file; got 2"),
        (["1", "x", "2"], None, "--weights must be numbers; got 1,x,2"),
        (["1", "-1", "2"], None, r"--weights must be from 0 to 1000 and not all 0; got 1\.0,-1\.0"),
        (["0", "0", "0"], None, "not all 0"),
        (["1", "nan", "0"], None, "from 0 to 1000"),
        ([], 1.5, r"--sampling_exponent must be from 0 to 1; got 1\.5"),
    ],
)
def test_mixtures_are_checked(corpora, weights, exponent, message):
    with pytest.raises(DataError, match=message):
        corpora_of(corpora, weights, exponent, 0)


def count(*blocks):
    counter = LineCounter()
    for block in blocks:
        counter.add(block)
    return counter.result()


def test_lines_are_compared_by_letters_and_digits():
    found = count(
        b"The sea, 1874.\n\n \t\r\n  the SEA 1999!\n", "Das Meer ü.\nDas Meer ö.\n".encode()
    )
    assert (found.lines, found.blank, found.repeated, found.estimated) == (4, 2, 1, False)
    assert str(found) == (
        "4 lines, 1 of them (25.0 %) nearly the same as an earlier one; 2 blank lines"
    )


def test_no_line_at_all():
    assert str(count()).startswith("0 lines, 0 of them (0.0 %)")


def words(number):
    """A line of letters for a number."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


def test_many_lines_are_estimated_from_a_sample_of_them():
    rng = random.Random(0)
    numbers = list(range(1_500_000)) + [rng.randrange(1_500_000) for _ in range(300_000)]
    text = "".join(f"{words(number)}\n" for number in numbers).encode()
    found = count(text)
    assert found.lines == 1_800_000
    assert found.estimated
    assert found.repeated == pytest.approx(300_000, rel=0.03)


def block_of(*counts):
    tokens = [token for count in counts for token in range(1, max(count, 0) + 1)]
    return TokenBlock(np.array(tokens, np.int32), np.array(counts, np.int32), 0)


def test_a_share_of_the_lines_keeps_only_their_beginning():
    blocks = [block_of(10, BLANK, 1, 0, 10) for _ in range(4000)]
    cut = list(truncate_lines(blocks, 0.2, random.Random(1)))
    lengths = Counter()
    for block in cut:
        assert block.counts[[1, 2, 3]].tolist() == [BLANK, 1, 0]
        first, last = int(block.counts[0]), int(block.counts[4])
        expected = [*range(1, first + 1), 1, *range(1, last + 1)]
        assert block.tokens.tolist() == expected
        lengths.update([first, last])
    assert 1450 < 8000 - lengths[10] < 1750
    assert set(lengths) == set(range(1, 11))
    assert max(lengths[n] for n in range(1, 10)) < 1.5 * min(lengths[n] for n in range(1, 10))


def test_noise_does_not_depend_on_blocks():
    whole = [block_of(*range(2, 40))]
    single = [block_of(count) for count in range(2, 40)]
    cut = [list(truncate_lines(blocks, 0.5, random.Random(4))) for blocks in (whole, single)]
    counts = [np.concatenate([block.counts for block in blocks]).tolist() for blocks in cut]
    assert counts[0] == counts[1] != list(range(2, 40))
