"""The tokenizer against the rules written plainly, the original's outputs, and its own promises.

    EVERY_CODE_POINT=1 python -m pytest tests/bert_tf/tokenization_test.py -k code_point -s

prints the number of cases (about 2 minutes). Without the variable one in 37 of the 131,068
private characters of planes 15 and 16, which are all alike, stands for the rest.
"""

import json
import os
import pickle
import random
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from bert_tf import tokenization, unicode_rules
from bert_tf.config import RELEASED_MODELS
from bert_tf.tokenization import FullTokenizer, MissingTokenError, WordpieceTokenizer
from tests.reference import tokenizer_rules
from tests.reference.tokenizer_rules import PlainTokenizer

ROOT = Path(__file__).resolve().parents[2]
VOCAB = ROOT / "tests/goldens/vocab.txt"
SHARED = ROOT.parent / "shared"
GOLDEN = SHARED / "goldens/tokenization.jsonl"
VOCAB_OF = {
    "uncased": ("uncased_30522_vocab.txt", True),
    "cased": ("cased_28996_vocab.txt", False),
    "multi_cased": ("multi_cased_119547_vocab.txt", False),
    "chinese_lower": ("chinese_21128_vocab.txt", True),
}
EVERY_CODE_POINT = bool(os.environ.get("EVERY_CODE_POINT"))
ASSIGNED = [
    char
    for char in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(char) != "Cn"
    and (char < "\U000f0000" or ord(char) % 37 == 0 or EVERY_CODE_POINT)
]
# Alone, after, before and between letters, after "##", and where it decides on a final sigma.
CONTEXTS = ("{}", "a{}", "{}a", "a{}b", "##{}", "aΣ{}")
# Characters that the rules treat apart, and that change length, order or meaning when folded.
AWKWARD = (
    "abAB12 \t\n\r\x00\x01\x0b\x0c\x1c\x1d\x1e\x1f\x7f\x85\xa0\xad\u180e\u200b\u200d\u2003\u2028"
    "\u2029\u202f\u3000\ufeff\ufffd\U000e0001'.,-$^`~#[]«»—。、中文㐀豈\U00020000\U0002f800"
    "éÉİıßẞΣσςΟαᾳǅﬁÅK한글각\u1112\u1161\u0301\u0323\u0308\u0345\u093c\u05c1\u302e\u302f"
    "\U0001d165\U0001d16d\U0001d15e\u0b4b\u0e33①²½😀\u0378\ue000\ud800ىЙё"
)


@pytest.fixture(scope="module")
def every_character(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vocabulary that spells every word, so that no difference hides behind an [UNK]."""
    path = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    letters = [c for c in ASSIGNED if not c.isspace() and unicodedata.category(c) != "Cs"]
    pieces = [prefix + c for prefix in ("", "##") for c in letters]
    path.write_text("\n".join(["[UNK]", *pieces]) + "\n", encoding="utf-8", newline="\n")
    return path


def first_difference(ours: FullTokenizer, plain: PlainTokenizer, cases: list[str]) -> str:
    for case in cases:
        if ours.tokenize(case) != plain.tokenize(case):
            return f"{case!a}: {ours.tokenize(case)!a} but the rules say {plain.tokenize(case)!a}"
    return "the cases agree one by one, but not joined"


def random_texts(seed: int, count: int) -> Iterator[str]:
    generator = random.Random(seed)
    for _ in range(count):
        length = generator.randint(0, 24)
        yield "".join(
            generator.choice(ASSIGNED if generator.random() < 0.1 else AWKWARD)
            for _ in range(length)
        )


@pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
def test_every_code_point_in_every_context(every_character: Path, lower: bool) -> None:
    ours = FullTokenizer(every_character, lower)
    plain = PlainTokenizer(ours.vocab, lower)
    count = 0
    for first in range(0, len(ASSIGNED), 4096):
        batch = ASSIGNED[first : first + 4096]
        cases = [context.format(char) for char in batch for context in CONTEXTS]
        # No rule of the plain ones looks across a space, so they may take all cases in one go.
        expected = plain.tokenize(" ".join(cases))
        if [token for case in cases for token in ours.tokenize(case)] != expected:
            pytest.fail(first_difference(ours, plain, cases))
        alone = " ".join(batch)
        assert ours.encode(alone) == ours.convert_tokens_to_ids(ours.tokenize(alone))
        count += len(cases)
    print(f"\n0 differences in {count} cases ({len(ASSIGNED)} code points, lower case {lower})")
    assert count > 6 * (280_000 if EVERY_CODE_POINT else 150_000)


@pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
def test_offsets_of_every_code_point(every_character: Path, lower: bool) -> None:
    tokenizer = FullTokenizer(every_character, lower)
    for first in range(0, len(ASSIGNED), 4096):
        text = " ".join(f"a{c}b" for c in ASSIGNED[first : first + 4096])
        check_spans(text, lower, *check_tokens(tokenizer, text))


@pytest.mark.parametrize("lower", [True, False], ids=["uncased", "cased"])
@pytest.mark.parametrize("vocab", ["every_character", "golden"])
def test_random_texts(every_character: Path, vocab: str, lower: bool) -> None:
    ours = FullTokenizer(VOCAB if vocab == "golden" else every_character, lower)
    plain = PlainTokenizer(ours.vocab, lower)
    for text in random_texts(seed=1, count=3000):
        expected = plain.tokenize(text)
        assert ours.tokenize(text) == expected, ascii(text)
        assert ours.encode(text) == plain.encode(text), ascii(text)
        check_offsets(ours, text)


Offsets = list[tuple[int, int]]


def check_offsets(tokenizer: FullTokenizer, text: str) -> None:
    """Every promise of tokenize_with_offsets, without knowing how they are kept."""
    lower = tokenizer.basic_tokenizer.do_lower_case
    tokens, offsets = check_tokens(tokenizer, text)
    check_spans(text, lower, tokens, offsets)
    for token, (start, end) in zip(tokens, offsets, strict=True):
        if token != "[UNK]":
            source = "".join(tokenizer_rules.basic_words(text[start:end], lower))
            # Cut off from its neighbours a sigma may lower-case to the other form.
            spelt = token.removeprefix("##").replace("ς", "σ")
            assert spelt in source.replace("ς", "σ"), f"{token!a} in {text!a}"


def check_tokens(tokenizer: FullTokenizer, text: str) -> tuple[list[str], Offsets]:
    """The tokens are those of `tokenize`."""
    tokens, offsets = tokenizer.tokenize_with_offsets(text)
    assert tokens == tokenizer.tokenize(text)
    return tokens, offsets


def check_spans(text: str, lower: bool, tokens: list[str], offsets: Offsets) -> None:
    """Spans lie in the text, never go backwards, and leave nothing out that makes words."""
    covered = bytearray(len(text))
    last = (0, 0)
    for _, (start, end) in zip(tokens, offsets, strict=True):
        assert 0 <= start < end <= len(text), ascii(text)
        assert last[0] <= start, f"backwards in {text!a}"
        assert last[1] <= end, f"backwards in {text!a}"
        last = (start, end)
        covered[start:end] = b"x" * (end - start)
    left = "".join(char for char, mark in zip(text, covered, strict=True) if not mark)
    assert tokenizer_rules.basic_words(" ".join(left), lower) == [], f"not covered in {text!a}"


@pytest.mark.parametrize(
    ("text", "tokens", "offsets"),
    [
        ("un\u00adable", ["unable"], [(0, 7)]),
        ("\u200bunable\u200b", ["unable"], [(1, 7)]),
        ("un\x0bable", ["unable"], [(0, 7)]),
        ("İs", ["is"], [(0, 2)]),
        ("e\u0301é!", ["ee", "!"], [(0, 3), (3, 4)]),
        ("각", ["\u1100", "##\u1161", "##\u11a8"], [(0, 1)] * 3),
        ("a中b", ["a", "中", "b"], [(0, 1), (1, 2), (2, 3)]),
        (" (qqq\n)", ["(", "[UNK]", ")"], [(1, 2), (2, 5), (6, 7)]),
        ("unables", ["unable", "##s"], [(0, 6), (6, 7)]),
        ("", [], []),
        (b"is\xff!", ["is", "!"], [(0, 2), (2, 3)]),
    ],
    ids=ascii,
)
def test_offsets_by_hand(
    tmp_path: Path, text: str | bytes, tokens: list[str], offsets: list[tuple[int, int]]
) -> None:
    vocab = "[UNK] unable is ee ! ( ) a b 中 ##s \u1100 ##\u1161 ##\u11a8"
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(vocab.split()), encoding="utf-8")
    assert FullTokenizer(path).tokenize_with_offsets(text) == (tokens, offsets)


@pytest.mark.skipif(not GOLDEN.exists(), reason=f"the original's outputs are not at {GOLDEN}")
@pytest.mark.parametrize("key", VOCAB_OF)
def test_tokens_of_the_original(key: str) -> None:
    name, lower = VOCAB_OF[key]
    tokenizer = FullTokenizer(SHARED / "data/vocab" / name, lower)
    rows = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 39
    for row in rows:
        assert tokenizer.tokenize(row["text"]) == row[key], ascii(row["text"])
        check_offsets(tokenizer, row["text"])


def test_words_of_real_prose() -> None:
    text = (ROOT / "tests/goldens/corpus.txt").read_text(encoding="utf-8")
    ours = FullTokenizer(VOCAB)
    plain = PlainTokenizer(ours.vocab, True)
    assert len(ours.tokenize(text)) > 1000
    assert ours.tokenize(text) == plain.tokenize(text)
    assert ours.convert_ids_to_tokens(ours.encode(text)) == ours.tokenize(text)


@pytest.mark.parametrize("seed", range(4))
def test_wordpiece_on_random_vocabularies(seed: int) -> None:
    generator = random.Random(seed)

    def word(longest: int) -> str:
        return "".join(generator.choice("ab") for _ in range(generator.randint(1, longest)))

    vocab = {generator.choice(["", "##"]) + word(9): index for index in range(60)}
    ours = WordpieceTokenizer(vocab, max_input_chars_per_word=20)
    for text in [word(22) for _ in range(3000)]:
        assert ours.tokenize(text) == tokenizer_rules.pieces(text, vocab, limit=20)


def test_words_of_more_than_200_characters_are_unknown() -> None:
    pieces = WordpieceTokenizer({"a": 0, "##a": 1})
    assert pieces.tokenize("a" * 200) == ["a"] + ["##a"] * 199
    assert pieces.tokenize("a" * 201) == ["[UNK]"]
    assert pieces.tokenize("a ab a") == ["a", "[UNK]", "a"]
    # The limit is on the folded word: accents do not count, Hangul counts by letter.
    tokenizer = FullTokenizer(VOCAB)
    assert tokenizer.tokenize("a" * 201) == ["[UNK]"]
    assert tokenizer.tokenize("a" * 200 + "\u0301") == tokenizer.tokenize("a" * 200)


def test_a_full_cache_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenization, "_CACHE_SIZE", 10)
    tokenizer = FullTokenizer(VOCAB)
    texts = [f"word{i} the a{i}," for i in range(100)]
    fresh = [FullTokenizer(VOCAB).tokenize(text) for text in texts]
    assert [tokenizer.tokenize(text) for text in texts] == fresh
    assert 0 < len(tokenizer._tokens) <= 10


def test_long_chunks_are_not_remembered() -> None:
    tokenizer = FullTokenizer(VOCAB)
    assert tokenizer.tokenize("the-" * 50) == ["the", "-"] * 50
    assert not tokenizer._tokens
    tokenizer.tokenize("the-")
    assert list(tokenizer._tokens) == ["the-"]


def test_pickles_for_worker_processes() -> None:
    tokenizer = FullTokenizer(VOCAB)
    text = "The river was 3 miles long."
    tokens = tokenizer.tokenize_with_offsets(text)
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.tokenize_with_offsets(text) == tokens
    assert copy.encode(text) == tokenizer.encode(text)


def test_vocabulary_lines_as_the_original_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes("b\r\n a \n\n[UNK]\n b\n\x85c\u2028\nx\r\u2028y\n\r".encode())
    vocab = tokenization.load_vocab(path)
    assert list(vocab.items()) == [
        ("b", 4), ("a", 1), ("", 2), ("[UNK]", 3), ("c", 5), ("x\u2028y", 6)
    ]  # fmt: skip
    assert FullTokenizer(path).inv_vocab == {
        4: "b", 1: "a", 2: "", 3: "[UNK]", 5: "c", 6: "x\u2028y"
    }  # fmt: skip


def test_vocabulary_without_unk(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("a\nb\n")
    with pytest.raises(MissingTokenError) as error:
        FullTokenizer(path)
    assert str(error.value) == (
        f"The vocabulary must hold [UNK], but {path} with its 2 tokens does not. "
        "Use the vocab.txt that came with the model, or add a line for each."
    )


def test_missing_vocabulary(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.txt\. Give the path"):
        FullTokenizer(tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        FullTokenizer(tmp_path)


def test_vocabulary_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_bytes(b"a\nb\nc\xff\n")
    with pytest.raises(ValueError, match=r"UTF-8 text, but line 3 of .* byte 0xff \(at offset 5\)"):
        tokenization.load_vocab(path)


def test_unknown_tokens_and_ids() -> None:
    tokenizer = FullTokenizer(VOCAB)
    size = len(tokenizer.vocab)
    with pytest.raises(KeyError) as error:
        tokenizer.convert_tokens_to_ids(["the", "no-such"])
    assert str(error.value) == (
        f"Every token and id must be in the vocabulary, but 'no-such' is not among its {size} "
        "entries. Tokenize with this same vocabulary file."
    )
    with pytest.raises(MissingTokenError, match=f"but {size} is not among"):
        tokenizer.convert_ids_to_tokens([0, size])
    assert tokenizer.convert_ids_to_tokens(tokenizer.convert_tokens_to_ids(["the"])) == ["the"]


def test_text_is_str_or_bytes() -> None:
    tokenizer = FullTokenizer(VOCAB)
    assert tokenizer.tokenize("thé ".encode() + b"\xff.") == ["the", "."]
    with pytest.raises(ValueError, match=r"must be str or bytes, but is list: \['the'\]"):
        tokenizer.tokenize(["the"])  # type: ignore[arg-type]


def test_original_names_port() -> None:
    assert tokenization.whitespace_tokenize(" a\u3000b\n") == ["a", "b"]
    assert tokenization.BasicTokenizer().tokenize("Ein Bär, zwei") == ["ein", "bar", ",", "zwei"]
    assert tokenization.convert_tokens_to_ids({"a": 3}, ["a"]) == [3]
    assert tokenization.convert_ids_to_tokens({3: "a"}, [3]) == ["a"]


def test_punctuation_is_never_alphanumeric() -> None:
    """The shortcuts of unicode_rules rest on these facts of Unicode."""
    for char in ASSIGNED:
        if unicode_rules.is_dropped(char):
            assert not char.isprintable() or char == "\ufffd"
        if char.isalnum():
            assert not unicode_rules.is_punctuation(char)


@pytest.mark.parametrize(
    "model", RELEASED_MODELS, ids=lambda model: f"{model.release}/{model.name}"
)
def test_case_of_released_models(model) -> None:  # type: ignore[no-untyped-def]
    checkpoint = f"gs://bert.models/{model.release}/{model.name}/bert_model.ckpt"
    tokenization.validate_case_matches_checkpoint(model.do_lower_case, checkpoint)
    with pytest.raises(
        ValueError, match=f"{model.name} is a .*do_lower_case={model.do_lower_case}"
    ):
        tokenization.validate_case_matches_checkpoint(not model.do_lower_case, checkpoint)


def test_case_message_and_other_paths() -> None:
    with pytest.raises(ValueError, match="do_lower_case must fit") as error:
        tokenization.validate_case_matches_checkpoint(True, "cased_L-12_H-768_A-12/bert_model.ckpt")
    assert str(error.value) == (
        "do_lower_case must fit the checkpoint: cased_L-12_H-768_A-12 is a cased model, but "
        "do_lower_case=True came with init_checkpoint=cased_L-12_H-768_A-12/bert_model.ckpt. "
        "Pass --do_lower_case=False, or choose another checkpoint; if it was trained anew with "
        "this case, move it out of a directory named cased_L-12_H-768_A-12."
    )
    for path in (None, "", "/tmp/model.ckpt-20", "mine/bert_model.ckpt", "xcased_L-12_H-768_A-12"):
        tokenization.validate_case_matches_checkpoint(True, path)
        tokenization.validate_case_matches_checkpoint(False, path)


def test_no_tensorflow() -> None:
    code = (
        "import sys, bert_tf, bert_tf.config, bert_tf.tokenization\n"
        "print([m for m in ('tensorflow', 'keras', 'numpy') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
