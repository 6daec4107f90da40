"""Names of BERT's weights in Hugging Face's models and in the 2018 release: one table.

PyTorch keeps kernels [out, in], the release [in, out]: these are transposed between the two.
"""

from collections.abc import Container, Iterable

from bert_tf.conversion.tf1 import CheckpointError
from bert_tf.conversion.weight_map import NameTable

# Name of the release, name of Hugging Face; the first list is transposed between the two.
_TRANSPOSED = (
    (
        "bert/encoder/layer_{n}/attention/self/{qkv}/kernel",
        "bert.encoder.layer.{n}.attention.self.{qkv}.weight",
    ),
    (
        "bert/encoder/layer_{n}/attention/output/dense/kernel",
        "bert.encoder.layer.{n}.attention.output.dense.weight",
    ),
    (
        "bert/encoder/layer_{n}/intermediate/dense/kernel",
        "bert.encoder.layer.{n}.intermediate.dense.weight",
    ),
    ("bert/encoder/layer_{n}/output/dense/kernel", "bert.encoder.layer.{n}.output.dense.weight"),
    ("bert/pooler/dense/kernel", "bert.pooler.dense.weight"),
    ("cls/predictions/transform/dense/kernel", "cls.predictions.transform.dense.weight"),
)
_AS_THEY_ARE = (
    ("bert/embeddings/word_embeddings", "bert.embeddings.word_embeddings.weight"),
    ("bert/embeddings/token_type_embeddings", "bert.embeddings.token_type_embeddings.weight"),
    ("bert/embeddings/position_embeddings", "bert.embeddings.position_embeddings.weight"),
    ("bert/embeddings/LayerNorm/gamma", "bert.embeddings.LayerNorm.weight"),
    ("bert/embeddings/LayerNorm/beta", "bert.embeddings.LayerNorm.bias"),
    (
        "bert/encoder/layer_{n}/attention/self/{qkv}/bias",
        "bert.encoder.layer.{n}.attention.self.{qkv}.bias",
    ),
    (
        "bert/encoder/layer_{n}/attention/output/dense/bias",
        "bert.encoder.layer.{n}.attention.output.dense.bias",
    ),
    (
        "bert/encoder/layer_{n}/attention/output/LayerNorm/gamma",
        "bert.encoder.layer.{n}.attention.output.LayerNorm.weight",
    ),
    (
        "bert/encoder/layer_{n}/attention/output/LayerNorm/beta",
        "bert.encoder.layer.{n}.attention.output.LayerNorm.bias",
    ),
    (
        "bert/encoder/layer_{n}/intermediate/dense/bias",
        "bert.encoder.layer.{n}.intermediate.dense.bias",
    ),
    ("bert/encoder/layer_{n}/output/dense/bias", "bert.encoder.layer.{n}.output.dense.bias"),
    (
        "bert/encoder/layer_{n}/output/LayerNorm/gamma",
        "bert.encoder.layer.{n}.output.LayerNorm.weight",
    ),
    (
        "bert/encoder/layer_{n}/output/LayerNorm/beta",
        "bert.encoder.layer.{n}.output.LayerNorm.bias",
    ),
    ("bert/pooler/dense/bias", "bert.pooler.dense.bias"),
    ("cls/predictions/transform/dense/bias", "cls.predictions.transform.dense.bias"),
    ("cls/predictions/transform/LayerNorm/gamma", "cls.predictions.transform.LayerNorm.weight"),
    ("cls/predictions/transform/LayerNorm/beta", "cls.predictions.transform.LayerNorm.bias"),
    ("cls/predictions/output_bias", "cls.predictions.bias"),
    ("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
    ("cls/seq_relationship/output_bias", "cls.seq_relationship.bias"),
    ("cls/squad/output_weights", "qa_outputs.weight"),
    ("cls/squad/output_bias", "qa_outputs.bias"),
)
# Three models call their head `classifier`; `architectures` in the config tells which it is.
_CLASSIFIERS = {
    "BertForSequenceClassification": "",
    "BertForTokenClassification": "cls/ner/",
    "BertForMultipleChoice": "cls/choice/",
}
_KERNELS, _PLAIN = NameTable(_TRANSPOSED), NameTable(_AS_THEY_ARE)


def modern(name: str) -> str:
    """Names of old exports, and those of a bare encoder, as they are called today."""
    name = name.replace("LayerNorm.gamma", "LayerNorm.weight")
    name = name.replace("LayerNorm.beta", "LayerNorm.bias")
    if name.startswith(("embeddings.", "encoder.", "pooler.")):
        name = f"bert.{name}"
    return name


def to_release(name: str, architecture: str) -> tuple[str | None, bool]:
    """Name of the release (None if it has none), and whether the tensor is transposed.

    Args:
        name: Of Hugging Face, as `modern` gives it.
        architecture: Of the config: what the head `classifier` belongs to.
    """
    if (ours := _KERNELS.to_left(name)) is not None:
        return ours, True
    if name in ("classifier.weight", "classifier.bias") and architecture in _CLASSIFIERS:
        part = "output_weights" if name.endswith("weight") else "output_bias"
        return _CLASSIFIERS[architecture] + part, False
    return _PLAIN.to_left(name), False


def to_huggingface(name: str) -> tuple[str | None, bool]:
    """Name of Hugging Face (None if it has none), and whether the tensor is transposed."""
    if (theirs := _KERNELS.to_right(name)) is not None:
        return theirs, True
    for prefix in _CLASSIFIERS.values():
        if name in (f"{prefix}output_weights", f"{prefix}output_bias"):
            return f"classifier.{'weight' if name.endswith('weights') else 'bias'}", False
    return _PLAIN.to_right(name), False


def names_of(tensors: Iterable[str]) -> dict[str, str]:
    """Name of the release to name of Hugging Face.

    Raises:
        CheckpointError: If a name is not known.
    """
    names = {name: to_huggingface(name)[0] for name in tensors}
    unknown = [name for name, theirs in names.items() if theirs is None]
    if unknown:
        raise CheckpointError(
            f"Hugging Face's BERT models have no place for {', '.join(unknown[:6])}."
        )
    return {name: str(theirs) for name, theirs in names.items()}


def architecture_of(names: Container[str]) -> str:
    """The class of `transformers` for a model with these weights, by names of the release."""
    for architecture, prefix in _CLASSIFIERS.items():
        if f"{prefix}output_weights" in names:
            return architecture
    if "cls/squad/output_weights" in names:
        return "BertForQuestionAnswering"
    return "BertForPreTraining" if "cls/predictions/output_bias" in names else "BertModel"
