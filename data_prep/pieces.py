"""A vocabulary as compiled code reads it: pieces are looked up in one hash table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bert_tf.tokenization import UNK_TOKEN, FullTokenizer
from data_prep.byte_table import LONGEST_KEY, ByteTable, table_of

Ints = npt.NDArray[np.int32]

START, LATER = 0, 1  # marks of pieces: where in a word they stand


class Pieces(NamedTuple):
    """Vocabulary as compiled code reads it.

    Attributes:
      table: all pieces, marked by where they stand; those that continue a word without "##". None
        is longer than LONGEST_KEY.
      ids: int32, the id of each entry.
      longest: bytes of the longest piece.
      unknown: the id of [UNK].
    """

    table: ByteTable
    ids: Ints
    longest: int
    unknown: int


def pieces_of(tokenizer: FullTokenizer) -> Pieces:
    """The vocabulary of a tokenizer; longer pieces are for who finds a longer word."""
    vocab = tokenizer.vocab
    spelt = [(token.encode(), index) for token, index in vocab.items()]
    starts = [(key, index) for key, index in spelt if len(key) <= LONGEST_KEY]
    later = [(key[2:], index) for key, index in starts if key.startswith(b"##")]
    keys = [key for key, _ in starts + later]
    marks = np.repeat(np.array([START, LATER], np.uint8), [len(starts), len(later)])
    ids = np.array([0, *(index for _, index in starts + later)], np.int32)
    return Pieces(table_of(keys, marks), ids, max(map(len, keys)), vocab[UNK_TOKEN])
