"""The kept corpus: that of the exact mode, made once, gone on with after a crash."""

import json
import os
import time

import numpy as np
import pytest

from bert_tf.tokenization import FullTokenizer
from data_prep import corpus_store, documents, kept
from data_prep.corpus_store import Source, corpus_folder, make_corpus, tokenize_part
from data_prep.documents import TextReader, build_corpus, tokenize_blocks
from data_prep.options import DataError
from data_prep.store import Scratch
from tests.support.texts import VOCAB, write_texts

FILES = 3


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 2000)
    monkeypatch.setattr(corpus_store, "_LINES_OF_A_BLOCK", 37)
    monkeypatch.setattr(kept, "_SECONDS_BETWEEN_KEEPS", 0.0)


@pytest.fixture
def source(tmp_path):
    write_texts(tmp_path, FILES, 0.03)
    names = tuple(str(tmp_path / f"text{number}.txt") for number in range(FILES))
    return Source(names, str(VOCAB), True, str(tmp_path))


def assert_right(stored, source):
    """The corpus is what the exact mode makes of the text."""
    tokenizer = FullTokenizer(source.vocab_file, source.do_lower_case)
    with Scratch(source.scratch_dir) as scratch:
        blocks = tokenize_blocks(TextReader().blocks(source.input_files), tokenizer, 1)
        expected = build_corpus(blocks, len(tokenizer.vocab), scratch)
        for name in ("tokens", "sentence_starts", "document_starts"):
            wanted, got = getattr(expected, name), getattr(stored.corpus, name)
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)
    stored.release()
    assert stored.corpus.tokens[0] >= 0


@pytest.mark.parametrize("workers", [1, 3])
def test_the_corpus_is_that_of_the_exact_mode(source, workers):
    progress = []
    stored = make_corpus(source, workers, progress.append)
    assert_right(stored, source)
    assert sum(progress) == sum(map(os.path.getsize, source.input_files))
    assert sorted(os.listdir(stored.folder.parent)) == ["corpus", "lock"]


def test_files_tokenized_one_by_one_in_any_order_are_the_same_corpus(source):
    def elsewhere(source, parts):
        assert [list(files) for files in parts] == [[name] for name in source.input_files]
        for number in (2, 0, 1, 0):
            tokenize_part(source, number, parts[number])

    in_parts = make_corpus(source, 1, tokenize=elsewhere)
    assert_right(in_parts, source)
    whole = make_corpus(
        Source(source.input_files, source.vocab_file, True, f"{source.scratch_dir}/b"), 1
    )
    assert whole.facts["unknown_words"].keys() == in_parts.facts["unknown_words"].keys()


def test_parts_of_older_versions_told_nothing_of_the_input(source):
    tokenize_part(source, 0, source.input_files)
    journal = corpus_folder(source) / "text-00000/journal.json"
    content = json.loads(journal.read_text())
    assert content["facts"].pop("input_report").startswith("input: read ")
    journal.write_text(json.dumps(content))
    stored = make_corpus(source, 1)
    assert_right(stored, source)
    assert stored.facts["input_report"] == ""


def test_a_part_that_nobody_tokenized_is_an_error(source):
    def elsewhere(source, parts):
        tokenize_part(source, 0, parts[0])

    with pytest.raises(DataError, match="Part 1 of the text was not tokenized"):
        make_corpus(source, 1, tokenize=elsewhere)
    assert not (corpus_folder(source) / "corpus").exists()


def test_a_corpus_is_made_once(source, monkeypatch):
    first = make_corpus(source, 1)
    monkeypatch.setattr(TextReader, "blocks", lambda *_: pytest.fail("the text was read again"))
    progress = []
    again = make_corpus(source, 1, progress.append)
    assert sum(progress) == sum(map(os.path.getsize, source.input_files))
    np.testing.assert_array_equal(again.corpus.tokens, first.corpus.tokens)
    assert again.facts == first.facts


class StopError(Exception):
    """Stands for a crash."""


def crash_after(monkeypatch, blocks):
    """Lets so many blocks be tokenized; counts all."""
    tokenize, done = corpus_store.tokenize_blocks, []

    def stopping(*arguments):
        for block in tokenize(*arguments):
            if len(done) == blocks:
                raise StopError
            done.append(block)
            yield block

    monkeypatch.setattr(corpus_store, "tokenize_blocks", stopping)
    return done


def test_a_crash_costs_only_what_was_not_kept(source, monkeypatch):
    undisturbed = make_corpus(
        Source(source.input_files, source.vocab_file, True, f"{source.scratch_dir}/b"), 1
    )
    done = crash_after(monkeypatch, 7)
    with pytest.raises(StopError):
        make_corpus(source, 1)
    monkeypatch.undo()
    monkeypatch.setattr(documents, "_BLOCK_BYTES", 2000)
    rest = crash_after(monkeypatch, -1)
    stored = make_corpus(source, 2)
    assert_right(stored, source)
    assert stored.facts == undisturbed.facts
    assert len(done) == 7
    total = len(list(TextReader().blocks(source.input_files)))
    assert len(rest) == total - 7


def test_text_vocabulary_and_case_each_have_their_corpus(source, tmp_path):
    digests = {source.digest()}
    again = Source(source.input_files, source.vocab_file, True, f"{tmp_path}/elsewhere")
    assert again.digest() in digests
    digests.add(Source(source.input_files, source.vocab_file, False, str(tmp_path)).digest())
    digests.add(Source(source.input_files[::-1], source.vocab_file, True, str(tmp_path)).digest())
    vocab = tmp_path / "vocab.txt"
    vocab.write_text(VOCAB.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    digests.add(Source(source.input_files, str(vocab), True, str(tmp_path)).digest())
    later = time.time_ns() + 10**9
    os.utime(source.input_files[0], ns=(later, later))
    digests.add(source.digest())
    assert len(digests) == 5


def test_no_text_leaves_no_corpus(tmp_path):
    (tmp_path / "empty").write_text("\n\n")
    source = Source((str(tmp_path / "empty"),), str(VOCAB), True, str(tmp_path))
    with pytest.raises(DataError, match="The input files hold no text"):
        make_corpus(source, 1)
    assert not (corpus_folder(source) / "corpus").exists()


def test_a_vocabulary_without_unknown_is_refused(tmp_path):
    (tmp_path / "vocab").write_text("[PAD]\n[CLS]\n")
    with pytest.raises(DataError, match=r"--vocab_file: .*\[UNK\]"):
        Source((), str(tmp_path / "vocab"), True, str(tmp_path)).tokenizer()
