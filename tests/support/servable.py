"""Small SavedModels with the signatures of the tasks, whose answers a reader can work out.

They hold no network: words in capitals are names, the first word of a question is looked for in
its context, and so on. What they are for is the way from a request to an answer.
"""

import json
from pathlib import Path

import tensorflow as tf

from saved_models.preprocessing import Preprocessor
from tests.support import small

LENGTH = 24
LABELS = ["bad", "good"]


def _text(name="text_a"):
    return {name: tf.TensorSpec([None], tf.string, name=name)}


def classifier(text_a):
    """good, if the text holds it."""
    good = tf.cast(tf.strings.regex_full_match(text_a, "(?s).*good.*"), tf.float32) * 0.8 + 0.1
    probabilities = tf.stack([1 - good, good], axis=1)
    return {
        "label": tf.gather(LABELS, tf.argmax(probabilities, axis=1)),
        "probability": tf.reduce_max(probabilities, axis=1),
        "labels": tf.repeat([LABELS], tf.size(text_a), axis=0),
        "probabilities": probabilities,
    }


def regression(text_a, text_b):
    """The difference in length."""
    lengths = [
        tf.cast(tf.strings.length(text, "UTF8_CHAR"), tf.float32) for text in (text_a, text_b)
    ]
    return {"value": lengths[0] - lengths[1]}


def embedding(text_a):
    """How often four letters occur."""
    counts = [
        tf.strings.length(text_a) - tf.strings.length(tf.strings.regex_replace(text_a, letter, ""))
        for letter in "aeit"
    ]
    return {
        "embedding": tf.math.l2_normalize(tf.cast(tf.stack(counts, axis=1), tf.float32) + 0.1, 1)
    }


def fill_mask(text_a):
    """tree or sea, for as many masks as the longest row has."""
    parts = tf.strings.split(tf.strings.regex_replace(text_a, r"\[MASK\]", "\x01"), "\x01")
    count = tf.cast(parts.row_lengths(), tf.int32) - 1
    there = tf.sequence_mask(count)[:, :, None]  # [B, M, 1]
    return {
        "tokens": tf.where(there, [[["sea", "tree"]]], ""),
        "probabilities": tf.where(there, [[[0.75, 0.2]]], 0.0),
        "mask_count": count,
    }


def squad(question, context):
    """The question's first word in the context, or no answer."""
    word = tf.strings.split(question, maxsplit=1).to_tensor("")[:, 0]

    def place(pair):
        before = tf.strings.split(pair[1][None], pair[0])[0]
        found = tf.size(before) > 1
        start = tf.where(found, tf.strings.length(before[0], "UTF8_CHAR"), -1)
        return start, tf.where(found, start + tf.strings.length(pair[0], "UTF8_CHAR"), -1)

    starts, ends = tf.map_fn(place, (word, context), fn_output_signature=(tf.int32, tf.int32))
    found = starts >= 0
    return {
        "text": tf.where(found, word, ""),
        "start": starts,
        "end": ends,
        "score": tf.where(found, 5.0, -5.0),
        "null_score": tf.where(found, -10.0, 3.0),
    }


def ner(text_a):
    """Each of two names, where a text has it; padded to both."""
    names, kinds = ["Ada", "Genève"], ["PER", "LOC"]
    columns = []
    for name in names:
        before = tf.strings.regex_replace(text_a, f"(?s){name}.*", "")
        start = tf.strings.length(before, "UTF8_CHAR")
        columns.append(tf.where(before != text_a, start, -1))
    starts = tf.stack(columns, axis=1)
    found = starts >= 0
    order = tf.argsort(tf.where(found, starts, 10**6), axis=1)
    ordered = {
        "entities": tf.where(found, [names], ""),
        "types": tf.where(found, [kinds], ""),
        "starts": starts,
        "ends": tf.where(found, starts + tf.constant([[len(name) for name in names]]), -1),
        "scores": tf.where(found, 0.9, 0.0),
    }
    answers = {key: tf.gather(value, order, batch_dims=1) for key, value in ordered.items()}
    return {**answers, "count": tf.reduce_sum(tf.cast(found, tf.int32), axis=1)}


def multiple_choice(context, choices):
    """The longest choice; the context is not read."""
    del context
    lengths = tf.cast(tf.strings.length(choices), tf.float32)
    probabilities = lengths / tf.reduce_sum(lengths, axis=1, keepdims=True)
    return {
        "choice": tf.cast(tf.argmax(lengths, axis=1), tf.int32),
        "probabilities": probabilities,
    }


KINDS = {
    "classifier": (classifier, _text()),
    "regression": (regression, {**_text(), **_text("text_b")}),
    "embedding": (embedding, _text()),
    "fill_mask": (fill_mask, _text()),
    "squad": (squad, {**_text("question"), **_text("context")}),
    "ner": (ner, _text()),
    "multiple_choice": (
        multiple_choice,
        {**_text("context"), "choices": tf.TensorSpec([None, None], tf.string, name="choices")},
    ),
}


class _Tokens(tf.Module):
    """The ids of texts, by the project's tokenizer: ops of tensorflow-text, and an asset."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocessor = Preprocessor(small.VOCAB, seq_length=LENGTH)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text_a")])
    def ids(self, text_a):
        return {"ids": self.preprocessor(text_a)["input_word_ids"]}


class _Slow(tf.Module):
    """Takes its time, as a number of seconds in the text says."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text_a")])
    def wait(self, text_a):
        until = tf.timestamp() + tf.strings.to_number(
            tf.strings.regex_replace(text_a[0], "^[^0-9].*", "0"), tf.float64
        )
        (end,) = tf.while_loop(
            lambda now: now < until, lambda _: [tf.timestamp()], [tf.timestamp()]
        )
        return {"ended": tf.repeat(end, tf.size(text_a))}


def save_tokens(folder: Path) -> Path:
    """A SavedModel that needs tensorflow-text."""
    module = _Tokens()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.ids})
    return folder


def save_slow(folder: Path) -> Path:
    """A SavedModel that is busy for as long as it is told."""
    module = _Slow()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.wait})
    return folder


def save(kind: str, folder: Path) -> Path:
    """Writes a SavedModel with its card."""
    answer, inputs = KINDS[kind]

    @tf.function(autograph=False)
    def serving_default(**texts):
        return answer(**texts)

    @tf.function(autograph=False)
    def serve_examples(examples):
        features = {
            name: tf.io.FixedLenFeature(spec.shape[1:], tf.string) for name, spec in inputs.items()
        }
        return answer(**tf.io.parse_example(examples, features))

    @tf.function(autograph=False)
    def serve_ids(input_word_ids):
        """Stands for a model of ids: refuses those beyond a vocabulary of ten."""
        return {"scores": tf.gather(tf.range(10.0), input_word_ids)}

    module = tf.Module()
    ids = tf.TensorSpec([None, None], tf.int32, name="input_word_ids")
    signatures = {
        "serving_default": serving_default.get_concrete_function(**inputs),
        "serve_ids": serve_ids.get_concrete_function(input_word_ids=ids),
    }
    if kind != "multiple_choice":  # parse_example wants the number of choices
        examples = tf.TensorSpec([None], tf.string, name="examples")
        signatures["serve_examples"] = serve_examples.get_concrete_function(examples)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    card = {"type": kind, **({"labels": LABELS} if kind == "classifier" else {})}
    (folder / "model_card.json").write_text(json.dumps(card), encoding="utf-8")
    return folder
