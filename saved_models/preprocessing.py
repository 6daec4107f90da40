"""The preprocessor: strings in, the encoder's inputs out, as published on TF Hub.

The interface is that of `bert_en_uncased_preprocess/3` (tensorflow.org/hub/common_saved_model_apis/
text): the object itself, `.tokenize`, `.tokenize_with_offsets` and `.bert_pack_inputs` are called,
and `.tokenize.get_special_tokens_dict()` tells ids. What differs is the tokenizer, which here
is the 2018 one on every string, and truncation, which is the original's: the longer part loses
its last token until both fit, the second one on equal lengths.

Shapes: B examples, T `seq_length`.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import tensorflow as tf

from bert_tf.inputs.features import SPECIALS_PAIR, SPECIALS_SINGLE
from bert_tf.tokenization import FullTokenizer, load_vocab, require_tokens
from saved_models.building import Exported, Request
from saved_models.graph_tokenizer import GraphTokenizer
from saved_models.samples import TEXTS, listed, packed_in_python

Packed = dict[str, tf.Tensor]

_TEXTS = tf.TensorSpec([None], tf.string, name="sentences")
_PADDING, _START, _END, _MASK = "[PAD]", "[CLS]", "[SEP]", "[MASK]"


class SpecialTokens(tf.Module):
    """Callable without arguments: names to ids, int32 scalars, as published."""

    def __init__(self, vocab_file: str | Path) -> None:
        super().__init__(name="get_special_tokens_dict")
        vocab = load_vocab(vocab_file)
        require_tokens(vocab, [_PADDING, _START, _END, _MASK], vocab_file)
        self.ids = {
            "padding_id": vocab[_PADDING],
            "start_of_sequence_id": vocab[_START],
            "end_of_segment_id": vocab[_END],
            "mask_id": vocab[_MASK],
            "vocab_size": max(vocab.values()) + 1,
        }

    @tf.function(input_signature=[], autograph=False)
    def __call__(self) -> dict[str, tf.Tensor]:
        """The ids."""
        return {name: tf.constant(value, tf.int32) for name, value in self.ids.items()}


class Tokenize(tf.Module):
    """Callable: string [B] -> int32 ragged [B, words, pieces]."""

    def __init__(self, tokenizer: GraphTokenizer, special_tokens: SpecialTokens) -> None:
        super().__init__(name="tokenize")
        self.get_special_tokens_dict = special_tokens
        self._tokenizer = tokenizer

    @tf.function(input_signature=[_TEXTS], autograph=False)
    def __call__(self, sentences: tf.Tensor) -> tf.RaggedTensor:
        """Ids of the pieces of the words."""
        return self._tokenizer.tokenize(sentences)


class TokenizeWithOffsets(tf.Module):
    """Callable: string [B] -> ids, first bytes and ends in bytes, ragged [B, words, pieces].

    Ids are int32, bytes int64, as published.
    """

    def __init__(self, tokenizer: GraphTokenizer, special_tokens: SpecialTokens) -> None:
        super().__init__(name="tokenize_with_offsets")
        self.get_special_tokens_dict = special_tokens
        self._tokenizer = tokenizer

    @tf.function(input_signature=[_TEXTS], autograph=False)
    def __call__(self, sentences: tf.Tensor) -> list[tf.RaggedTensor]:
        """Ids, and where in the bytes of each sentence they start and end."""
        return list(self._tokenizer.tokenize_with_offsets(sentences))


class BertPackInputs(tf.Module):
    """Callable: one or two token lists -> `input_word_ids`, `input_mask`, `input_type_ids`.

    Call: a list of int32 ragged [B, tokens] or [B, words, pieces] each, and `seq_length`
    (a number or a scalar tensor) -> int32 [B, T] each.

    Args:
      special_tokens: ids of [CLS], [SEP] and padding.
      seq_length: T where a call names none.
    """

    def __init__(self, special_tokens: SpecialTokens, seq_length: int) -> None:
        super().__init__(name="bert_pack_inputs")
        ids = special_tokens.ids

        @tf.function(autograph=False)
        def call(inputs: list[tf.RaggedTensor], seq_length: tf.Tensor = seq_length) -> Packed:
            return pack_inputs(
                inputs,
                tf.cast(seq_length, tf.int32),
                start=ids["start_of_sequence_id"],
                end=ids["end_of_segment_id"],
                padding=ids["padding_id"],
            )

        # An attribute, not a method: only so can the default be a number of this object.
        self.__call__ = call
        length = tf.TensorSpec([], tf.int32)
        for rank in (2, 3):  # the calls that a SavedModel will answer
            for parts in (1, 2):
                spec = [tf.RaggedTensorSpec([None] * rank, tf.int32) for _ in range(parts)]
                call.get_concrete_function(spec, seq_length=length)
                call.get_concrete_function(spec)


def pack_inputs(
    inputs: list[tf.RaggedTensor], seq_length: tf.Tensor, *, start: int, end: int, padding: int
) -> Packed:
    """`bert_tf.inputs.features.pack` for a batch, in a graph; see `BertPackInputs`.

    Where each token of the result comes from is computed, and all are gathered at once: a graph
    that joins ragged tensors instead has many times as many operations.

    Raises:
      tf.errors.InvalidArgumentError: `seq_length` has no room beside the special tokens; two parts
        of different numbers of rows.
    """
    specials = SPECIALS_SINGLE if len(inputs) == 1 else SPECIALS_PAIR
    rows_of_parts = [_splits(part) for part in inputs]
    checks = [
        tf.debugging.assert_greater(
            seq_length, specials, "seq_length must be above the number of special tokens; raise it"
        )
    ]
    checks += [
        tf.debugging.assert_equal(
            tf.size(rows),
            tf.size(rows_of_parts[0]),
            "both lists must have as many rows; give each text the one that it is packed with",
        )
        for rows in rows_of_parts[1:]
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        seq_length = tf.identity(seq_length)
    start_at, end_at, padding_at, offset = range(4)  # in `values`; there the first part begins
    values = tf.concat([[start, end, padding], *(part.flat_values for part in inputs)], axis=0)
    place = tf.range(seq_length)[None, :]  # [1, T]
    # [1, T] as long as all rows are alike; the first part makes them [B, T].
    source, types = tf.where(place == 0, start_at, padding_at), tf.zeros_like(place)
    begin = tf.ones_like(rows_of_parts[0][:-1])[:, None]  # [B, 1]
    kept = _kept([rows[1:] - rows[:-1] for rows in rows_of_parts], seq_length - specials)
    for number, (rows, keep) in enumerate(zip(rows_of_parts, kept, strict=True)):
        after = begin + keep[:, None]  # [B, 1]
        shown = (place >= begin) & (place < after)  # [B, T]
        source = tf.where(shown, offset + rows[:-1, None] + place - begin, source)
        source = tf.where(place == after, end_at, source)
        types = tf.where((place >= begin) & (place <= after), number, types)
        begin, offset = after + 1, offset + rows[-1]
    return {
        "input_word_ids": _of_length(tf.gather(values, source), seq_length),
        "input_mask": _of_length(tf.cast(place < begin, tf.int32), seq_length),
        "input_type_ids": _of_length(types, seq_length),
    }


def _splits(part: tf.RaggedTensor) -> tf.Tensor:
    """int32 [B + 1], where in the flat values of a ragged tensor each row starts and ends."""
    splits, *inner = part.nested_row_splits
    for each in inner:
        splits = tf.gather(each, splits)
    return tf.cast(splits, tf.int32)


def _kept(lengths: list[tf.Tensor], room: tf.Tensor) -> list[tf.Tensor]:
    """`bert_tf.inputs.features.truncate_pair` in closed form, for one part as well.

    Args:
      lengths: tokens of each part, int32 [B].
      room: how many tokens may stay in all, a scalar.
    """
    if len(lengths) == 1:
        return [tf.minimum(lengths[0], room)]
    first = tf.minimum(lengths[0], tf.maximum(room - lengths[1], (room + 1) // 2))
    return [first, tf.minimum(lengths[1], room - first)]


def _of_length(values: tf.Tensor, seq_length: tf.Tensor) -> tf.Tensor:
    """[B, T], with a static shape as far as it is known."""
    return tf.ensure_shape(values, [None, tf.get_static_value(seq_length)])


class Preprocessor(tf.Module):
    """Callable: string [B] -> the encoder's inputs; see the module for what else it has.

    Args:
      vocab_file: one token a line; kept as an asset, `.vocab_file`.
      do_lower_case: whether text is lower-cased; kept as a variable, `.do_lower_case`.
      seq_length: T.

    Raises:
      MissingTokenError: a special token is not in the vocabulary.
    """

    def __init__(
        self, vocab_file: str | Path, do_lower_case: bool = True, seq_length: int = 128
    ) -> None:
        super().__init__(name="preprocessor")
        special_tokens = SpecialTokens(vocab_file)
        self._tokenizer = GraphTokenizer(vocab_file, do_lower_case)
        self.vocab_file = tf.saved_model.Asset(str(vocab_file))
        self.do_lower_case = tf.Variable(do_lower_case, trainable=False)
        self.tokenize = Tokenize(self._tokenizer, special_tokens)
        self.tokenize_with_offsets = TokenizeWithOffsets(self._tokenizer, special_tokens)
        self.bert_pack_inputs = BertPackInputs(special_tokens, seq_length)

    @tf.function(input_signature=[_TEXTS], autograph=False)
    def __call__(self, sentences: tf.Tensor) -> Packed:
        """Single sentences, packed to the length of the export."""
        return self.bert_pack_inputs.__call__([self._tokenizer.tokenize(sentences)])


def build_preprocessor(request: Request) -> Exported:
    """A preprocessor; MissingTokenError where the vocabulary lacks a special token."""
    module = Preprocessor(request.vocab_file, request.do_lower_case, request.max_seq_length)
    return Exported(module, expected_answers(request))


def expected_answers(request: Request) -> list[dict[str, Any]]:
    """Calls of a preprocessor and what the tokenizer in Python says to them."""
    packed = listed(packed_in_python(request, TEXTS)[0])
    pairs = listed(packed_in_python(request, TEXTS[:-1], TEXTS[1:])[0])
    words = [_words(request.tokenizer, text) for text in TEXTS]
    parts = [[[word[part] for word in line] for line in words] for part in range(3)]
    return [
        {"call": "", "inputs": TEXTS, "expected": packed},
        {"call": "bert_pack_inputs", "inputs": TEXTS, "expected": pairs},
        {"call": "tokenize", "inputs": TEXTS, "expected": parts[0]},
        {"call": "tokenize_with_offsets", "inputs": TEXTS, "expected": parts},
    ]


def _words(tokenizer: FullTokenizer, text: str) -> list[tuple[list[int], list[int], list[int]]]:
    """Ids, first bytes and ends of the pieces of each word of a text."""
    places = [0, *itertools.accumulate(len(char.encode()) for char in text)]
    words: list[tuple[list[int], list[int], list[int]]] = []
    for token, (start, end) in zip(*tokenizer.tokenize_with_offsets(text), strict=True):
        if not token.startswith("##"):
            words.append(([], [], []))
        for part, value in zip(
            words[-1], (tokenizer.vocab[token], places[start], places[end]), strict=True
        ):
            part.append(value)
    return words
