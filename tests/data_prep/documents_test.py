"""Reading of documents: lines as the original's reader hands them out."""

import gzip

import numpy as np
import pytest

from bert_tf.tokenization import FullTokenizer
from data_prep import documents
from data_prep.block_tokens import BLANK, TokenBlock
from data_prep.documents import TextReader, build_corpus, tokenize_blocks, total_size
from data_prep.options import DataError
from data_prep.store import Scratch
from tests.data_prep.create_pretraining_data_test import VOCAB


def block_of(*counts):
    """A line for each count; its tokens are numbered within the line."""
    tokens = [token for count in counts for token in range(1, count + 1)]
    return TokenBlock(np.array(tokens, np.int32), np.array(counts, np.int32), 0)


def lines_of(reader, *paths):
    """The lines as the tokenizer sees them."""
    blocks = b"".join(reader.blocks([str(path) for path in paths]))
    return [line.decode().strip() for line in blocks.replace(b"\r", b"").split(b"\n")[:-1]]


@pytest.fixture
def scratch(tmp_path):
    with Scratch(tmp_path) as made:
        yield made


@pytest.mark.parametrize(("vocab_size", "dtype"), [(2**16, np.uint16), (2**16 + 1, np.int32)])
def test_flat_arrays(scratch, vocab_size, dtype):
    blocks = [block_of(BLANK, 2, 1), block_of(), block_of(BLANK, BLANK, 4, BLANK), block_of(1)]
    corpus = build_corpus(blocks, vocab_size, scratch)
    assert corpus.tokens.dtype == dtype
    assert corpus.tokens.tolist() == [1, 2, 1, 1, 2, 3, 4, 1]
    assert corpus.sentence_starts.tolist() == [0, 2, 3, 7, 8]
    assert corpus.document_starts.tolist() == [0, 2, 3, 4]
    assert corpus.documents == 3


def test_a_line_without_tokens_is_no_boundary(scratch):
    corpus = build_corpus([block_of(1, 0, 1)], 99, scratch)
    assert corpus.documents == 1
    assert corpus.sentence_starts.tolist() == [0, 1, 2]


@pytest.mark.parametrize("lines", [[], [BLANK, BLANK], [0, 0]])
def test_no_text_is_refused(scratch, lines):
    with pytest.raises(DataError, match="hold no text"):
        build_corpus([block_of(*lines)], 99, scratch)


def test_blocks_are_whole_lines_whatever_their_length(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 7)
    path = tmp_path / "t"
    text = b"a\nbb bb\n\n" + b"long line " * 20 + b"\n\xc3\xa9\nlast"
    path.write_bytes(text)
    blocks = list(TextReader().blocks([str(path), str(path)]))
    assert b"".join(blocks) == (text + b"\n") * 2
    assert all(block.endswith(b"\n") for block in blocks)
    assert len(blocks) > 6


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_keep_the_order(workers):
    tokenizer = FullTokenizer(VOCAB)
    lines = [b"the lamp " * n + "é\xff\n".encode("latin1") for n in range(40)]
    found = list(tokenize_blocks(lines, tokenizer, workers))
    for line, block in zip(lines, found, strict=True):
        assert block.tokens.tolist() == tokenizer.encode(line)
        assert block.dropped_bytes == 2


@pytest.mark.parametrize("end", [b"", b"last", b" ", b"\r", b"\r\n"])
def test_carriage_returns_vanish_also_within_lines_as_tensorflow_reads(tmp_path, end):
    import tensorflow as tf

    path = tmp_path / "t"
    path.write_bytes(b"one\rtwo \r\n\r\nthree\x0bx\x1c\n\xc2\x85\n" + end)
    with tf.io.gfile.GFile(str(path), "r") as file:
        expected = [line.strip() for line in iter(file.readline, "")]
    assert lines_of(TextReader(), path) == expected
    assert expected[:2] == ["onetwo", ""]


def test_progress_adds_up_to_the_size_on_disk(tmp_path):
    plain, packed = tmp_path / "a", tmp_path / "b"
    plain.write_bytes(b"some words\n" * 5000)
    packed.write_bytes(gzip.compress(b"some words\n" * 5000))
    paths, seen = [str(plain), str(packed)], []
    assert len(lines_of(TextReader(seen.append), *paths)) == 10000
    assert sum(seen) == total_size(paths)
    assert len(seen) >= 4
