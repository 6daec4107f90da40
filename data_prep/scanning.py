"""Compiled code that goes through a block of text: see `block_tokens`.

It keeps its place in a cursor, int64 [10], and stops where Python must help. Plain text is scanned
by its own function, word by word; any other byte by byte.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined, uncounted
from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD
from bert_tf.unaligned import load_8
from data_prep.byte_table import LONGEST_KEY, Bytes
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
)
from data_prep.eight_bytes import EIGHT, first_bytes, leading, lowered, word_length
from data_prep.pieces import SHORT, Pieces, Short, find_short, hash_short
from data_prep.spelling import recall, spell_short, write_word

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

BLANK = -1  # in place of a number of tokens

# What `scan` stopped for: the end, a character it does not know, a chunk that is beyond it, a
# line that may be blank.
DONE, ASK_CHARACTER, ASK_CHUNK, ASK_LINE = range(4)
# Where `scan` stands: next byte, tokens and lines so far, first byte of the chunk and tokens
# before it, first byte of the line and tokens before it, whether it has bytes beyond ASCII, whether
# it shows anything, bytes dropped.
AT, TOKENS, LINES, CHUNK, CHUNK_TOKENS, LINE, LINE_TOKENS, HIGH_BYTES, SHOWS, LOST = range(10)

# The bytes of a word wrap around here: nobody reads those of a longer one.
_WRAPPED = LONGEST_KEY
_HIGH_BITS = np.uint64(0x8080808080808080)
_MOST_NEW = 4096  # characters that are asked about at once


class Rules(NamedTuple):
    """Tables of `character_rules`."""

    lower: bool
    kinds: Bytes
    lowered: Bytes
    high_kinds: Bytes
    spelt: Bytes
    symbols: Ints


@compiled
def chunk_end(data: Bytes, kinds: Bytes, start: int) -> int:
    """Where the white space after a chunk is."""
    end = start
    while kinds[data[end]] < SPACE:  # a newline comes at the end at the latest
        end += 1
    return end


@compiled
def new_characters(data: Bytes, start: int, rules: Rules) -> Ints:
    """The characters from `start` on that the rules do not know; some, where there are many.

    Their kinds are no longer NEW, but must be learnt before anyone reads them.
    """
    codes, count, at = np.empty(_MOST_NEW, np.int32), 0, start
    while at < len(data) and count < _MOST_NEW:
        if at < len(data) - EIGHT and load_8(data, np.uint64(at)) & _HIGH_BITS == np.uint64(0):
            at += EIGHT
            continue
        width = 1
        if rules.kinds[data[np.uint64(at)]] == HIGH:
            code, width = _decode(data, at)
            if width and rules.high_kinds[code] == NEW:
                rules.high_kinds[code] = LOOKS_AROUND
                codes[count] = code
                count += 1
        at += max(width, 1)
    return codes[:count]


@uncounted
def next_line(cursor: Longs) -> None:
    """Goes on after the newline at the cursor."""
    cursor[AT] += 1
    cursor[LINES] += 1
    cursor[CHUNK] = cursor[LINE] = cursor[AT]
    cursor[CHUNK_TOKENS] = cursor[LINE_TOKENS] = cursor[TOKENS]
    cursor[HIGH_BYTES] = cursor[SHOWS] = 0


@uncounted
def _end_line(counts: Ints, cursor: Longs) -> bool:
    """Notes the line that ends at the cursor; False where its bytes must decide if it is blank."""
    found = cursor[TOKENS] - cursor[LINE_TOKENS]
    decided = found > 0 or not cursor[HIGH_BYTES]
    if decided:
        counts[np.uint64(cursor[LINES])] = found if found or cursor[SHOWS] else BLANK
        next_line(cursor)
    return decided


@compiled
def scan(
    data: Bytes,
    rules: Rules,
    pieces: Pieces,
    spelt: Short,
    tokens: Ints,
    counts: Ints,
    cursor: Longs,
) -> int:
    """Goes on with a block until its end or until Python is needed; see `DONE`."""
    asked = DONE
    word = np.empty(_WRAPPED + 1, np.uint8)
    prefixes = np.empty(LONGEST_KEY, np.uint64)
    while asked == DONE and cursor[AT] < len(data):
        _scan_plain(data, rules, pieces, spelt, tokens, counts, cursor)
        asked = _scan_any(data, rules, pieces, tokens, counts, cursor, word, prefixes)
    return asked


@uncounted
def _scan_plain(
    data: Bytes,
    rules: Rules,
    pieces: Pieces,
    spelt: Short,
    tokens: Ints,
    counts: Ints,
    cursor: Longs,
) -> None:
    """Goes on between words until one comes that is long or not ASCII."""
    kinds, lower, symbols = rules.kinds, rules.lower, rules.symbols
    short, shift = pieces.short, pieces.shift
    at, count = cursor[AT], cursor[TOKENS]
    while at < len(data) - SHORT:
        byte = data[np.uint64(at)]
        kind = kinds[byte]
        if kind == WORD:
            first, second = _part_of_word(data, at, lower), np.uint64(0)
            size = leading(first)
            if size == EIGHT:
                second = _part_of_word(data, at + EIGHT, lower)
                size += leading(second)
            if size == SHORT or kinds[data[np.uint64(at + size)]] < SYMBOL:
                break
            hashed = hash_short(first, second)
            found, known = find_short(short, shift, first, second, hashed), np.int64(1)
            if found >= 0:
                tokens[np.uint64(count)] = found
            else:
                known = recall(spelt, first, second, hashed, tokens, count)
                if not known:
                    known = spell_short(first, second, size, pieces, spelt, tokens, count)
            count += known
            at += size
        elif kind == SPACE:
            at += 1
            cursor[CHUNK], cursor[CHUNK_TOKENS] = at, count
        elif kind == SYMBOL:
            tokens[np.uint64(count)] = symbols[np.uint64(byte)]
            count += 1
            at += 1
        else:
            cursor[AT], cursor[TOKENS] = at, count
            if kind != NEWLINE or not _end_line(counts, cursor):
                break
            at += 1
    cursor[AT], cursor[TOKENS] = at, count


@uncounted
def _scan_any(
    data: Bytes,
    rules: Rules,
    pieces: Pieces,
    tokens: Ints,
    counts: Ints,
    cursor: Longs,
    word: Bytes,
    prefixes: npt.NDArray[np.uint64],
) -> int:
    """Goes on until a word may be plain, until the end, or until Python is needed; see `DONE`.

    What Python must do a whole chunk for has taken back the chunk's tokens. `word` and `prefixes`
    are scratch.
    """
    kinds, small, high_kinds = rules.kinds, rules.lowered, rules.high_kinds
    characters, symbols = rules.spelt, rules.symbols
    (slots, keys), ids = pieces.table, pieces.ids
    longest, unknown = pieces.longest, pieces.unknown
    size, more = 0, 0  # `more`: bytes of a character after its first
    at, count, start = cursor[AT], cursor[TOKENS], cursor[AT]
    while at < len(data):
        byte = data[np.uint64(at)]
        kind, code, width = kinds[byte], np.int64(byte), 1
        if kind == HIGH:
            cursor[HIGH_BYTES] = 1
            code, width = _decode(data, at)
            kind = high_kinds[code] if width else np.uint8(LOOKS_AROUND)
        elif kind == WORD:
            if size == 0 and start < at < len(data) - SHORT:
                break
            word[np.uint64(size & _WRAPPED)] = small[byte]
            size += 1
            at += 1
            continue
        if kind == WORD:
            for i in range(1, 1 + characters[code, 0]):
                byte = characters[code, i]
                word[np.uint64(size & _WRAPPED)] = byte
                size += 1
                more += (byte & 0xC0) == 0x80
        elif kind <= UNSEEN:
            cursor[SHOWS] |= kind == DROPPED
        else:
            asked = _asks(kind, size, more)
            if asked != DONE:
                cursor[AT], cursor[TOKENS] = cursor[CHUNK], cursor[CHUNK_TOKENS]
                return asked
            count = write_word(
                word, size, more, slots, keys, ids, longest, unknown, tokens, count, prefixes
            )
            size, more = 0, 0
            if kind == SYMBOL:
                tokens[np.uint64(count)] = symbols[np.uint64(code)]
                count += 1
            elif kind == SPACE:
                cursor[CHUNK], cursor[CHUNK_TOKENS] = at + width, count
            else:
                cursor[AT], cursor[TOKENS] = at, count
                if not _end_line(counts, cursor):
                    return ASK_LINE
        at += width
    cursor[AT], cursor[TOKENS] = at, count
    return DONE


@inlined
def _asks(kind: int, size: int, more: int) -> int:
    """What Python must do about a character, or about the word that it ends."""
    if kind == NEW:
        return ASK_CHARACTER
    too_long = size > LONGEST_KEY and size - more <= MAX_INPUT_CHARS_PER_WORD
    return ASK_CHUNK if kind > NEW or too_long else DONE


@inlined
def _part_of_word(data: Bytes, at: int, lower: bool) -> np.uint64:
    """The ASCII letters and digits from `at` on, eight at most, lower-cased; zeros behind them."""
    text = load_8(data, np.uint64(at))
    if lower:
        text = lowered(text)
    return first_bytes(text, word_length(text))


@uncounted
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
