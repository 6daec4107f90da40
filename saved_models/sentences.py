"""Texts and pairs in; a class, a number or a vector out.

Shapes: B examples, W windows over them, T tokens, C classes, H hidden size.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from bert_tf.inputs.windows import mean_of_windows
from bert_tf.modeling.encoder import build_encoder
from bert_tf.modeling.task_heads import build_classifier
from bert_tf.tasks.features import normalized
from bert_tf.tasks.metrics import softmax
from bert_tf.tasks.task import POOLER
from saved_models.building import Exported, Request
from saved_models.network import Network
from saved_models.samples import SECOND_TEXTS, TEXTS, listed, packed_in_python
from saved_models.signatures import TaskModule, Tensors
from saved_models.texts import STRINGS, Sequences, TextPacking, logits_of

_SMALLEST_SQUARE = 1e-24  # of a vector's length, which is scaled to 1


class _SentenceModule(TaskModule):
    """Packs texts and hands them to the model; subclasses turn its scores into answers."""

    def __init__(self, network: Network, packing: TextPacking, pairs: bool, name: str) -> None:
        super().__init__(network, name)
        self.packing = packing
        self.text_inputs = {"text_a": STRINGS, "text_b": STRINGS} if pairs else {"text_a": STRINGS}

    def sequences(self, texts: Tensors) -> Sequences:
        """The texts as input sequences."""
        return self.packing.sequences(*(texts[name] for name in self.text_inputs))


class Classifier(_SentenceModule):
    """A class for a text or a pair, as `bert_tf.run_classifier` predicts it.

    Answers: `label` string [B], the likeliest; `probability` [B], its own; `labels` string [B, C]
    and `probabilities` [B, C], of all classes in the model's order. Scores: `logits` [B, C].

    Args:
      network: of a `BertClassifier`.
      packing: of its vocabulary.
      labels: names of the classes.
      pairs: whether there is a second text.
    """

    def __init__(
        self, network: Network, packing: TextPacking, labels: tuple[str, ...], pairs: bool
    ) -> None:
        super().__init__(network, packing, pairs, "classifier")
        self.labels = labels

    def answer(self, texts: Tensors) -> Tensors:
        """See the class."""
        probabilities = tf.nn.softmax(self.sequences(texts).mean(logits_of(self.ids)))  # [B, C]
        labels = tf.constant(self.labels)
        return {
            "label": tf.gather(labels, tf.argmax(probabilities, axis=1)),
            "probability": tf.reduce_max(probabilities, axis=1),
            "labels": tf.broadcast_to(labels, tf.shape(probabilities)),
            "probabilities": probabilities,
        }


class Regression(_SentenceModule):
    """A number for a text or a pair: `value` [B]. Scores: `logits` [B, 1].

    Args:
      network: of a `BertClassifier` with one class.
      packing: of its vocabulary.
      pairs: whether there is a second text.
    """

    def __init__(self, network: Network, packing: TextPacking, pairs: bool) -> None:
        super().__init__(network, packing, pairs, "regression")

    def answer(self, texts: Tensors) -> Tensors:
        """See the class."""
        return {"value": self.sequences(texts).mean(logits_of(self.ids))[:, 0]}


class Embedding(_SentenceModule):
    """A vector of length 1 for a text, as `bert_tf.embed` makes it.

    Answers and scores: `embedding` [B, H], the mean of the last layer's tokens, scaled.

    Args:
      network: of a `BertEncoder`.
      packing: of its vocabulary.
    """

    def __init__(self, network: Network, packing: TextPacking) -> None:
        super().__init__(network, packing, False, "embedding")

    def ids(self, inputs: Tensors) -> Tensors:
        """See the class."""
        return _scaled(self._means(inputs)[0])

    def answer(self, texts: Tensors) -> Tensors:
        """See the class; of several windows, the mean weighted by their tokens."""
        return _scaled(self.sequences(texts).mean(self._means))

    def _means(self, inputs: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean vectors of sequences [W, H], and their tokens [W]."""
        vectors = self.network(inputs)["sequence_output"]  # [W, T, H]
        mask = tf.cast(inputs["input_mask"], tf.float32)
        tokens = tf.maximum(tf.reduce_sum(mask, axis=1), 1.0)
        return tf.reduce_sum(vectors * mask[..., None], axis=1) / tokens[:, None], tokens


def _scaled(vectors: tf.Tensor) -> Tensors:
    return {"embedding": tf.math.l2_normalize(vectors, axis=1, epsilon=_SMALLEST_SQUARE)}


def build_classification(request: Request) -> Exported:
    """A classifier; ValueError where the labels are not known."""
    labels = request.classes
    model = build_classifier(request.sizes, len(labels))
    request.load(model)
    packing = TextPacking(request, request.pairs)
    module = Classifier(request.network(model), packing, labels, request.pairs)
    texts, ids, owners = _example(request)
    logits = np.asarray(model(ids)["logits"])
    probabilities = softmax(mean_of_windows(logits, owners))
    best = np.argmax(probabilities, axis=1)
    answers = {
        "label": [labels[number] for number in best],
        "probability": probabilities.max(axis=1).tolist(),
        "labels": [list(labels)] * len(best),
        "probabilities": probabilities.tolist(),
    }
    cases = _cases(texts, answers, ids, {"logits": logits.tolist()})
    return Exported.of(module, cases, labels=list(labels))


def build_regression(request: Request) -> Exported:
    """A regression."""
    model = build_classifier(request.sizes, 1)
    request.load(model)
    packing = TextPacking(request, request.pairs)
    module = Regression(request.network(model), packing, request.pairs)
    texts, ids, owners = _example(request)
    logits = np.asarray(model(ids)["logits"])
    answers = {"value": mean_of_windows(logits, owners)[:, 0].tolist()}
    cases = _cases(texts, answers, ids, {"logits": logits.tolist()})
    return Exported.of(module, cases)


def build_embedding(request: Request) -> Exported:
    """Sentence vectors."""
    model = build_encoder(request.sizes)
    request.load(model, unread=[POOLER])
    network = request.network(model, unread=[POOLER], outputs=["sequence_output"])
    module = Embedding(network, TextPacking(request))
    ids, owners = packed_in_python(request, TEXTS)
    mask = ids["input_mask"][..., None]
    means = (np.asarray(model(ids)["sequence_output"]) * mask).sum(axis=1) / mask.sum(axis=1)
    vectors = mean_of_windows(means, owners, mask.sum(axis=(1, 2)))
    answers, scores = ({"embedding": normalized(each).tolist()} for each in (vectors, means))
    cases = _cases({"text_a": TEXTS}, answers, ids, scores)
    return Exported.of(module, cases, size=request.sizes.hidden_size)


def _example(request: Request) -> tuple[dict[str, list[str]], dict[str, np.ndarray], np.ndarray]:
    """Texts by the names of the inputs, the same as windows, and the text of each window."""
    if not request.pairs:
        return {"text_a": TEXTS}, *packed_in_python(request, TEXTS)
    texts = {"text_a": TEXTS, "text_b": SECOND_TEXTS}
    return texts, *packed_in_python(request, TEXTS, SECOND_TEXTS)


def _cases(
    texts: dict[str, list[str]],
    answers: dict[str, Any],
    ids: dict[str, np.ndarray],
    scores: dict[str, Any],
) -> list[dict[str, Any]]:
    """Calls of the signatures and what they should give."""
    return [
        {"signature": "serving_default", "inputs": texts, "expected": answers},
        {"signature": "serve_ids", "inputs": listed(ids), "expected": scores},
    ]
