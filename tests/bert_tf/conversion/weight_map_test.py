"""The table of names: both ways, whole names, each once."""

from types import SimpleNamespace

import pytest

from bert_tf.conversion.weight_map import TABLE, named_variables, to_checkpoint, to_keras
from bert_tf.modeling import heads
from bert_tf.modeling.layers import Linear
from tests.conformance.cases import TINY
from tests.support import small

WORDS = {
    "n": ("0", "7", "23"),
    "qkv": ("query", "key", "value"),
    "dense": ("kernel", "bias"),
    "norm": ("gamma", "beta"),
    "way": ("forward", "backward"),
    "lstm": ("kernel", "recurrent_kernel", "bias"),
}


def filled(left: str, right: str) -> list[tuple[str, str]]:
    pairs = [(left, right)]
    for word, values in WORDS.items():
        if "{" + word + "}" in left:
            pairs = [
                tuple(text.replace("{" + word + "}", value) for text in pair)
                for pair in pairs
                for value in values
            ]
    return pairs


ALL = [pair for row in TABLE for pair in filled(*row)]


def test_every_name_goes_there_and_back():
    for left, right in ALL:
        assert "{" not in left + right
        assert to_keras(left) == right
        assert to_checkpoint(right) == left


def test_names_are_unique_on_both_sides():
    for side in zip(*ALL, strict=True):
        assert len(set(side)) == len(side)


@pytest.mark.parametrize("change", ["x{}", "{}x", "scope/{}", "{}/adam_m", "{}_1", "{}\n"])
def test_rows_are_anchored(change):
    for left, right in ALL:
        assert to_keras(change.format(left)) is None
        assert to_checkpoint(change.format(right)) is None


def test_every_weight_of_the_golden_checkpoint_has_a_row():
    weights = {
        name
        for name in small.tensors(small.CHECKPOINT)
        if not name.endswith(("/adam_m", "/adam_v")) and name != "global_step"
    }
    assert len(weights) == 46
    assert all(to_keras(name) for name in weights)


def test_the_pretrainers_names_are_pinned():
    model = heads.build_pretrainer(TINY, 1)
    names = named_variables(model)
    weights = {
        name
        for name in small.tensors(small.CHECKPOINT)
        if not name.endswith(("/adam_m", "/adam_v")) and name != "global_step"
    }
    assert names.keys() == weights
    assert list(names)[:3] == [
        "bert/embeddings/word_embeddings",
        "bert/embeddings/token_type_embeddings",
        "bert/embeddings/position_embeddings",
    ]
    assert names["bert/pooler/dense/kernel"].path == "bert/pooler/kernel"


def test_a_weight_without_a_name_is_an_error():
    layer = Linear(2, name="stray")
    layer.build((None, 3))
    model = SimpleNamespace(trainable_variables=layer.variables, non_trainable_variables=[])
    with pytest.raises(ValueError, match=r"these have none or share one: stray/kernel, stray/bias"):
        named_variables(model)


def test_two_weights_of_one_name_are_an_error():
    twice = heads.build_pretrainer(TINY, 1).trainable_variables * 2
    model = SimpleNamespace(trainable_variables=twice, non_trainable_variables=[])
    with pytest.raises(ValueError, match="share one: bert/embeddings/word_embeddings"):
        named_variables(model)
