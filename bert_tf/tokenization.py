"""Basic, WordPiece and full tokenizer: the 2018 release's tokens, on every Unicode text.

    tokenizer = FullTokenizer("vocab.txt", do_lower_case=True)
    tokenizer.tokenize("unaffable!")             # ['una', '##ffa', '##ble', '!']
    tokenizer.encode("unaffable!")               # the same as ids, the fast way
    tokenizer.tokenize_with_offsets("Größe")     # tokens, and [start, end) into the raw text

Plain Python, no TensorFlow. Names are the original's, so that code written for it ports. Speed
comes from one fact: a chunk between white space is tokenized the same wherever it stands, and
most chunks of a text were seen before, so `FullTokenizer` looks whole chunks up in a dictionary.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Generic, TypeVar

from bert_tf.case_check import (
    validate_case_matches_checkpoint as validate_case_matches_checkpoint,
)
from bert_tf.unicode_rules import find_raw_chunks, split_aligned_words, split_chunks, split_words

UNK_TOKEN = "[UNK]"
MAX_INPUT_CHARS_PER_WORD = 200

# A full cache of English chunks is some 30 MB.
_CACHE_SIZE = 2**17
_LONGEST_CACHED_CHUNK = 64

# How many characters tell which lengths of pieces are worth a look-up, and all shorter lengths.
_PREFIX = 4
_SHORT = (3, 2, 1)

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_Span = tuple[int, int]


class MissingTokenError(KeyError):
    """A token or id that the vocabulary does not hold (the original raised a bare KeyError)."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError itself would show the message's repr


def convert_to_unicode(text: str | bytes) -> str:
    """Text as `str`; bytes are read as UTF-8 and what is malformed in them is skipped.

    Raises:
        ValueError: neither `str` nor `bytes`.
    """
    if isinstance(text, str):
        return text
    if isinstance(text, bytes):
        return text.decode("utf-8", "ignore")
    raise ValueError(
        f"Text must be str or bytes, but is {type(text).__name__}: {text!r:.80}. "
        "Convert it, or pass the list's items one by one."
    )


def load_vocab(vocab_file: str | Path) -> dict[str, int]:
    """Reads a vocabulary, one token a line, into {token: line number from 0}, in file order.

    As in the original, lines end at newlines only, carriage returns vanish, surrounding white space
    is stripped, an empty line is the token "", and a token that occurs twice keeps its last id.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not UTF-8 text.
    """
    path = Path(vocab_file)
    if not path.is_file():
        raise FileNotFoundError(
            f"A vocabulary must be a text file with one token a line, but there is no file "
            f"{path}. Give the path of the vocab.txt that came with the model."
        )
    data = path.read_bytes()
    try:
        lines = data.decode("utf-8").replace("\r", "").split("\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"A vocabulary must be UTF-8 text, but line {line} of {path} holds the byte "
            f"0x{data[error.start]:02x} (at offset {error.start}). Is it the vocab.txt, unpacked?"
        ) from None
    if not lines[-1]:
        lines.pop()
    return {line.strip(): index for index, line in enumerate(lines)}


def require_tokens(vocab: Collection[str], tokens: Iterable[str], source: str | Path) -> None:
    """Checks that a vocabulary holds these tokens; `source` names it in the message.

    Raises:
        MissingTokenError: some are missing.
    """
    missing = [token for token in tokens if token not in vocab]
    if missing:
        raise MissingTokenError(
            f"The vocabulary must hold {', '.join(missing)}, but {source} with its {len(vocab)} "
            "tokens does not. Use the vocab.txt that came with the model, or add a line for each."
        )


def convert_by_vocab(vocab: Mapping[_Key, _Value], items: Iterable[_Key]) -> list[_Value]:
    """Maps each item through the vocabulary.

    Raises:
        MissingTokenError: an item is not in it.
    """
    try:
        return [vocab[item] for item in items]
    except KeyError as error:
        raise MissingTokenError(
            f"Every token and id must be in the vocabulary, but {error.args[0]!r} is not among its "
            f"{len(vocab)} entries. Tokenize with this same vocabulary file."
        ) from None


def convert_tokens_to_ids(vocab: Mapping[str, int], tokens: Iterable[str]) -> list[int]:
    """Ids of tokens; raises MissingTokenError."""
    return convert_by_vocab(vocab, tokens)


def convert_ids_to_tokens(inv_vocab: Mapping[int, str], ids: Iterable[int]) -> list[str]:
    """Tokens of ids; raises MissingTokenError."""
    return convert_by_vocab(inv_vocab, ids)


def whitespace_tokenize(text: str) -> list[str]:
    """Splits at runs of Unicode white space."""
    return text.split()


class BasicTokenizer:
    """Cleans, lower-cases if asked to, and splits at white space, punctuation and Han characters.

    The rules are in `bert_tf.unicode_rules`.
    """

    def __init__(self, do_lower_case: bool = True) -> None:
        self.do_lower_case = do_lower_case

    def tokenize(self, text: str | bytes) -> list[str]:
        """The words of a text."""
        chunks = split_chunks(convert_to_unicode(text))
        return [word for chunk in chunks for word in split_words(chunk, self.do_lower_case)]


class WordpieceTokenizer:
    """Splits words greedily into the longest pieces that the vocabulary holds.

    `vocab` must not change afterwards. What speeds splitting up is built with the first word: many
    who load a vocabulary never split one here.
    """

    def __init__(
        self,
        vocab: Collection[str],
        unk_token: str = UNK_TOKEN,
        max_input_chars_per_word: int = MAX_INPUT_CHARS_PER_WORD,
    ) -> None:
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_input_chars_per_word = max_input_chars_per_word

    @cached_property
    def _later(self) -> dict[str, str]:
        """Keyed without the "##", so that a look-up needs no new string with it in front."""
        return {token[2:]: token for token in self.vocab if token.startswith("##")}

    @cached_property
    def _first_lengths(self) -> dict[str, tuple[int, ...]]:
        return _lengths_by_prefix(self.vocab)

    @cached_property
    def _later_lengths(self) -> dict[str, tuple[int, ...]]:
        return _lengths_by_prefix(self._later)

    def tokenize(self, text: str | bytes) -> list[str]:
        """The pieces of each word of a text, which should have passed BasicTokenizer."""
        words = whitespace_tokenize(convert_to_unicode(text))
        return [piece for word in words for piece in self.split_word(word)]

    def split_word(self, word: str) -> list[str]:
        """The pieces of one word without white space; `[unk_token]` if it cannot be spelt."""
        length = len(word)
        if length > self.max_input_chars_per_word:
            return [self.unk_token]
        if word in self.vocab:
            return [word]
        for size in self._first_lengths.get(word[:_PREFIX], _SHORT):
            if word[:size] in self.vocab:
                break
        else:
            return [self.unk_token]
        pieces = [word[:size]]
        start = size
        later = self._later
        while start < length:
            # A slice that runs over the end is the whole rest, whose match is the longest too.
            for size in self._later_lengths.get(word[start : start + _PREFIX], _SHORT):
                piece = later.get(word[start : start + size])
                if piece is not None:
                    break
            else:
                return [self.unk_token]
            pieces.append(piece)
            start += size
        return pieces


def _lengths_by_prefix(pieces: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """{first characters: lengths worth a look-up, longest first}; `_SHORT` for all others.

    A word's next piece has one of few lengths, given how it begins: that spares most look-ups.
    """
    # Sets of lengths as bits: few differ, and there are as many as prefixes.
    short = sum(1 << length for length in _SHORT)
    lengths: dict[str, int] = {}
    for piece in pieces:
        if len(piece) >= _PREFIX:
            prefix = piece[:_PREFIX]
            lengths[prefix] = lengths.get(prefix, short) | 1 << len(piece)
    longest_first = {
        bits: tuple(length for length in range(bits.bit_length(), 0, -1) if bits >> length & 1)
        for bits in set(lengths.values())
    }
    return {prefix: longest_first[bits] for prefix, bits in lengths.items()}


class _ChunkCache(dict[str, _Value], Generic[_Value]):
    """Remembers `compute(chunk)`, within bounds of memory.

    Starting anew when full keeps what is frequent now: that comes back within a few lines.
    """

    def __init__(self, compute: Callable[[str], _Value]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, chunk: str) -> _Value:
        value = self._compute(chunk)
        if len(chunk) <= _LONGEST_CACHED_CHUNK:
            if len(self) >= _CACHE_SIZE:
                self.clear()
            self[chunk] = value
        return value


class FullTokenizer:
    """Text to WordPiece tokens or ids.

    Attributes:
        vocab: {token: id}; not to be changed afterwards.
        inv_vocab: {id: token}.
        do_lower_case: whether text is lower-cased.

    Raises:
        FileNotFoundError, ValueError: see `load_vocab`.
        MissingTokenError: the vocabulary has no [UNK], which any text may need.
    """

    def __init__(self, vocab_file: str | Path, do_lower_case: bool = True) -> None:
        self.vocab = load_vocab(vocab_file)
        require_tokens(self.vocab, [UNK_TOKEN], vocab_file)
        self.inv_vocab = {index: token for token, index in self.vocab.items()}
        self.do_lower_case = do_lower_case
        self.basic_tokenizer = BasicTokenizer(do_lower_case)
        self.wordpiece_tokenizer = WordpieceTokenizer(self.vocab)
        self._tokens = _ChunkCache(self._chunk_tokens)
        self._ids = _ChunkCache(self._chunk_ids)
        self._aligned = _ChunkCache(self._chunk_aligned)

    def tokenize(self, text: str | bytes) -> list[str]:
        """The tokens of a text."""
        chunks = split_chunks(convert_to_unicode(text))
        return list(chain.from_iterable(map(self._tokens.__getitem__, chunks)))

    def encode(self, text: str | bytes) -> list[int]:
        """The ids of the tokens: `convert_tokens_to_ids(tokenize(text))`, faster."""
        chunks = split_chunks(convert_to_unicode(text))
        return list(chain.from_iterable(map(self._ids.__getitem__, chunks)))

    def tokenize_with_offsets(self, text: str | bytes) -> tuple[list[str], list[_Span]]:
        """The tokens, and for each the characters `text[start:end]` that it came from.

        Offsets count characters of the raw text (of the decoded text, for bytes). They never go
        backwards; tokens overlap only where one character became several. [UNK] covers its whole
        word. Dropped accents belong to the character before them; dropped control characters
        belong to a token only where they stand within it.
        """
        tokens: list[str] = []
        offsets: list[_Span] = []
        for base, chunk in find_raw_chunks(convert_to_unicode(text)):
            for token, start, end in self._aligned[chunk]:
                tokens.append(token)
                offsets.append((base + start, base + end))
        return tokens, offsets

    def convert_tokens_to_ids(self, tokens: Iterable[str]) -> list[int]:
        """Ids of tokens; raises MissingTokenError."""
        return convert_by_vocab(self.vocab, tokens)

    def convert_ids_to_tokens(self, ids: Iterable[int]) -> list[str]:
        """Tokens of ids; raises MissingTokenError."""
        return convert_by_vocab(self.inv_vocab, ids)

    def _chunk_tokens(self, chunk: str) -> tuple[str, ...]:
        lower = self.basic_tokenizer.do_lower_case
        split = self.wordpiece_tokenizer.split_word
        if chunk.isascii() and chunk.isalnum():  # most chunks: one word, nothing to drop
            return tuple(split(chunk.lower() if lower else chunk))
        return tuple([piece for word in split_words(chunk, lower) for piece in split(word)])

    def _chunk_ids(self, chunk: str) -> tuple[int, ...]:
        return tuple(map(self.vocab.__getitem__, self._chunk_tokens(chunk)))

    def _chunk_aligned(self, chunk: str) -> tuple[tuple[str, int, int], ...]:
        aligned: list[tuple[str, int, int]] = []
        for word in split_aligned_words(chunk, self.basic_tokenizer.do_lower_case):
            pieces = self.wordpiece_tokenizer.split_word(word.text)
            if pieces == [UNK_TOKEN]:
                aligned.append((UNK_TOKEN, word.starts[0], word.ends[-1]))
                continue
            first = 0
            for piece in pieces:
                last = first + len(piece) - (2 if first else 0)
                aligned.append((piece, word.starts[first], word.ends[last - 1]))
                first = last
        return tuple(aligned)
