"""Blocks of text into token ids, compiled: what `FullTokenizer.encode` gives for each line.

Text is split and spelt here by compiled code, by the rules of `bert_tf.unicode_rules` and
`bert_tf.tokenization`: control characters vanish, symbols stand alone, letters are folded, longest
pieces come first, 200 characters make a word at most. What is done with a character beyond ASCII is
asked of these rules in Python, once for each, for all of a block at a time (`character_rules`). The
chunks between white space that are left, with bytes that are no UTF-8 or a character that looks at
its neighbours, go to the tokenizer in Python.

A line is blank where nothing is left of it after `str.strip`, which decides about documents; a
line of, say, NUL bytes has no tokens either, but is not blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.tokenization import FullTokenizer
from data_prep.character_rules import CharacterRules, byte_classes
from data_prep.pieces import Pieces, pieces_of
from data_prep.scanning import (
    ASK_CHARACTER,
    ASK_LINE,
    AT,
    BLANK,
    DONE,
    LINE,
    LINES,
    LOST,
    TOKENS,
    Rules,
    chunk_end,
    new_characters,
    next_line,
    scan,
)
from data_prep.spelling import no_words_spelt

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]


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
        self._rules = Rules(lower, *byte_classes(lower), known.kinds, known.spelt, known.symbols)

    def tokenize(self, block: bytes) -> TokenBlock:
        """The token ids of a block; its last line must end with a newline."""
        data = np.frombuffer(block, np.uint8)
        tokens = np.empty(len(block) + 1, np.int32)
        counts = np.empty(block.count(b"\n") + 1, np.int32)
        cursor = np.zeros(LOST + 1, np.int64)
        while True:
            asked = scan(data, self._rules, self._pieces, self._spelt, tokens, counts, cursor)
            if asked == DONE:
                break
            if asked == ASK_CHARACTER:
                self._characters.learn(new_characters(data, int(cursor[AT]), self._rules))
            elif asked == ASK_LINE:
                _decide_line(block, counts, cursor)
            else:
                tokens = self._ask_chunk(block, tokens, cursor)
        return TokenBlock(
            tokens[: cursor[TOKENS]].copy(), counts[: cursor[LINES]].copy(), int(cursor[LOST])
        )

    def _ask_chunk(self, block: bytes, tokens: Ints, cursor: Longs) -> Ints:
        """Tokenizes the chunk at the cursor in Python; `tokens`, or a longer copy of it."""
        end = int(chunk_end(np.frombuffer(block, np.uint8), self._rules.kinds, cursor[AT]))
        kept = block[cursor[AT] : end].replace(b"\r", b"")
        text = kept.decode("utf-8", "ignore")
        ids = np.array(self._tokenizer.encode(text), np.int32)
        at = int(cursor[TOKENS])
        # A byte gives a token at most (a test looks at all code points); better safe than
        # overwritten.
        room = len(block) - end + 1
        if at + len(ids) + room > len(tokens):
            tokens = np.concatenate([tokens[:at], np.empty(len(ids) + room, np.int32)])
        tokens[at : at + len(ids)] = ids
        cursor[TOKENS] += len(ids)
        cursor[LOST] += len(kept) - len(text.encode())
        cursor[AT] = end
        return tokens


def _decide_line(block: bytes, counts: Ints, cursor: Longs) -> None:
    """Whether a line without tokens but with bytes beyond ASCII is blank; goes on after it."""
    raw = block[cursor[LINE] : cursor[AT]].replace(b"\r", b"")
    counts[cursor[LINES]] = 0 if raw.decode("utf-8", "ignore").strip() else BLANK
    next_line(cursor)
