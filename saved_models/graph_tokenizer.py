"""The 2018 tokenizer as TensorFlow ops: equal to `bert_tf.tokenization` on every string.

Two ways through the graph, for every line the one that is right:

- printable ASCII, and lines of the characters that `agreement` finds, go to tensorflow-text's
  FastBertTokenizer, which agrees with the original there and is fast;
- all else goes code point by code point through the table of `character_table`, and word by word
  through tensorflow-text's FastWordpieceTokenizer. The rules are numbered as in
  `bert_tf.unicode_rules`.

Shapes: B lines, N code points of all lines, M code points after folding, W words, P pieces.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from bert_tf.tokenization import MAX_INPUT_CHARS_PER_WORD, UNK_TOKEN, load_vocab, require_tokens
from bert_tf.unicode_rules import is_cjk, is_dropped, is_punctuation
from saved_models.agreement import LONG_CHUNK, PLAIN_LINE, agreeing_line
from saved_models.character_table import (
    CAPITAL_SIGMA,
    CASED,
    CJK,
    DROPPED,
    FINAL_SIGMA,
    IGNORABLE,
    MARK,
    PAGE,
    PUNCTUATION,
    SPACE,
    character_table,
)
from saved_models.characters import CharPlaces, Chars, decode, order_marks

_MOST_UTF8 = 4  # bytes of a code point


class Pieces(NamedTuple):
    """Tokens of lines, with the words they belong to: ragged [B, words, pieces].

    Attributes:
      ids: int32.
      starts, ends: int64, the bytes of the line that each token came from; None where they were
        not asked for.
    """

    ids: tf.RaggedTensor
    starts: tf.RaggedTensor | None
    ends: tf.RaggedTensor | None


class Spelt(NamedTuple):
    """Lines as the tokenizer spells them: folded code points, in words, in pieces.

    Attributes:
      chars: what is left of the code points, without white space, [M].
      starts_word: bool [M].
      rows: int64 [W], the line of each word.
      ids: int32 ragged [W, pieces].
      first, last: int64 [P], the code points that each piece begins and ends with, in [0, M).
    """

    chars: Chars
    starts_word: tf.Tensor
    rows: tf.Tensor
    ids: tf.RaggedTensor
    first: tf.Tensor
    last: tf.Tensor


class GraphTokenizer(tf.Module):
    """Strings to WordPiece ids inside a graph.

    Args:
      vocab_file: one token a line.
      do_lower_case: whether text is lower-cased.

    Attributes:
      unknown: the id of [UNK].

    Raises:
      FileNotFoundError, ValueError: see `bert_tf.tokenization.load_vocab`.
      MissingTokenError: the vocabulary has no [UNK].
    """

    def __init__(self, vocab_file: str | Path, do_lower_case: bool = True) -> None:
        super().__init__(name="tokenizer")
        vocab = load_vocab(vocab_file)
        require_tokens(vocab, [UNK_TOKEN], vocab_file)
        tokens = _tokens_by_id(vocab)
        self.do_lower_case = do_lower_case
        self._table = character_table(do_lower_case)
        self._starts_word = np.array([not token.startswith("##") for token in tokens])
        self.unknown = vocab[UNK_TOKEN]
        self._agreeing_line = agreeing_line(do_lower_case)
        self._wordpiece = tf_text.FastWordpieceTokenizer(
            vocab=tokens,
            max_bytes_per_word=_MOST_UTF8 * MAX_INPUT_CHARS_PER_WORD,
            token_out_type=tf.int32,
            no_pretokenization=True,
        )
        self._plain = tf_text.FastBertTokenizer(
            vocab=tokens,
            max_bytes_per_word=MAX_INPUT_CHARS_PER_WORD,
            token_out_type=tf.int32,
            lower_case_nfd_strip_accents=do_lower_case,
        )

    def tokenize(self, lines: tf.Tensor) -> tf.RaggedTensor:
        """Ids, int32 ragged [B, words, pieces], of strings [B]."""
        return self._both_ways(lines, with_offsets=False).ids

    def tokenize_with_offsets(self, lines: tf.Tensor) -> Pieces:
        """Ids, and which bytes `line[start:end]` each token came from (see `FullTokenizer`)."""
        return self._both_ways(lines, with_offsets=True)

    def _both_ways(self, lines: tf.Tensor, with_offsets: bool) -> Pieces:
        """Each line its own way, put together in order."""
        plain = tf.strings.regex_full_match(lines, PLAIN_LINE) | (
            tf.strings.regex_full_match(lines, self._agreeing_line)
            & ~tf.strings.regex_full_match(lines, LONG_CHUNK)
        )
        fast = self._plain_pieces(tf.boolean_mask(lines, plain), with_offsets)
        slow = self._any_pieces(tf.boolean_mask(lines, ~plain), with_offsets)
        number = tf.cumsum(tf.cast(plain, tf.int32))
        other = tf.range(1, tf.size(lines) + 1) - number + number[-1:]
        place = tf.where(plain, number, other) - 1  # in fast, then slow

        def joined(a: tf.RaggedTensor | None, b: tf.RaggedTensor | None) -> tf.RaggedTensor | None:
            if a is None or b is None:
                return None
            return tf.gather(tf.concat([a, b], axis=0), place)

        return Pieces(*map(joined, fast, slow))

    def _plain_pieces(self, lines: tf.Tensor, with_offsets: bool) -> Pieces:
        """Pieces of lines on which FastBertTokenizer agrees."""
        starts = ends = None
        if with_offsets:
            flat, starts, ends = self._plain.tokenize_with_offsets(lines)
        else:
            flat = self._plain.tokenize(lines)
        # FastBertTokenizer loses the words: a piece without ## starts one, and [UNK] is one.
        word_starts = tf.where(tf.gather(self._starts_word, flat.values))[:, 0]
        splits = tf.concat([word_starts, [tf.size(flat.values, tf.int64)]], axis=0)
        words = tf.searchsorted(word_starts, flat.row_splits)  # words of each line

        def by_words(values: tf.RaggedTensor | None) -> tf.RaggedTensor | None:
            if values is None:
                return None
            inner = tf.RaggedTensor.from_row_splits(values.values, splits, validate=False)
            return tf.RaggedTensor.from_row_splits(inner, tf.cast(words, tf.int64), validate=False)

        return Pieces(*map(by_words, (flat, starts, ends)))

    def _any_pieces(self, lines: tf.Tensor, with_offsets: bool) -> Pieces:
        """Pieces of any lines."""
        spelt = self.spell(decode(lines))
        chars, ids = spelt.chars, spelt.ids

        def by_lines(values: tf.RaggedTensor) -> tf.RaggedTensor:
            return tf.RaggedTensor.from_value_rowids(
                values, spelt.rows, tf.size(lines, tf.int64), validate=False
            )

        if not with_offsets:
            return Pieces(by_lines(ids), None, None)
        return Pieces(
            by_lines(ids),
            by_lines(ids.with_values(tf.gather(chars.starts, spelt.first))),
            by_lines(ids.with_values(tf.gather(chars.ends, spelt.last))),
        )

    def spell(self, chars: Chars) -> Spelt:
        """The pieces of lines that are given as code points."""
        chars, single = self._fold(chars)
        is_space = self._has(chars.codes, SPACE)
        previous = tf.roll(tf.stack([chars.rows, tf.cast(is_space | single, tf.int32)]), 1, axis=1)
        first = (previous[0] != chars.rows) | (previous[1] != 0) | single
        first |= tf.range(tf.size(chars.rows)) == 0
        first = tf.boolean_mask(first, ~is_space)
        chars = chars.where(~is_space)
        word_starts = tf.where(first)[:, 0]  # [W]
        word_splits = tf.concat([word_starts, [tf.size(first, tf.int64)]], axis=0)
        words = tf.strings.unicode_encode(
            tf.RaggedTensor.from_row_splits(chars.codes, word_splits, validate=False), "UTF-8"
        )
        lengths = word_splits[1:] - word_splits[:-1]
        # Words that are too long are [UNK], as is what rule 1 drops: no vocabulary spells it here.
        too_long = lengths > MAX_INPUT_CHARS_PER_WORD
        words = tf.where(too_long, tf.repeat("\ufffd", tf.size(words)), words)
        ids, starts, ends = self._wordpiece.tokenize_with_offsets(words)
        first_char = tf.repeat(word_starts, ids.row_lengths())
        size = tf.repeat(lengths, ids.row_lengths())
        place = CharPlaces(chars.codes)
        from_char = place.after(first_char, starts.values)
        # [UNK] covers its whole word.
        unknown = ids.values == self.unknown
        to_char = tf.where(unknown, first_char + size, place.after(first_char, ends.values))
        rows = tf.cast(tf.gather(chars.rows, word_starts), tf.int64)
        return Spelt(chars, first, rows, ids, from_char, to_char - 1)

    def _cells(self, codes: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._table.pages, codes // PAGE) * PAGE + codes % PAGE

    def _flags(self, codes: tf.Tensor) -> tf.Tensor:
        return tf.gather(self._table.flags, self._cells(codes))

    def _has(self, codes: tf.Tensor, flags: int) -> tf.Tensor:
        return self._flags(codes) & flags != 0

    def _fold(self, chars: Chars) -> tuple[Chars, tf.Tensor]:
        """Rules 1, 3 and 4; and for each code point left, whether it is a word of its own."""
        chars = chars.where(~self._has(chars.codes, DROPPED))
        cjk = self._has(chars.codes, CJK)
        if self.do_lower_case:
            chars = tf.cond(
                tf.reduce_any(chars.codes == CAPITAL_SIGMA),
                lambda: self._final_sigmas(chars),
                lambda: chars,
            )
            chars, cjk = self._decompose(chars, cjk)
            chars, cjk = self._drop_marks(chars, cjk)
        return chars, cjk | self._has(chars.codes, PUNCTUATION)

    def _final_sigmas(self, chars: Chars) -> Chars:
        """A capital sigma after a letter and not before one becomes its final form.

        Marks and the like between them count for nothing; white space and other lines end it.
        """
        flags = self._flags(chars.codes)
        kept = tf.where((flags & IGNORABLE == 0) | (chars.codes == CAPITAL_SIGMA))[:, 0]
        cased = tf.gather(flags & CASED != 0, kept)
        rows = tf.gather(chars.rows, kept)
        edge = tf.constant([False])
        same = tf.concat([edge, rows[1:] == rows[:-1], edge], axis=0)
        before = tf.concat([edge, cased[:-1]], axis=0) & same[:-1]
        after = tf.concat([cased[1:], edge], axis=0) & same[1:]
        final = before & ~after & (tf.gather(chars.codes, kept) == CAPITAL_SIGMA)
        places = tf.boolean_mask(kept, final)[:, None]
        codes = tf.tensor_scatter_nd_update(
            chars.codes, places, tf.fill(tf.shape(places)[:1], FINAL_SIGMA)
        )
        return chars._replace(codes=codes)

    def _decompose(self, chars: Chars, cjk: tf.Tensor) -> tuple[Chars, tf.Tensor]:
        """Lower case and canonical decomposition, marks in canonical order."""
        cells = self._cells(chars.codes)
        counts = tf.gather(self._table.counts, cells)
        source = tf.repeat(tf.range(tf.size(counts)), counts)  # [M]
        within = tf.range(tf.size(source)) - tf.gather(tf.cumsum(counts, exclusive=True), source)
        start = tf.gather(tf.gather(self._table.starts, cells), source)
        parts = chars.at(source)
        folded = tf.gather(self._table.folded, tf.maximum(start, 0) + within)
        parts = parts._replace(codes=tf.where(start < 0, parts.codes, folded))
        cjk = tf.gather(cjk, source)
        classes = tf.gather(self._table.classes, self._cells(parts.codes))
        # Only what stays matters, and nearly all with a combining class are marks that go.
        ordered = (classes != 0) & ~self._has(parts.codes, MARK)
        return tf.cond(
            tf.reduce_any(ordered),
            lambda: order_marks(parts, cjk, classes),
            lambda: (parts, cjk),
        )

    def _drop_marks(self, chars: Chars, cjk: tf.Tensor) -> tuple[Chars, tf.Tensor]:
        """Drops the category Mn; the character before a dropped mark takes in its bytes."""
        mark = self._has(chars.codes, MARK)
        kept = chars.where(~mark)
        owner = tf.cumsum(tf.cast(~mark, tf.int32)) - 1
        size = tf.size(kept.codes)
        # A mark at the start of a line has no owner there, and one after CJK is in a new word.
        owned = (owner >= 0) & mark
        owned &= tf.gather(tf.concat([kept.rows, [-1]], axis=0), tf.maximum(owner, 0)) == chars.rows
        owners, ends = tf.boolean_mask(owner, owned), tf.boolean_mask(chars.ends, owned)
        widened = tf.maximum(kept.ends, tf.math.unsorted_segment_max(ends, owners, size))
        kept_cjk = tf.boolean_mask(cjk, ~mark)
        return kept._replace(ends=tf.where(kept_cjk, kept.ends, widened)), kept_cjk


def _tokens_by_id(vocab: dict[str, int]) -> list[str]:
    """A different token for every id, as tensorflow-text wants them.

    Lines that no text can give become tokens with a control character in them, which no word has:
    empty lines, tokens that stand again below (the released Chinese vocabulary has both), and all
    that rules 1 to 5 would have taken apart. FastBertTokenizer would trip over some of them: with
    "ab c" in the vocabulary it does not find "a" and "##b" in "ab".
    """
    tokens = [f"\x01{index}" for index in range(max(vocab.values()) + 1)]
    for token, index in vocab.items():
        if token == UNK_TOKEN or _may_come_up(token.removeprefix("##")):
            tokens[index] = token
    return tokens


def _may_come_up(piece: str) -> bool:
    """Whether some text has `piece` in one of its words, folding left aside."""
    if any(char.isspace() or is_dropped(char) for char in piece):
        return False
    if len(piece) == 1:
        return True
    return 0 < len(piece) <= MAX_INPUT_CHARS_PER_WORD and not any(
        is_punctuation(char) or is_cjk(char) for char in piece
    )
