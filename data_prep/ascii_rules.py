"""The tokenizer's rules for ASCII, as tables that compiled code reads.

ASCII needs few of the rules of `bert_tf.unicode_rules`: control characters vanish, symbols stand
alone, letters may be lower-cased; pieces are looked up in one hash table.
"""

from __future__ import annotations

import string
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD, UNK_TOKEN, FullTokenizer
from data_prep.byte_table import Bytes, ByteTable, table_of

Ints = npt.NDArray[np.int32]

# What a byte is to a line. What is unseen is dropped too, but does not keep a line from being
# blank: white space to str.strip, and the carriage return, which tf.gfile's line reader removes.
WORD, SYMBOL, DROPPED, UNSEEN, HIGH, SPACE, NEWLINE = range(7)
_UNSEEN_BYTES = b"\x0b\x0c\r\x1c\x1d\x1e\x1f"
_ASCII = 128
START, LATER = 0, 1  # marks of pieces: where in a word they stand


class Pieces(NamedTuple):
    """Vocabulary as compiled code reads it.

    Attributes:
      table: all pieces, marked by where they stand; those that continue a word without "##".
      ids: int32, the id of each entry.
      symbols: int32 [256], the id of each byte as a word of its own.
      longest: bytes of the longest piece.
      unknown: the id of [UNK].
    """

    table: ByteTable
    ids: Ints
    symbols: Ints
    longest: int
    unknown: int


def pieces_of(tokenizer: FullTokenizer) -> Pieces:
    """The vocabulary of a tokenizer."""
    vocab = tokenizer.vocab
    # What is not ASCII, or longer than a word may be, is no piece of an ASCII word.
    spelt = [
        (token, index)
        for token, index in vocab.items()
        if token.isascii() and len(token) <= MAX_INPUT_CHARS_PER_WORD
    ]
    later = [(token[2:], index) for token, index in spelt if token.startswith("##")]
    keys = [(token.encode(), START) for token, _ in spelt]
    keys += [(token.encode(), LATER) for token, _ in later]
    unknown = vocab[UNK_TOKEN]
    symbols = np.full(256, unknown, np.int32)
    for byte in range(_ASCII):
        symbols[byte] = vocab.get(chr(byte), unknown)
    ids = np.array([0, *(index for _, index in spelt + later)], np.int32)
    return Pieces(table_of(keys), ids, symbols, max(len(key) for key, _ in keys), unknown)


def byte_classes(lower: bool) -> tuple[Bytes, Bytes]:
    """What each byte is, and what stands in a word for it; uint8 [256] each."""
    kinds = np.full(256, WORD, np.uint8)
    kinds[:32] = kinds[127] = DROPPED
    kinds[list(_UNSEEN_BYTES)] = UNSEEN
    kinds[[ord(char) for char in string.punctuation]] = SYMBOL
    kinds[_ASCII:] = HIGH
    kinds[[ord(" "), ord("\t")]] = SPACE
    kinds[ord("\n")] = NEWLINE
    lowered = np.arange(256, dtype=np.uint8)
    if lower:
        for char in string.ascii_uppercase:
            lowered[ord(char)] = ord(char.lower())
    return kinds, lowered
