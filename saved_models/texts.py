"""Strings to the encoder's inputs inside a graph, as the commands make them of texts in Python.

Shapes: B examples, T tokens of the longest of them, at most `max_seq_length`.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from bert_tf.inputs.features import SPECIALS_PAIR, SPECIALS_SINGLE
from bert_tf.tokenization import require_tokens
from saved_models.building import Request
from saved_models.graph_tokenizer import GraphTokenizer
from saved_models.preprocessing import pack_inputs
from saved_models.signatures import Tensors

STRINGS = tf.TensorSpec([None], tf.string)


class TextPacking(tf.Module):
    """The tokenizer in the graph, and the packing of what it gives.

    Args:
      request: vocabulary, case and length. The vocabulary is kept as an asset, `.vocab_file`.
      specials: tokens beside [CLS] and [SEP] that the vocabulary must hold.

    Raises:
      MissingTokenError: a special token is not in the vocabulary.
    """

    def __init__(self, request: Request, specials: Sequence[str] = ()) -> None:
        super().__init__(name="texts")
        vocab = request.tokenizer.vocab
        require_tokens(vocab, ["[CLS]", "[SEP]", *specials], request.vocab_file)
        self._start, self._end = vocab["[CLS]"], vocab["[SEP]"]
        self._longest = request.max_seq_length
        self.vocab_file = tf.saved_model.Asset(str(request.vocab_file))
        self._tokenizer = GraphTokenizer(request.vocab_file, request.do_lower_case)

    def tokens(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids, int32 ragged [B, tokens], of strings [B]."""
        return self._tokenizer.tokenize(texts).merge_dims(1, 2)

    def packed(self, *parts: tf.RaggedTensor) -> Tensors:
        """As `bert_tf.inputs.features.pack` one or two parts, up to the longest; int32 [B, T]."""
        specials = SPECIALS_SINGLE if len(parts) == 1 else SPECIALS_PAIR
        longest = tf.reduce_max(tf.add_n([part.row_lengths() for part in parts]))
        # Room for one token at least, also where all texts are empty or there is none.
        length = tf.clip_by_value(longest, 1, self._longest - specials) + specials
        return pack_inputs(
            list(parts), tf.cast(length, tf.int32), start=self._start, end=self._end, padding=0
        )

    def packed_texts(self, *texts: tf.Tensor) -> Tensors:
        """The same of one or two rows of strings [B]."""
        tokens = self.tokens(tf.concat(texts, axis=0))  # at once: the tokenizer's graph is large
        count = tf.shape(texts[0])[0]
        return self.packed(*(tokens[n * count : (n + 1) * count] for n in range(len(texts))))
