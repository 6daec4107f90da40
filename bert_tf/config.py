"""BertConfig: the shape of a model, as in `bert_config.json`; and the released models' shapes.

    config = BertConfig.from_json_file("bert_config.json")
    config = named_config("bert-tiny", vocab_size=8000)

A config is checked when it is built and never changes: what holds a BertConfig can trust it.
"""

import dataclasses
import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bert_tf import files

# "gelu" is the 2018 code's tanh approximation; "gelu_exact" is the erf form, which later weights
# (Hugging Face's "gelu") were trained with; "linear" is no activation.
ACTIVATIONS = ("gelu", "gelu_exact", "relu", "tanh", "linear")

# The Chinese and multilingual releases carry these; the 2018 code never read them.
UNUSED_KEYS = (
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
)

_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
)
_PROBABILITIES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class BertConfig:
    """Hyperparameters of the encoder (Devlin et al., section 3; the original's `BertConfig`).

    Attributes:
        vocab_size: rows of the word embedding table.
        hidden_size: width H of every layer's output.
        num_hidden_layers: transformer blocks L.
        num_attention_heads: heads A; must divide `hidden_size`.
        intermediate_size: width of the feed-forward layer.
        hidden_act: one of ACTIVATIONS, in the feed-forward layer and the MLM head.
        hidden_dropout_prob: dropout of embeddings and sublayer outputs, in [0, 1).
        attention_probs_dropout_prob: dropout of attention probabilities, in [0, 1).
        max_position_embeddings: the longest sequence.
        type_vocab_size: segments; 16 is the original's default, all released models have 2.
        initializer_range: standard deviation of the truncated normal initializer.

    Raises:
        TypeError, ValueError: a value of the wrong type, or outside its range.
    """

    vocab_size: int
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 16
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        for name in _SIZES:
            _check_size(name, getattr(self, name))
        for name in (*_PROBABILITIES, "initializer_range"):
            # JSON may write 0.0 as 0; equal configs should print equal.
            object.__setattr__(self, name, _checked_float(name, getattr(self, name)))
        for name in _PROBABILITIES:
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(
                    f"{name} must be at least 0 and below 1, but is {getattr(self, name)}. "
                    "It is the share of values dropped: 0.1 usually, 0.0 for none."
                )
        if self.initializer_range <= 0.0:
            raise ValueError(
                f"initializer_range must be above 0, but is {self.initializer_range}. "
                "It is the standard deviation of initial weights: 0.02 usually."
            )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads, but {self.hidden_size} is "
                f"not one of {self.num_attention_heads}. Released models have 64 units a head."
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(
                f"hidden_act must be one of {', '.join(ACTIVATIONS)}, but is {self.hidden_act!r}. "
                '"gelu" is the tanh form of the 2018 code, "gelu_exact" the erf form.'
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "BertConfig":
        """Builds a config from the keys of `bert_config.json`; UNUSED_KEYS are ignored.

        Raises:
            ValueError: `vocab_size` is missing, or there is a key that no config has.
            TypeError, ValueError: see BertConfig.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = [str(key) for key in values if key not in names and key not in UNUSED_KEYS]
        if unknown:
            raise ValueError(
                "A config must hold known keys only, but has "
                + ", ".join(_with_near_match(key, names) for key in unknown)
                + f". Correct or remove them; known are {', '.join(names)}."
            )
        if "vocab_size" not in values:
            raise ValueError(
                "A config must hold vocab_size, but has "
                f"{', '.join(map(str, values)) or 'no key at all'}. "
                "Set it to the number of lines of the model's vocab.txt."
            )
        return cls(**{name: values[name] for name in names if name in values})

    @classmethod
    def from_json_file(cls, path: str | Path) -> "BertConfig":
        """Reads a `bert_config.json`.

        Raises:
            FileNotFoundError: no such file.
            TypeError, ValueError: not a JSON object, or see `from_dict`; names the file.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(
                f"A config must be a JSON file, but there is no file {path}. "
                "Give the path of the model's bert_config.json."
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:  # malformed JSON, or malformed UTF-8
            raise ValueError(
                f"A config must be JSON text, but {path} is not: {error}. "
                "Correct it there, or give the model's bert_config.json."
            ) from None
        if not isinstance(values, dict):
            raise ValueError(
                f"A config must be a JSON object, but {path} holds a {type(values).__name__}. "
                'Write it as {"vocab_size": 30522, ...}.'
            )
        try:
            return cls.from_dict(values)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{path}: {error}") from None

    def check_length(self, max_seq_length: int) -> None:
        """Raises ValueError where sequences are longer than the model's positions."""
        if max_seq_length > self.max_position_embeddings:
            raise ValueError(
                f"--max_seq_length is {max_seq_length}, but the model of the config has only "
                f"max_position_embeddings = {self.max_position_embeddings}. Make sequences that "
                "are no longer, or use a config with more positions."
            )

    def to_dict(self) -> dict[str, Any]:
        """All attributes by name."""
        return dataclasses.asdict(self)

    def to_json_string(self) -> str:
        """JSON as the original wrote it: sorted keys, two spaces, a newline at the end."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, path: str | Path) -> None:
        """Writes `to_json_string()`; the file appears whole or not at all."""
        files.write_text(path, self.to_json_string())


@dataclass(frozen=True)
class ReleasedModel:
    """One of the 33 checkpoints that google-research/bert published.

    Attributes:
        name: its directory, such as `uncased_L-12_H-768_A-12`; one name was released twice.
        release: the day of release, as in its address: `<release>/<name>.zip`.
        do_lower_case: whether its tokenizer lower-cases.
        config: its shape; `vocab_size` is the length of its vocabulary.
    """

    name: str
    release: str
    do_lower_case: bool
    config: BertConfig


def named_config(name: str, vocab_size: int = 30522) -> BertConfig:
    """The config of a size in NAMED_CONFIGS, such as `bert-base`, for another vocabulary.

    Raises:
        ValueError: no such name; a bad `vocab_size`.
    """
    if name not in NAMED_CONFIGS:
        raise ValueError(
            "The name of a size must be known, but there is no "
            f"{_with_near_match(name, list(NAMED_CONFIGS))}. "
            f"Choose from {', '.join(NAMED_CONFIGS)}."
        )
    return dataclasses.replace(NAMED_CONFIGS[name], vocab_size=vocab_size)


def _check_size(name: str, value: object) -> None:
    """Sizes are integers of at least 1; bool, an int to Python, is a mistake here."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(
            f"{name} must be a whole number, but is {value!r} ({type(value).__name__}). "
            "Write it without quotes, point or exponent."
        )
    if value < 1:
        raise ValueError(f"{name} must be at least 1, but is {value}. Correct it in the config.")


def _checked_float(name: str, value: object) -> float:
    """Finite numbers as floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(
            f"{name} must be a number, but is {value!r} ({type(value).__name__}). "
            "Write it without quotes."
        )
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, but is {value}. Correct it in the config.")
    return float(value)


def _with_near_match(key: str, known: list[str]) -> str:
    """The key quoted, and what it may have been meant to be."""
    near = difflib.get_close_matches(key, known, n=1)
    return f"{key!r}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _sized(layers: int, hidden: int, vocab_size: int = 30522) -> BertConfig:
    """The proportions of all released models: 64 units a head, feed-forward four times as wide."""
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        type_vocab_size=2,
    )


def _shape_name(layers: int, hidden: int) -> str:
    return f"L-{layers}_H-{hidden}_A-{hidden // 64}"


_SMALL_SIZES = [(layers, hidden) for layers in range(2, 13, 2) for hidden in (128, 256, 512, 768)]
_BASE, _LARGE = (12, 768), (24, 1024)
_ALIASES = {
    "bert-tiny": (2, 128),
    "bert-mini": (4, 256),
    "bert-small": (4, 512),
    "bert-medium": (8, 512),
    "bert-base": _BASE,
    "bert-large": _LARGE,
}

# Under an alias, the released name, and the released name without its number of heads.
NAMED_CONFIGS: dict[str, BertConfig] = {
    **{alias: _sized(*size) for alias, size in _ALIASES.items()},
    **{f"uncased_{_shape_name(*size)}": _sized(*size) for size in [*_SMALL_SIZES, _LARGE]},
    **{f"uncased_L-{size[0]}_H-{size[1]}": _sized(*size) for size in [*_SMALL_SIZES, _LARGE]},
}


def _released(kind: str, release: str, size: tuple[int, int], vocab_size: int) -> ReleasedModel:
    return ReleasedModel(
        name=f"{kind}_{_shape_name(*size)}",
        release=release,
        do_lower_case=kind not in ("cased", "wwm_cased", "multi_cased"),
        config=_sized(*size, vocab_size=vocab_size),
    )


# In order of release.
RELEASED_MODELS: tuple[ReleasedModel, ...] = (
    _released("uncased", "2018_10_18", _BASE, 30522),
    _released("uncased", "2018_10_18", _LARGE, 30522),
    _released("cased", "2018_10_18", _BASE, 28996),
    _released("cased", "2018_10_18", _LARGE, 28996),
    _released("multilingual", "2018_11_03", _BASE, 105879),
    _released("chinese", "2018_11_03", _BASE, 21128),
    _released("multi_cased", "2018_11_23", _BASE, 119547),
    _released("wwm_uncased", "2019_05_30", _LARGE, 30522),
    _released("wwm_cased", "2019_05_30", _LARGE, 28996),
    *(_released("uncased", "2020_02_20", size, 30522) for size in _SMALL_SIZES),
)
