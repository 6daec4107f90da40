"""Blocks of text into token ids, compiled: what `FullTokenizer.encode` gives for each line.

A chunk between white space is tokenized the same wherever it stands. Chunks of ASCII, nearly all
of English text, are split and spelt here by compiled code; any other chunk goes to the tokenizer
in Python, once, and is remembered. The rules are those of `bert_tf.unicode_rules` and
`bert_tf.tokenization`, of which ASCII needs few: control characters vanish, symbols stand alone,
longest pieces first, 200 characters at most.

A line is blank where nothing is left of it after `str.strip`, which decides about documents; a
line of, say, NUL bytes has no tokens either, but is not blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.compiled import compiled, inlined
from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD, FullTokenizer
from data_prep.ascii_rules import (
    DROPPED,
    HIGH,
    LATER,
    NEWLINE,
    SPACE,
    START,
    SYMBOL,
    UNSEEN,
    WORD,
    Pieces,
    byte_classes,
    pieces_of,
)
from data_prep.byte_table import (
    HASH_SEEDS,
    Bytes,
    ByteTable,
    Slots,
    empty_table,
    extend_hash,
    find,
    hash_bytes,
    insert,
)

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

BLANK = -1  # in place of a number of tokens

# What `_scan` stopped for: the end, a chunk it does not know, a line that may be blank.
_DONE, _ASK_CHUNK, _ASK_LINE = range(3)
# Where `_scan` stopped: next byte, end of the chunk asked for, tokens and lines so far, first
# token and first byte of this line, whether it has bytes beyond ASCII, whether it shows anything,
# bytes dropped.
_AT, _CHUNK_END, _TOKENS, _LINES, _LINE_TOKEN, _LINE_BYTE, _LINE_HIGH, _LINE_SHOWS, _LOST = range(9)

_REMEMBERED_CHUNKS = 2**16
_LONGEST_REMEMBERED = 64


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


class _Memory(NamedTuple):
    """Chunks that were asked for: entry e has ids[ends[e - 1]:ends[e]] and lost lost[e] bytes."""

    table: ByteTable
    ends: Longs
    ids: Ints
    lost: Longs


class BlockTokenizer:
    """Tokenizes blocks of whole lines; remembers what it asked the tokenizer."""

    def __init__(self, tokenizer: FullTokenizer) -> None:
        self._tokenizer = tokenizer
        self._pieces = pieces_of(tokenizer)
        self._classes = byte_classes(tokenizer.do_lower_case)
        self._memory = _empty_memory()
        self._remembered = 0

    def tokenize(self, block: bytes) -> TokenBlock:
        """The token ids of a block; its last line must end with a newline."""
        data = np.frombuffer(block, np.uint8)
        tokens = np.empty(len(block) + 1, np.int32)
        counts = np.empty(block.count(b"\n") + 1, np.int32)
        cursor = np.zeros(_LOST + 1, np.int64)
        while True:
            asked = _scan(data, self._classes, self._pieces, self._memory, tokens, counts, cursor)
            if asked == _DONE:
                break
            if asked == _ASK_LINE:
                _decide_line(block, counts, cursor)
            else:
                tokens = self._ask_chunk(block, tokens, cursor)
        return TokenBlock(
            tokens[: cursor[_TOKENS]].copy(), counts[: cursor[_LINES]].copy(), int(cursor[_LOST])
        )

    def _ask_chunk(self, block: bytes, tokens: Ints, cursor: Longs) -> Ints:
        """Tokenizes the chunk at the cursor in Python; `tokens`, or a longer copy of it."""
        raw = block[cursor[_AT] : cursor[_CHUNK_END]]
        kept = raw.replace(b"\r", b"")
        text = kept.decode("utf-8", "ignore")
        lost = len(kept) - len(text.encode())
        ids = np.array(self._tokenizer.encode(text), np.int32)
        if len(raw) <= _LONGEST_REMEMBERED:
            self._remember(raw, ids, lost)
        at = int(cursor[_TOKENS])
        # A byte gives a token at most (a test looks at all code points); better safe than
        # overwritten.
        room = len(block) - int(cursor[_CHUNK_END]) + 1
        if at + len(ids) + room > len(tokens):
            tokens = np.concatenate([tokens[:at], np.empty(len(ids) + room, np.int32)])
        tokens[at : at + len(ids)] = ids
        cursor[_TOKENS] += len(ids)
        cursor[_LOST] += lost
        cursor[_AT] = cursor[_CHUNK_END]
        return tokens

    def _remember(self, raw: bytes, ids: Ints, lost: int) -> None:
        memory = self._memory
        used = int(memory.ends[self._remembered])
        if self._remembered == _REMEMBERED_CHUNKS or used + len(ids) > len(memory.ids):
            self._memory = memory = _empty_memory()
            self._remembered = used = 0
        self._remembered += 1
        memory.ids[used : used + len(ids)] = ids
        memory.lost[self._remembered] = lost
        memory.ends[self._remembered] = used + len(ids)
        insert(*memory.table, self._remembered, np.frombuffer(raw, np.uint8), 0)


def _empty_memory() -> _Memory:
    chunks = _REMEMBERED_CHUNKS
    return _Memory(
        empty_table(chunks, _LONGEST_REMEMBERED),
        np.zeros(chunks + 1, np.int64),
        np.zeros(chunks * _LONGEST_REMEMBERED, np.int32),
        np.zeros(chunks + 1, np.int64),
    )


def _decide_line(block: bytes, counts: Ints, cursor: Longs) -> None:
    """Whether a line without tokens but with bytes beyond ASCII is blank; goes on after it."""
    raw = block[cursor[_LINE_BYTE] : cursor[_AT]].replace(b"\r", b"")
    counts[cursor[_LINES]] = 0 if raw.decode("utf-8", "ignore").strip() else BLANK
    _next_line(cursor)


@compiled
def _next_line(cursor: Longs) -> None:
    cursor[_AT] += 1
    cursor[_LINES] += 1
    cursor[_LINE_TOKEN] = cursor[_TOKENS]
    cursor[_LINE_BYTE] = cursor[_AT]
    cursor[_LINE_HIGH] = cursor[_LINE_SHOWS] = 0


@compiled
def _end_line(counts: Ints, cursor: Longs) -> bool:
    """Notes the line that ends at the cursor; False where its bytes must decide if it is blank."""
    found = cursor[_TOKENS] - cursor[_LINE_TOKEN]
    if found == 0 and cursor[_LINE_HIGH]:
        return False
    counts[cursor[_LINES]] = found if found or cursor[_LINE_SHOWS] else BLANK
    _next_line(cursor)
    return True


@compiled
def _scan(
    data: Bytes,
    classes: tuple[Bytes, Bytes],
    pieces: Pieces,
    memory: _Memory,
    tokens: Ints,
    counts: Ints,
    cursor: Longs,
) -> int:
    """Goes on with a block until its end or until Python is needed; see `_DONE`.

    Every chunk starts as if it were ASCII; a byte beyond that takes its tokens back.
    """
    kinds, lowered = classes
    (slots, keys), ids, symbols = pieces.table, pieces.ids, pieces.symbols
    longest, unknown = pieces.longest, pieces.unknown
    word = np.empty(MAX_INPUT_CHARS_PER_WORD, np.uint8)
    prefixes = np.empty(MAX_INPUT_CHARS_PER_WORD, np.uint64)
    size, hashed = 0, HASH_SEEDS[START]
    at, count = cursor[_AT], cursor[_TOKENS]
    chunk, chunk_count, shows = at, count, cursor[_LINE_SHOWS]
    while at < len(data):
        byte = data[np.uint64(at)]
        kind = kinds[byte]
        if kind == WORD:
            byte = lowered[byte]
            if size < MAX_INPUT_CHARS_PER_WORD:
                word[np.uint64(size)] = byte
                hashed = extend_hash(hashed, byte)
            size += 1
        elif kind == HIGH:
            cursor[_AT], cursor[_TOKENS], cursor[_LINE_SHOWS] = chunk, chunk_count, shows
            if not _recall(data, kinds, memory, tokens, cursor):
                return _ASK_CHUNK
            at, count = cursor[_AT] - 1, cursor[_TOKENS]
            size, hashed = 0, HASH_SEEDS[START]
        elif kind == DROPPED:
            shows = 1
        elif kind != UNSEEN:
            if size:
                count = _write_word(
                    word, size, hashed, slots, keys, ids, longest, unknown, tokens, count, prefixes
                )
                size, hashed = 0, HASH_SEEDS[START]
            if kind == SYMBOL:
                tokens[np.uint64(count)] = symbols[byte]
                count += 1
            else:
                chunk, chunk_count = at + 1, count
                if kind == NEWLINE:
                    cursor[_AT], cursor[_TOKENS], cursor[_LINE_SHOWS] = at, count, shows
                    if not _end_line(counts, cursor):
                        return _ASK_LINE
                    shows = 0
        at += 1
    cursor[_AT], cursor[_TOKENS] = at, count
    return _DONE


@compiled
def _recall(data: Bytes, kinds: Bytes, memory: _Memory, tokens: Ints, cursor: Longs) -> bool:
    """Appends the ids of the chunk at the cursor and moves behind it, if it is remembered."""
    start = cursor[_AT]
    end = start
    while kinds[data[end]] < SPACE:  # a newline comes at the end at the latest
        end += 1
    cursor[_CHUNK_END] = end
    cursor[_LINE_HIGH] = 1
    if end - start > _LONGEST_REMEMBERED:
        return False
    slots, keys = memory.table
    entry = find(slots, keys, data, start, end - start, 0, hash_bytes(data, start, end, 0))
    if entry == 0:
        return False
    count = cursor[_TOKENS]
    for i in range(memory.ends[entry - 1], memory.ends[entry]):
        tokens[count] = memory.ids[i]
        count += 1
    cursor[_TOKENS] = count
    cursor[_LOST] += memory.lost[entry]
    cursor[_AT] = end
    return True


@inlined
def _write_word(
    word: Bytes,
    size: int,
    hashed: np.uint64,
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
    if size <= MAX_INPUT_CHARS_PER_WORD:
        entry = find(slots, keys, word, 0, size, START, hashed)
    if entry:
        tokens[np.uint64(count)] = ids[np.uint64(entry)]
        count += 1
    else:
        count = _spell(word, size, slots, keys, ids, longest, unknown, tokens, count, prefixes)
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
    while start < size <= MAX_INPUT_CHARS_PER_WORD:
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
