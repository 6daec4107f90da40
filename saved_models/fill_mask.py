"""Texts with [MASK] in; the likeliest words for each of them out.

Shapes: B texts, T tokens, M masks of the text with most of them, K candidates, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.modeling.heads import build_pretrainer
from bert_tf.tasks.fill_mask import MASK, Candidate, fill_mask
from bert_tf.tasks.task import POOLER
from bert_tf.tokenization import FullTokenizer
from saved_models.building import Exported, Request
from saved_models.network import Network
from saved_models.samples import TEXTS, listed, packed_in_python
from saved_models.signatures import TaskModule, Tensors
from saved_models.texts import STRINGS, TextPacking

POSITIONS = "masked_lm_positions"
_COMPARED = 5  # candidates, when an export is tried
_NEXT_SENTENCE = "cls/seq_relationship/"
_TEXTS = [f"The {MASK} is here.", f"{MASK}{MASK} sea, {MASK}é", "nothing to fill", "", MASK]


class FillMask(TaskModule):
    """Words for each [MASK], as `bert_tf.fill_mask` finds them.

    Answers: `tokens` string [B, M, K] and `probabilities` [B, M, K], the likeliest first, "" and 0
    beyond a text's own masks; `mask_count` int32 [B]. A text that is too long is cut at its end,
    with the masks there. Scores: `mlm_logits` [B, M, V] at `masked_lm_positions` int32 [B, M].

    Args:
      network: of a `BertPretrainer`.
      packing: of its vocabulary.
      tokenizer: likewise.
      top_k: K.

    Raises:
      ValueError: K is more than the vocabulary has.
    """

    def __init__(
        self, network: Network, packing: TextPacking, tokenizer: FullTokenizer, top_k: int
    ) -> None:
        super().__init__(network, "fill_mask")
        known = sorted(tokenizer.inv_vocab)
        if not 1 <= top_k <= len(known):
            raise ValueError(
                f"--top_k must be from 1 to the {len(known)} tokens of the vocabulary, but is "
                f"{top_k}."
            )
        self.text_inputs = {"text_a": STRINGS}
        self.packing = packing
        self._mask, self._top_k = tokenizer.vocab[MASK], top_k
        # Rows of the table beyond the vocabulary, and lines that stand again below, are no words.
        self._known = np.array(known)
        self._tokens = [tokenizer.inv_vocab[index] for index in known]

    def ids_inputs(self) -> dict[str, tf.TensorSpec]:
        """The encoder's, and where the masks are."""
        positions = tf.TensorSpec([None, None], tf.int32, name=POSITIONS)
        return {**super().ids_inputs(), POSITIONS: positions}

    def answer(self, texts: Tensors) -> Tensors:
        """See the class."""
        packed = self.packing.packed(self._encoded(texts["text_a"]))
        found = tf.where(packed["input_word_ids"] == self._mask)  # [masks, 2]
        places = tf.RaggedTensor.from_value_rowids(
            tf.cast(found[:, 1], tf.int32), found[:, 0], tf.size(texts["text_a"], tf.int64)
        )
        count = tf.cast(places.row_lengths(), tf.int32)
        positions = places.to_tensor()  # [B, M]
        logits = self.ids({**packed, POSITIONS: positions})["mlm_logits"]
        shares = tf.nn.softmax(tf.gather(logits, self._known, axis=-1))
        best, which = tf.math.top_k(shares, self._top_k)  # [B, M, K]
        own = tf.sequence_mask(count, tf.shape(positions)[1])[..., None]
        return {
            "tokens": tf.where(own, tf.gather(tf.constant(self._tokens), which), ""),
            "probabilities": tf.where(own, best, 0.0),
            "mask_count": count,
        }

    def _encoded(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """Ids of texts in which [MASK] stands for itself (the tokenizer would split it)."""
        parts = tf.strings.split(texts, MASK)  # [B, parts]
        rows = parts.value_rowids()
        follows = tf.concat([tf.zeros([1], tf.bool), rows[1:] == rows[:-1]], axis=0)
        follows = follows[: tf.size(rows)]  # of no texts there are no parts
        masks = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.math.count_nonzero(follows)], self._mask), tf.cast(follows, tf.int64)
        )
        tokens = tf.concat([masks, self.packing.tokens(parts.values)], axis=1)
        return parts.with_values(tokens).merge_dims(1, 2)


def build_fill_mask(request: Request) -> Exported:
    """A masked language model; ValueError where K is more than there are words."""
    unread = [POOLER, _NEXT_SENTENCE]
    model = build_pretrainer(request.sizes)
    request.load(model, unread)
    network = request.network(model, unread, outputs=["mlm_logits"])
    packing = TextPacking(request, specials=[MASK])
    module = FillMask(network, packing, request.tokenizer, request.top_k)
    # Candidates far down are so near to each other that rounding decides which comes first.
    compared = min(request.top_k, _COMPARED)
    words = expected_words(model, request.tokenizer, _TEXTS, compared)
    first = dict.fromkeys(("tokens", "probabilities"), compared)
    ids, _ = packed_in_python(request, TEXTS[1:3])
    ids[POSITIONS] = np.array([[1, 2], [3, 0]], np.int32)
    logits = {"mlm_logits": np.asarray(model(ids)["mlm_logits"]).tolist()}
    cases = [
        {
            "signature": "serving_default",
            "inputs": {"text_a": _TEXTS},
            "expected": words,
            "first": first,
        },
        {"signature": "serve_ids", "inputs": listed(ids), "expected": logits},
    ]
    return Exported.of(module, cases, top_k=request.top_k)


def expected_words(
    model: keras.Model, tokenizer: FullTokenizer, texts: list[str], top_k: int
) -> dict[str, Any]:
    """What `bert_tf.fill_mask` finds, in the form of the answers."""
    found = [fill_mask(model, tokenizer, text, top_k) if MASK in text else [] for text in texts]
    nothing = [Candidate("", 0.0)] * top_k
    most = max(map(len, found))
    filled = [[*masks, *[nothing] * (most - len(masks))] for masks in found]
    return {
        "tokens": [[[each.token for each in row] for row in masks] for masks in filled],
        "probabilities": [[[each.probability for each in row] for row in m] for m in filled],
        "mask_count": [len(masks) for masks in found],
    }
