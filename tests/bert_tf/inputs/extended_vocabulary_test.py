"""Where new words go."""

import pytest

from bert_tf.inputs.extended_vocabulary import extend_vocabulary, spelling
from bert_tf.tokenization import FullTokenizer
from tests.support import small

TOKENS = ["[PAD]", "[unused0]", "[UNK]", "[unused1]", "a", "##b", "##c", "ab", "sea", "##sea"]


def tokenizer_of(tmp_path, tokens=TOKENS, lower=True):
    path = tmp_path / "vocab.txt"
    path.write_text("".join(f"{token}\n" for token in tokens))
    return FullTokenizer(path, lower)


def test_unused_entries_first_then_behind_the_last(tmp_path):
    tokenizer = tokenizer_of(tmp_path)
    found = extend_vocabulary(tokenizer, ["abc", "seab", "sea", "ABCB", "abc", "xyz"])
    assert found.tokens == (
        *("[PAD]", "abc", "[UNK]", "seab", "a", "##b", "##c", "ab", "sea", "##sea"),
        *("abcb", "xyz"),
    )
    assert found.pieces == {1: (7, 6), 3: (8, 5), 10: (7, 6, 5), 11: (2,)}
    assert found.known == ("sea",)


def test_without_giving_up_unused_entries(tmp_path):
    found = extend_vocabulary(tokenizer_of(tmp_path), ["abc"], fill_unused=False)
    assert found.tokens == (*TOKENS, "abc")
    assert found.pieces == {10: (7, 6)}


def test_pieces_that_continue_a_word(tmp_path):
    tokenizer = tokenizer_of(tmp_path)
    assert spelling(tokenizer, "##seab") == ["##sea", "##b"]
    assert spelling(tokenizer, "##x") == ["[UNK]"]
    found = extend_vocabulary(tokenizer, ["##bc"])
    assert (found.tokens[1], found.pieces) == ("##bc", {1: (5, 6)})


def test_the_new_vocabulary_gives_the_words_as_single_tokens(tmp_path):
    tokenizer = FullTokenizer(small.VOCAB)
    before = tokenizer.tokenize("the lighthousekeepers sonar")
    found = extend_vocabulary(tokenizer, ["lighthousekeepers", "Sonar"])
    after = tokenizer_of(tmp_path, found.tokens).tokenize("the lighthousekeepers sonar")
    assert len(before) > 3
    assert after == ["the", "lighthousekeepers", "sonar"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("covid-19", "'covid-19' becomes covid - 19: as one entry it would never be found"),
        ("two words", "becomes two words"),
        (" ", "becomes nothing"),
        ("##", "becomes nothing"),
        ("a" * 201, "A word may have 200 characters, but 'aaaaaaaaaaaaaaaaaaaa'... has 201"),
        ("sea", "There is no new word: the vocabulary holds sea already"),
    ],
)
def test_words_that_would_never_be_found_are_refused(tmp_path, word, message):
    with pytest.raises(ValueError, match=message):
        extend_vocabulary(tokenizer_of(tmp_path), [word])


def test_other_refusals(tmp_path):
    with pytest.raises(ValueError, match="There is no new word: none was given"):
        extend_vocabulary(tokenizer_of(tmp_path), [])
    with pytest.raises(ValueError, match="of its 11 lines 1 repeat a token"):
        extend_vocabulary(tokenizer_of(tmp_path, [*TOKENS, "sea"]), ["abc"])
