"""Blocks of text into token ids, compiled: what `FullTokenizer.encode` gives for each line.

Text is split and spelt here by compiled code, by the rules of `bert_tf.unicode_rules` and
`bert_tf.tokenization`: control characters vanish, symbols stand alone, letters are folded, longest
pieces come first, 200 characters make a word at most. What is done with a character beyond ASCII is
asked of these rules in Python, once for each (`character_rules`). The chunks between white space
that are left, with bytes that are no UTF-8 or a character that looks at its neighbours, go to the
tokenizer in Python.

A line is blank where nothing is left of it after `str.strip`, which decides about documents; a
line of, say, NUL bytes has no tokens either, but is not blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD, FullTokenizer
from data_prep.byte_table import (
    HASH_SEEDS,
    LONGEST_KEY,
    Bytes,
    Slots,
    extend_hash,
    find,
    hash_bytes,
)
from data_prep.character_rules import (
    DROPPED,
    HIGH,
    LOOKS_AROUND,
    NEW,
    NEWLINE,
    SPACE,
    SYMBOL,
    UNSEEN,
    WORD,
    CharacterRules,
    byte_classes,
)
from data_prep.eight_bytes import (
    EIGHT,
    first_bytes,
    leading,
    load_eight,
    lowered,
    store_eight,
    word_length,
)
from data_prep.pieces import (
    LATER,
    SHORT,
    START,
    Pieces,
    Short,
    find_short,
    hash_short,
    no_words_spelt,
    pieces_of,
    recall,
    shift_of,
    spell_short,
)

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

BLANK = -1  # in place of a number of tokens

# What `_scan` stopped for: the end, a character it does not know, a chunk that is beyond it, a
# line that may be blank.
_DONE, _ASK_CHARACTER, _ASK_CHUNK, _ASK_LINE = range(4)
# Where `_scan` stopped: next byte (the first of the chunk, if that is asked for), the character
# asked for, tokens and lines so far, first token and first byte of this line, whether it has bytes
# beyond ASCII, whether it shows anything, bytes dropped.
_AT, _CHARACTER, _TOKENS, _LINES, _LINE_TOKEN, _LINE_BYTE, _LINE_HIGH, _LINE_SHOWS, _LOST = range(9)

# The bytes of a word wrap around here: nobody reads those of a longer one.
_WRAPPED = LONGEST_KEY


class TokenBlock(NamedTuple):
    """The lines of a block.

    Attributes:
      tokens: int32 [N], the ids of all lines.
      counts: int32 [lines], how many of them each line has; BLANK for a blank line.
      dropped_bytes: how many bytes were not UTF-8 and were left out.
    """

    tokens: Ints
    counts: Ints
    dropped_bytes: int


class _Rules(NamedTuple):
    """Tables of `character_rules`."""

    lower: bool
    kinds: Bytes
    lowered: Bytes
    high_kinds: Bytes
    spelt: Bytes
    symbols: Ints


class BlockTokenizer:
    """Tokenizes blocks of whole lines; each thread needs one of its own.

    Args:
      tokenizer: whose tokens these are.
      pieces: its vocabulary, which threads share; None to read it.
    """

    def __init__(self, tokenizer: FullTokenizer, pieces: Pieces | None = None) -> None:
        self._tokenizer = tokenizer
        self._pieces = pieces or pieces_of(tokenizer)
        lower = tokenizer.do_lower_case
        self._characters = CharacterRules(tokenizer.vocab, self._pieces.unknown, lower)
        self._spelt = no_words_spelt()
        known = self._characters
        self._rules = _Rules(lower, *byte_classes(lower), known.kinds, known.spelt, known.symbols)

    def tokenize(self, block: bytes) -> TokenBlock:
        """The token ids of a block; its last line must end with a newline."""
        data = np.frombuffer(block, np.uint8)
        tokens = np.empty(len(block) + 1, np.int32)
        counts = np.empty(block.count(b"\n") + 1, np.int32)
        cursor = np.zeros(_LOST + 1, np.int64)
        while True:
            asked = _scan(data, self._rules, self._pieces, self._spelt, tokens, counts, cursor)
            if asked == _DONE:
                break
            if asked == _ASK_CHARACTER:
                self._characters.learn(int(cursor[_CHARACTER]))
            elif asked == _ASK_LINE:
                _decide_line(block, counts, cursor)
            else:
                tokens = self._ask_chunk(block, tokens, cursor)
        return TokenBlock(
            tokens[: cursor[_TOKENS]].copy(), counts[: cursor[_LINES]].copy(), int(cursor[_LOST])
        )

    def _ask_chunk(self, block: bytes, tokens: Ints, cursor: Longs) -> Ints:
        """Tokenizes the chunk at the cursor in Python; `tokens`, or a longer copy of it."""
        end = int(_chunk_end(np.frombuffer(block, np.uint8), self._rules.kinds, cursor[_AT]))
        kept = block[cursor[_AT] : end].replace(b"\r", b"")
        text = kept.decode("utf-8", "ignore")
        ids = np.array(self._tokenizer.encode(text), np.int32)
        at = int(cursor[_TOKENS])
        # A byte gives a token at most (a test looks at all code points); better safe than
        # overwritten.
        room = len(block) - end + 1
        if at + len(ids) + room > len(tokens):
            tokens = np.concatenate([tokens[:at], np.empty(len(ids) + room, np.int32)])
        tokens[at : at + len(ids)] = ids
        cursor[_TOKENS] += len(ids)
        cursor[_LOST] += len(kept) - len(text.encode())
        cursor[_AT] = end
        return tokens


def _decide_line(block: bytes, counts: Ints, cursor: Longs) -> None:
    """Whether a line without tokens but with bytes beyond ASCII is blank; goes on after it."""
    raw = block[cursor[_LINE_BYTE] : cursor[_AT]].replace(b"\r", b"")
    counts[cursor[_LINES]] = 0 if raw.decode("utf-8", "ignore").strip() else BLANK
    cursor[_AT] += 1
    cursor[_LINES] += 1
    cursor[_LINE_BYTE] = cursor[_AT]
    cursor[_LINE_HIGH] = cursor[_LINE_SHOWS] = 0


@compiled
def _chunk_end(data: Bytes, kinds: Bytes, start: int) -> int:
    end = start
    while kinds[data[end]] < SPACE:  # a newline comes at the end at the latest
        end += 1
    return end


@compiled
def _scan(
    data: Bytes,
    rules: _Rules,
    pieces: Pieces,
    spelt: Short,
    tokens: Ints,
    counts: Ints,
    cursor: Longs,
) -> int:
    """Goes on with a block until its end or until Python is needed; see `_DONE`.

    What Python must do a whole chunk for has taken back the chunk's tokens.
    """
    kinds, small, high_kinds = rules.kinds, rules.lowered, rules.high_kinds
    lower, characters, symbols = rules.lower, rules.spelt, rules.symbols
    (slots, keys), ids, short = pieces.table, pieces.ids, pieces.short
    longest, unknown, shift = pieces.longest, pieces.unknown, shift_of(pieces.short)
    word = np.empty(_WRAPPED + 1, np.uint8)
    prefixes = np.empty(LONGEST_KEY, np.uint64)
    size, more = 0, 0  # `more`: bytes of a character after its first
    at, count, asked = cursor[_AT], cursor[_TOKENS], _DONE
    lines, line_token, line_byte = cursor[_LINES], cursor[_LINE_TOKEN], cursor[_LINE_BYTE]
    chunk, chunk_count, high, shows = at, count, cursor[_LINE_HIGH], cursor[_LINE_SHOWS]
    while at < len(data):
        byte = data[np.uint64(at)]
        kind, code, width = kinds[byte], np.int64(byte), 1
        if kind == WORD:
            if size or at + SHORT >= len(data):
                word[np.uint64(size & _WRAPPED)] = small[byte]
                size += 1
                at += 1
                continue
            first, second = _letters(data, at, lower), np.uint64(0)
            size = leading(first)
            if size == EIGHT:
                second = _letters(data, at + EIGHT, lower)
                size += leading(second)
            at += size
            if size < SHORT and kinds[data[np.uint64(at)]] >= SYMBOL:
                hashed = hash_short(first, second)
                found = find_short(short, shift, first, second, hashed)
                if found >= 0:
                    tokens[np.uint64(count)] = found
                    count += 1
                else:
                    known = recall(spelt, first, second, hashed, tokens, count)
                    if not known:
                        known = spell_short(first, second, size, pieces, spelt, tokens, count)
                    count += known
                size = 0
            else:
                store_eight(word, np.uint64(0), first)
                store_eight(word, np.uint64(EIGHT), second)
            continue
        if kind == HIGH:
            high = 1
            code, width = _decode(data, at)
            kind = high_kinds[code] if width else np.uint8(LOOKS_AROUND)
        if kind == WORD:
            for i in range(1, 1 + characters[code, 0]):
                byte = characters[code, i]
                word[np.uint64(size & _WRAPPED)] = byte
                size += 1
                more += (byte & 0xC0) == 0x80
        elif kind <= UNSEEN:
            shows |= kind == DROPPED
        else:
            if kind >= NEW or (size > LONGEST_KEY and size - more <= MAX_INPUT_CHARS_PER_WORD):
                cursor[_CHARACTER] = code
                asked = _ASK_CHARACTER if kind == NEW else _ASK_CHUNK
                at, count = chunk, chunk_count
                break
            if size:
                count = _write_word(
                    word, size, more, slots, keys, ids, longest, unknown, tokens, count, prefixes
                )
                size, more = 0, 0
            if kind == SYMBOL:
                tokens[np.uint64(count)] = symbols[np.uint64(code)]
                count += 1
            else:
                chunk, chunk_count = at + width, count
            if kind == NEWLINE:
                found = count - line_token
                if found == 0 and high:  # its bytes must decide if it is blank
                    asked = _ASK_LINE
                    break
                counts[np.uint64(lines)] = found if found or shows else BLANK
                lines += 1
                line_token, line_byte, high, shows = count, at + 1, 0, 0
        at += width
    cursor[_AT], cursor[_TOKENS], cursor[_LINES] = at, count, lines
    cursor[_LINE_TOKEN], cursor[_LINE_BYTE] = line_token, line_byte
    cursor[_LINE_HIGH], cursor[_LINE_SHOWS] = high, shows
    return asked


@inlined
def _letters(data: Bytes, at: int, lower: bool) -> np.uint64:
    """The ASCII letters and digits from `at` on, eight at most, lower-cased; zeros behind them."""
    text = load_eight(data, np.uint64(at))
    if lower:
        text = lowered(text)
    return first_bytes(text, word_length(text))


@compiled
def _decode(data: Bytes, at: int) -> tuple[np.int64, int]:
    """The character that starts with the byte at `at`, beyond ASCII, and how many bytes it has.

    None where it is not UTF-8; the newline at the end of the data ends a character that is cut.
    """
    first = np.int64(data[np.uint64(at)])
    width = 2 + int(first >= 0xE0) + int(first >= 0xF0)
    code = first & (0xFF >> (width + 1))
    for i in range(1, width):
        byte = np.int64(data[np.uint64(at + i)])
        if byte & 0xC0 != 0x80:
            return np.int64(0), 0
        code = code << 6 | byte & 0x3F
    # Too long a form of a smaller number; half of a pair of UTF-16; beyond the last.
    least = 0x80 if width == 2 else 0x800 if width == 3 else 0x10000
    if not 0xC0 <= first < 0xF8 or code < least or code >> 11 == 0x1B or code > 0x10FFFF:
        return np.int64(0), 0
    return code, width


@inlined
def _write_word(
    word: Bytes,
    size: int,
    more: int,
    slots: Slots,
    keys: Bytes,
    ids: Ints,
    longest: int,
    unknown: int,
    tokens: Ints,
    count: int,
    prefixes: npt.NDArray[np.uint64],
) -> int:
    """Appends the tokens of a word; most words are pieces themselves. The number of tokens."""
    entry = np.int64(0)
    spells = size - more <= MAX_INPUT_CHARS_PER_WORD
    if spells:
        hashed = hash_bytes(word, 0, min(size, LONGEST_KEY), START)
        entry = find(slots, keys, word, 0, size, START, hashed)
    if entry:
        tokens[np.uint64(count)] = ids[np.uint64(entry)]
        count += 1
    elif spells:
        count = _spell(word, size, slots, keys, ids, longest, unknown, tokens, count, prefixes)
    else:
        tokens[np.uint64(count)] = unknown
        count += 1
    return count


@compiled
def _spell(
    word: Bytes,
    size: int,
    slots: Slots,
    keys: Bytes,
    ids: Ints,
    longest: int,
    unknown: int,
    tokens: Ints,
    count: int,
    prefixes: npt.NDArray[np.uint64],
) -> int:
    """Appends the pieces of a word, longest first, or [UNK]; the number of tokens after it."""
    first, start, mark = count, 0, START
    while start < size:
        length = min(longest, size - start)
        hashed = HASH_SEEDS[mark]
        for i in range(length):
            hashed = extend_hash(hashed, word[np.uint64(start + i)])
            prefixes[np.uint64(i)] = hashed
        entry = 0
        while length > 0:
            entry = find(slots, keys, word, start, length, mark, prefixes[np.uint64(length - 1)])
            if entry:
                break
            length -= 1
        if entry == 0:
            break
        tokens[np.uint64(count)] = ids[np.uint64(entry)]
        count += 1
        start += length
        mark = LATER
    if start < size:
        tokens[first] = unknown
        return first + 1
    return count
