"""Reading of documents: lines as the original's reader hands them out."""

import gzip

import pytest

from data_prep.documents import TextReader, build_corpus, total_size
from data_prep.options import DataError


def corpus_of(lines):
    return build_corpus(iter(lines), lambda line: [len(word) for word in line.split()])


def test_flat_arrays():
    corpus = corpus_of(["", "a bb", "ccc", "", "", "dddd", "", "e"])
    assert corpus.tokens.tolist() == [1, 2, 3, 4, 1]
    assert corpus.sentence_starts.tolist() == [0, 2, 3, 4, 5]
    assert corpus.document_starts.tolist() == [0, 2, 3, 4]
    assert corpus.documents == 3


def test_a_line_without_tokens_is_no_boundary():
    corpus = build_corpus(iter(["a", "?", "b"]), lambda line: [] if line == "?" else [1])
    assert corpus.documents == 1
    assert corpus.sentence_starts.tolist() == [0, 1, 2]


@pytest.mark.parametrize("lines", [[], ["", ""]])
def test_no_text_is_refused(lines):
    with pytest.raises(DataError, match="hold no text"):
        corpus_of(lines)


@pytest.mark.parametrize("end", [b"", b"last", b" ", b"\r", b"\r\n"])
def test_carriage_returns_vanish_also_within_lines_as_tensorflow_reads(tmp_path, end):
    import tensorflow as tf

    path = tmp_path / "t"
    path.write_bytes(b"one\rtwo \r\n\r\nthree\x0bx\x1c\n\xc2\x85\n" + end)
    with tf.io.gfile.GFile(str(path), "r") as file:
        expected = [line.strip() for line in iter(file.readline, "")]
    assert list(TextReader().lines([str(path)])) == expected
    assert expected[:2] == ["onetwo", ""]


def test_progress_adds_up_to_the_size_on_disk(tmp_path):
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_bytes(b"some words\n" * 5000)
    packed.write_bytes(gzip.compress(b"some words\n" * 5000))
    paths, seen = [str(plain), str(packed)], []
    assert len(list(TextReader(seen.append).lines(paths))) == 10000
    assert sum(seen) == total_size(paths)
    assert len(seen) >= 4


def test_dropped_bytes_are_counted(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"a\xffb\n\xe2\x82\nfine \xe2\x82\xac\n")
    reader = TextReader()
    assert list(reader.lines([str(path)])) == ["ab", "", "fine €"]
    assert reader.dropped_bytes == 3
