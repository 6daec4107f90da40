"""BertConfig: what it accepts, what it refuses and how it says so, and the released sizes."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest

from bert_tf.config import (
    ACTIVATIONS,
    NAMED_CONFIGS,
    RELEASED_MODELS,
    UNUSED_KEYS,
    BertConfig,
    named_config,
)

GOLDEN = Path(__file__).resolve().parents[1] / "goldens/bert_config.json"


def test_defaults_are_the_original_s() -> None:
    assert BertConfig(vocab_size=7).to_dict() == {
        "vocab_size": 7,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 16,
        "initializer_range": 0.02,
    }


def test_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BertConfig(vocab_size=7).hidden_size = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value", "kind", "message"),
    [
        ("vocab_size", "30522", TypeError, r"vocab_size must be a whole number, but is '30522'"),
        ("vocab_size", True, TypeError, r"must be a whole number, but is True \(bool\)"),
        ("vocab_size", None, TypeError, r"must be a whole number, but is None"),
        ("hidden_size", 768.0, TypeError, r"but is 768.0 \(float\)\. Write it without quotes"),
        ("vocab_size", 0, ValueError, r"vocab_size must be at least 1, but is 0"),
        ("num_hidden_layers", 0, ValueError, r"num_hidden_layers must be at least 1, but is 0"),
        ("type_vocab_size", -2, ValueError, r"type_vocab_size must be at least 1, but is -2"),
        ("num_attention_heads", 7, ValueError, r"multiple of num_attention_heads, but 768 is not"),
        ("hidden_dropout_prob", 1.0, ValueError, r"at least 0 and below 1, but is 1\.0"),
        ("attention_probs_dropout_prob", -0.1, ValueError, r"at least 0 and below 1, but is -0\.1"),
        ("hidden_dropout_prob", "0.1", TypeError, r"hidden_dropout_prob must be a number, but is"),
        ("hidden_dropout_prob", True, TypeError, r"must be a number, but is True \(bool\)"),
        ("initializer_range", 0, ValueError, r"initializer_range must be above 0, but is 0\.0"),
        (
            "initializer_range",
            math.nan,
            ValueError,
            r"initializer_range must be finite, but is nan",
        ),
        ("hidden_act", "swish", ValueError, r"one of gelu, gelu_exact, .*, but is 'swish'"),
        ("hidden_act", None, ValueError, r"hidden_act must be one of .*, but is None"),
    ],
)
def test_refuses(field: str, value: Any, kind: type[Exception], message: str) -> None:
    values: dict[str, Any] = {"vocab_size": 7, field: value}
    with pytest.raises(kind, match=message):
        BertConfig(**values)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_accepts_every_activation(name: str) -> None:
    assert BertConfig(vocab_size=7, hidden_act=name).hidden_act == name


def test_whole_numbers_pass_for_floats() -> None:
    config = BertConfig(vocab_size=7, hidden_dropout_prob=0)
    assert config == BertConfig(vocab_size=7, hidden_dropout_prob=0.0)
    assert '"hidden_dropout_prob": 0.0' in config.to_json_string()


def test_unknown_keys_are_errors_with_near_matches() -> None:
    with pytest.raises(ValueError, match="known keys only") as error:
        BertConfig.from_dict({"vocab_size": 7, "hiden_size": 4, "zzz": 1, "pooler_type": "x"})
    assert str(error.value).startswith(
        "A config must hold known keys only, but has 'hiden_size' (did you mean 'hidden_size'?), "
        "'zzz'. Correct or remove them; known are vocab_size, hidden_size, "
    )


def test_unused_keys_of_the_releases_are_ignored() -> None:
    values = {"vocab_size": 7, **dict.fromkeys(UNUSED_KEYS, "bidi")}
    assert BertConfig.from_dict(values) == BertConfig(vocab_size=7)


def test_reads_and_writes_files(tmp_path: Path) -> None:
    config = BertConfig.from_json_file(GOLDEN)
    assert config.to_dict() == json.loads(GOLDEN.read_text())
    path = tmp_path / "bert_config.json"
    path.write_text("old")
    config.to_json_file(path)
    assert path.read_text() == json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"
    assert BertConfig.from_json_file(str(path)) == config
    assert [found.name for found in tmp_path.iterdir()] == ["bert_config.json"]


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bert_config.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        BertConfig(vocab_size=7).to_json_file(path)
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b'{"vocab_size": 7,}', ValueError, r"must be JSON text, but .*c\.json is not: "),
        (b"\xff\xfe", ValueError, r"must be JSON text, but .*c\.json is not: 'utf-8'"),
        (b"[1]", ValueError, r"must be a JSON object, but .*c\.json holds a list"),
        (b"{}", ValueError, r"c\.json: A config must hold vocab_size, but has no key at all"),
        (b'{"hidden_size": 8}', ValueError, r"must hold vocab_size, but has hidden_size\. Set it"),
        (b'{"vocab_size": "7"}', TypeError, r"c\.json: vocab_size must be a whole number"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, kind: type[Exception], message: str) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(kind, match=message):
        BertConfig.from_json_file(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no file .*none\.json\. Give the path"):
        BertConfig.from_json_file(tmp_path / "none.json")


def test_named_sizes() -> None:
    tiny = named_config("bert-tiny", vocab_size=99)
    assert (tiny.num_hidden_layers, tiny.hidden_size, tiny.vocab_size) == (2, 128, 99)
    assert (tiny.num_attention_heads, tiny.intermediate_size, tiny.type_vocab_size) == (2, 512, 2)
    large = named_config("bert-large")
    assert (large.num_hidden_layers, large.hidden_size, large.vocab_size) == (24, 1024, 30522)
    assert (large.num_attention_heads, large.intermediate_size) == (16, 4096)
    assert named_config("bert-base") == named_config("uncased_L-12_H-768_A-12")
    assert named_config("uncased_L-8_H-512") == named_config("bert-medium")
    assert len(set(NAMED_CONFIGS.values())) == 25


def test_unknown_size() -> None:
    with pytest.raises(ValueError, match=r"no 'bert-huge' \(did you mean 'bert-\w+'\?\)\. Choose "):
        named_config("bert-huge")


def test_released_models() -> None:
    assert len(RELEASED_MODELS) == 33
    assert len({(model.release, model.name) for model in RELEASED_MODELS}) == 33
    sizes = {model.name: model.config.vocab_size for model in RELEASED_MODELS}
    assert len(sizes) == 32  # uncased_L-12_H-768_A-12 came out twice
    assert sizes["chinese_L-12_H-768_A-12"] == 21128
    assert sizes["multilingual_L-12_H-768_A-12"] == 105879
    assert sizes["multi_cased_L-12_H-768_A-12"] == 119547
    assert sizes["wwm_cased_L-24_H-1024_A-16"] == 28996
    assert sizes["uncased_L-10_H-256_A-4"] == 30522
    cased = {model.name for model in RELEASED_MODELS if not model.do_lower_case}
    assert cased == {
        "cased_L-12_H-768_A-12",
        "cased_L-24_H-1024_A-16",
        "wwm_cased_L-24_H-1024_A-16",
        "multi_cased_L-12_H-768_A-12",
    }
