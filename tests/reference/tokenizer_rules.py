"""The rules of the 2018 tokenizer, one plain loop each: slow, and easy to check by eye.

`bert_tf.tokenization` must agree with this on every text; the benchmark takes it as the peer.
Nothing is shared with the code under test, on purpose. Each function names the one in the
original (google-research/bert, tokenization.py, last commit) whose rule it states.
"""

import unicodedata

WHITE = " \t\n\r"
HAN_BLOCKS = [
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
]
SYMBOL_RANGES = [(33, 47), (58, 64), (91, 96), (123, 126)]


def white(char: str) -> bool:
    """`_is_whitespace`."""
    if char in WHITE:
        return True
    return unicodedata.category(char) == "Zs"


def control(char: str) -> bool:
    """`_is_control`."""
    if char in "\t\n\r":
        return False
    return unicodedata.category(char) in ("Cc", "Cf")


def punctuation(char: str) -> bool:
    """`_is_punctuation`."""
    code = ord(char)
    for first, last in SYMBOL_RANGES:
        if first <= code <= last:
            return True
    return unicodedata.category(char).startswith("P")


def han(char: str) -> bool:
    """`_is_chinese_char`."""
    code = ord(char)
    # The cheap test keeps this peer as quick as a plain chain of comparisons would be.
    if code < 0x3400:
        return False
    return any(first <= code <= last for first, last in HAN_BLOCKS)


def clean(text: str) -> str:
    """`_clean_text`."""
    result = []
    for char in text:
        if ord(char) == 0 or ord(char) == 0xFFFD or control(char):
            continue
        result.append(" " if white(char) else char)
    return "".join(result)


def space_han(text: str) -> str:
    """`_tokenize_chinese_chars`."""
    result = []
    for char in text:
        if han(char):
            result.append(" " + char + " ")
        else:
            result.append(char)
    return "".join(result)


def strip_accents(word: str) -> str:
    """`_run_strip_accents`."""
    result = []
    for char in unicodedata.normalize("NFD", word):
        if unicodedata.category(char) != "Mn":
            result.append(char)
    return "".join(result)


def split_punctuation(word: str) -> list[str]:
    """`_run_split_on_punc`."""
    parts: list[list[str]] = []
    fresh = True
    for char in word:
        if punctuation(char):
            parts.append([char])
            fresh = True
            continue
        if fresh:
            parts.append([])
        fresh = False
        parts[-1].append(char)
    return ["".join(part) for part in parts]


def basic_words(text: str, lower: bool) -> list[str]:
    """`BasicTokenizer.tokenize`."""
    parts: list[str] = []
    for word in space_han(clean(text)).strip().split():
        if lower:
            word = strip_accents(word.lower())
        parts.extend(split_punctuation(word))
    return " ".join(parts).strip().split()


def pieces(word: str, vocab: dict[str, int], unknown: str = "[UNK]", limit: int = 200) -> list[str]:
    """`WordpieceTokenizer.tokenize` on one word."""
    if len(word) > limit:
        return [unknown]
    found: list[str] = []
    start = 0
    while start < len(word):
        end = len(word)
        match = None
        while start < end:
            candidate = word[start:end]
            if start > 0:
                candidate = "##" + candidate
            if candidate in vocab:
                match = candidate
                break
            end -= 1
        if match is None:
            return [unknown]
        found.append(match)
        start = end
    return found


class PlainTokenizer:
    """`FullTokenizer`, given the vocabulary itself."""

    def __init__(self, vocab: dict[str, int], lower: bool) -> None:
        self.vocab = vocab
        self.lower = lower

    def tokenize(self, text: str) -> list[str]:
        """`FullTokenizer.tokenize`."""
        tokens = []
        for word in basic_words(text, self.lower):
            for piece in pieces(word, self.vocab):
                tokens.append(piece)
        return tokens

    def encode(self, text: str) -> list[int]:
        """`convert_tokens_to_ids` of the tokens."""
        ids = []
        for token in self.tokenize(text):
            ids.append(self.vocab[token])
        return ids
