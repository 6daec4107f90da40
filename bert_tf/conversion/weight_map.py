"""The table of variable names: the 2018 release's checkpoint names beside ours.

Each row is a pair of templates. `{n}` stands for a number, `{qkv}`, `{dense}` and `{norm}` for the
words below; a placeholder means the same on both sides. Rows are matched whole, in both
directions, and every name matches at most one of them.
"""

import re
from collections.abc import Iterable
from typing import Any

import keras

_PLACEHOLDERS = {
    "n": r"\d+",
    "qkv": "query|key|value",
    "dense": "kernel|bias",
    "norm": "gamma|beta",
    "way": "forward|backward",
    "lstm": "kernel|recurrent_kernel|bias",
}

# Checkpoint name of the release, variable path in the Keras model.
TABLE: tuple[tuple[str, str], ...] = (
    ("bert/embeddings/word_embeddings", "bert/embeddings/word_embeddings"),
    ("bert/embeddings/token_type_embeddings", "bert/embeddings/token_type_embeddings"),
    ("bert/embeddings/position_embeddings", "bert/embeddings/position_embeddings"),
    ("bert/embeddings/LayerNorm/{norm}", "bert/embeddings/layer_norm/{norm}"),
    (
        "bert/encoder/layer_{n}/attention/self/{qkv}/{dense}",
        "bert/layer_{n}/self_attention/{qkv}/{dense}",
    ),
    (
        "bert/encoder/layer_{n}/attention/output/dense/{dense}",
        "bert/layer_{n}/attention_output/{dense}",
    ),
    (
        "bert/encoder/layer_{n}/attention/output/LayerNorm/{norm}",
        "bert/layer_{n}/attention_norm/{norm}",
    ),
    ("bert/encoder/layer_{n}/intermediate/dense/{dense}", "bert/layer_{n}/intermediate/{dense}"),
    ("bert/encoder/layer_{n}/output/dense/{dense}", "bert/layer_{n}/output/{dense}"),
    ("bert/encoder/layer_{n}/output/LayerNorm/{norm}", "bert/layer_{n}/output_norm/{norm}"),
    ("bert/pooler/dense/{dense}", "bert/pooler/{dense}"),
    ("cls/predictions/transform/dense/{dense}", "masked_lm/transform/{dense}"),
    ("cls/predictions/transform/LayerNorm/{norm}", "masked_lm/layer_norm/{norm}"),
    ("cls/predictions/output_bias", "masked_lm/output_bias"),
    ("cls/seq_relationship/output_weights", "next_sentence/kernel"),
    ("cls/seq_relationship/output_bias", "next_sentence/bias"),
    ("output_weights", "classifier/kernel"),
    ("output_bias", "classifier/bias"),
    ("cls/squad/output_weights", "spans/kernel"),
    ("cls/squad/output_bias", "spans/bias"),
    # The release has neither of these two tasks; the names follow its style.
    ("cls/ner/output_weights", "tokens/kernel"),
    ("cls/ner/output_bias", "tokens/bias"),
    ("cls/ner/mix", "feature_tagger/mix"),
    ("cls/ner/bilstm_{n}/{way}/{lstm}", "bilstm_{n}/{way}_lstm/lstm_cell/{lstm}"),
    ("cls/choice/output_weights", "choices/kernel"),
    ("cls/choice/output_bias", "choices/bias"),
)


class NameTable:
    """Two lists of names side by side, translated both ways.

    Args:
        rows: Pairs of templates; see the module.
    """

    def __init__(self, rows: Iterable[tuple[str, str]]) -> None:
        self._rules = [(_pattern(left), right, _pattern(right), left) for left, right in rows]

    def to_right(self, name: str) -> str | None:
        """The right-hand name of a left-hand one; None for a name not in the table."""
        for pattern, template, *_ in self._rules:
            if match := pattern.fullmatch(name):
                return template.format(**match.groupdict())
        return None

    def to_left(self, name: str) -> str | None:
        """The left-hand name of a right-hand one; None for a name not in the table."""
        for *_, pattern, template in self._rules:
            if match := pattern.fullmatch(name):
                return template.format(**match.groupdict())
        return None


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    text = "".join(
        re.escape(part) if index % 2 == 0 else f"(?P<{part}>{_PLACEHOLDERS[part]})"
        for index, part in enumerate(parts)
    )
    return re.compile(text)


_NAMES = NameTable(TABLE)


def to_keras(name: str) -> str | None:
    """Path of the Keras variable for a checkpoint name; None for a name not in the table."""
    return _NAMES.to_right(name)


def to_checkpoint(path: str) -> str | None:
    """Checkpoint name for the path of a Keras variable; None for a path not in the table."""
    return _NAMES.to_left(path)


def named_variables(model: keras.Model) -> dict[str, Any]:
    """All weights of a model by their checkpoint names, in the model's order.

    Args:
        model: An encoder, or a model made of parts named as in the table.

    Returns:
        Checkpoint name to Keras variable. State of random generators is no weight.

    Raises:
        ValueError: If a weight has no name in the table, or two have the same.
    """
    names: dict[str, Any] = {}
    strays: list[str] = []
    for variable in (*model.trainable_variables, *model.non_trainable_variables):
        if "seed_generator" in variable.path:
            continue
        name = to_checkpoint(variable.path)
        if name is None or name in names:
            strays.append(variable.path)
        else:
            names[name] = variable
    if strays:
        raise ValueError(
            "Every weight of a model needs one checkpoint name of its own in "
            f"conversion/weight_map.py, but these have none or share one: {', '.join(strays)}."
        )
    return names
