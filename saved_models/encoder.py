"""The encoder: token ids in, vectors out, as published on TF Hub.

The interface is that of `bert_en_uncased_L-12_H-768_A-12/4` (tensorflow.org/hub,
common_saved_model_apis/text): call it with a dictionary and `training=`. Its variables have the
published names, shapes and order, so that weights can be exchanged with published models. `.mlm`
has the published head of the masked language model; `.nsp`, next sentence prediction, is ours.

Shapes: B examples, T tokens, H hidden size, P predictions, V vocabulary.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bert_tf.config import BertConfig
from bert_tf.conversion import initialize, tfhub
from bert_tf.conversion.tf1 import ENCODER_PREFIX, CheckpointError
from bert_tf.conversion.weight_map import named_variables
from bert_tf.modeling import kernels
from bert_tf.modeling.heads import BertPretrainer, build_pretrainer
from saved_models.building import Exported, Request, check_vocabulary
from saved_models.network import NetworkOptions
from saved_models.signatures import ENCODER_INPUTS, Tensors

POSITIONS = "masked_lm_positions"
MLM, NSP = "mlm", "nsp"
_HEADS = {MLM: tfhub.MASKED_LM_ROWS, NSP: tfhub.NEXT_SENTENCE_ROWS}
_OUTPUTS = ("pooled_output", "sequence_output", "encoder_outputs")
# Of the signature: servers would copy the layers' outputs that few ask for.
_SERVED = ("default", "pooled_output", "sequence_output")


class Weights:
    """A pretrainer's weights as variables with the published names and shapes.

    Args:
      model: gives the values; it computes with them within `used`.
      heads: of `.mlm` and `.nsp`, those that there are.
    """

    def __init__(self, model: BertPretrainer, heads: Sequence[str]) -> None:
        arguments = model.encoder.get_config()
        layers, split = arguments["num_hidden_layers"], arguments["num_attention_heads"]
        named = named_variables(model)
        self._pairs: list[tuple[keras.Variable, tf.Variable]] = []

        def published(rows: tuple[tfhub.Row, ...]) -> list[tf.Variable]:
            variables = []
            for weight in tfhub.weights_of(rows, layers):
                ours = named[weight.ours]
                shape = weight.their_shape(tuple(ours.shape), split)
                theirs = tf.Variable(tf.reshape(ours.value, shape), name=weight.theirs)
                self._pairs.append((ours, theirs))
                variables.append(theirs)
            return variables

        self.encoder = published(tfhub.ENCODER_ROWS)
        self.heads = {head: published(_HEADS[head]) for head in heads}

    @contextlib.contextmanager
    def used(self, training: bool) -> Iterator[None]:
        """Within it, the model computes with these variables, when serving as fast as it can."""
        values = [(ours, tf.reshape(theirs, ours.shape)) for ours, theirs in self._pairs]
        fast = contextlib.nullcontext() if training else kernels.served()
        with keras.StatelessScope(values), fast:
            yield


def _dropped(x: tf.Tensor, rate: float, site: int) -> tf.Tensor:
    """Dropout that needs no state of its own: a SavedModel's variables are weights."""
    del site
    return tf.nn.dropout(x, rate)


class Part(tf.Module):
    """Callable: a dictionary and `training` -> a dictionary; what `hub.KerasLayer` takes.

    Args:
      compute: from inputs and `training`, a Python bool, to outputs.
      weights: its variables, all trainable.
      more_inputs: names beside those of the encoder, int32 [B, P].
      name: of the module.
    """

    # Attributes, in place of the properties of `tf.Module`: only attributes are saved.
    trainable_variables: list[tf.Variable] = []  # noqa: RUF012
    variables: list[tf.Variable] = []  # noqa: RUF012

    def __init__(
        self,
        compute: Callable[[Tensors, bool], Tensors],
        weights: Iterable[tf.Variable],
        more_inputs: Sequence[str] = (),
        name: str = "encoder",
    ) -> None:
        super().__init__(name=name)
        self.trainable_variables = list(weights)
        self.variables = list(self.trainable_variables)
        self.regularization_losses: list[Any] = []
        self._compute = compute
        self._specs = input_specs(more_inputs)
        for training in (False, True):  # the calls that a SavedModel will answer
            self.__call__.get_concrete_function(self._specs, training=training)

    @tf.function(autograph=False)
    def __call__(self, inputs: Tensors, training: bool = False) -> Tensors:
        """The outputs; dropout is on with `training`."""
        return self._compute(inputs, training)


def input_specs(more: Sequence[str] = ()) -> dict[str, tf.TensorSpec]:
    """The encoder's inputs and more, each int32 [None, None]."""
    return {
        name: tf.TensorSpec([None, None], tf.int32, name=name) for name in (*ENCODER_INPUTS, *more)
    }


class Encoder(Part):
    """Callable: `input_word_ids`, `input_mask`, `input_type_ids`, int32 [B, T] -> vectors.

    Gives float32 `pooled_output` [B, H], also as `default`; `sequence_output` [B, T, H]; and
    `encoder_outputs`, a list of [B, T, H], one for each layer.

    `.mlm` takes `masked_lm_positions` int32 [B, P] too and gives `mlm_logits` [B, P, V] too; `.nsp`
    gives `nsp_logits` [B, 2] too. Each is there if its head is.

    Args:
      model: encoder and heads with their weights.
      vocab_file: kept as an asset, `.vocab_file`.
      do_lower_case: kept as a variable, `.do_lower_case`.
      heads: of `MLM` and `NSP`, those whose weights are known.
    """

    def __init__(
        self,
        model: BertPretrainer,
        vocab_file: str | Path,
        do_lower_case: bool,
        heads: Sequence[str] = (MLM, NSP),
    ) -> None:
        weights = Weights(model, heads)

        def encode(inputs: Tensors, training: bool) -> Tensors:
            dropout = _dropped if training else None
            encoded = model.encoder(
                {name: inputs[name] for name in ENCODER_INPUTS}, dropout=dropout
            )
            return {name: encoded[name] for name in _OUTPUTS}

        def compute(inputs: Tensors, training: bool) -> Tensors:
            with weights.used(training):
                outputs = encode(inputs, training)
            return {**outputs, "default": outputs["pooled_output"]}

        def masked_lm(inputs: Tensors, training: bool) -> Tensors:
            with weights.used(training):
                outputs = encode(inputs, training)
                table = model.encoder.embedding_table
                logits = model.masked_lm(outputs["sequence_output"], inputs[POSITIONS], table)
            return {**outputs, "mlm_logits": logits}

        def next_sentence(inputs: Tensors, training: bool) -> Tensors:
            with weights.used(training):
                outputs = encode(inputs, training)
                logits = model.next_sentence(outputs["pooled_output"])
            return {**outputs, "nsp_logits": logits}

        super().__init__(compute, weights.encoder)
        self.do_lower_case = tf.Variable(do_lower_case, trainable=False)
        self.variables.append(self.do_lower_case)
        self.vocab_file = tf.saved_model.Asset(str(vocab_file))
        if MLM in heads:
            self.mlm = Part(masked_lm, [*weights.encoder, *weights.heads[MLM]], [POSITIONS], MLM)
        if NSP in heads:
            self.nsp = Part(next_sentence, [*weights.encoder, *weights.heads[NSP]], (), NSP)

    def signatures(self) -> dict[str, Any]:
        """`serving_default`: the encoder's inputs by name -> `pooled_output`, `sequence_output`."""

        @tf.function(autograph=False)
        def serving_default(**inputs: tf.Tensor) -> Tensors:
            outputs = self._compute(inputs, False)
            return {name: outputs[name] for name in _SERVED}

        return {"serving_default": serving_default.get_concrete_function(**self._specs)}


@dataclass(frozen=True)
class Source:
    """What an encoder is exported from.

    Attributes:
      config: the model's sizes.
      checkpoint: a prefix, a directory or a folder, as `initialize.load_weights` reads them.
      vocab_file: one token a line.
      do_lower_case: whether text is lower-cased.
    """

    config: BertConfig
    checkpoint: str
    vocab_file: Path
    do_lower_case: bool

    def load(self) -> tuple[BertPretrainer, tuple[str, ...]]:
        """The model with its weights, and the heads that the checkpoint has.

        Raises:
          ValueError: the vocabulary is of another model.
          CheckpointError: the checkpoint cannot be read, is of another model, or has half a head.
        """
        check_vocabulary(self.vocab_file, self.config.vocab_size)
        model = build_pretrainer(self.config)
        lacking = set(initialize.load_weights(model, self.checkpoint).initialized)
        if lost := sorted(name for name in lacking if name.startswith(ENCODER_PREFIX)):
            raise CheckpointError(
                f"An encoder must be whole, but {self.checkpoint} lacks {', '.join(lost)}."
            )
        heads = []
        for head, rows_of_head in _HEADS.items():
            names = {ours for ours, *_ in rows_of_head}
            if found := sorted(names - lacking):
                if names & lacking:
                    raise CheckpointError(
                        f"The head of .{head} must be whole, but {self.checkpoint} has "
                        f"{', '.join(found)} and lacks {', '.join(sorted(names & lacking))}."
                    )
                heads.append(head)
        return model, tuple(heads)

    def request(self) -> Request:
        """The same as a request of `export`."""
        length = self.config.max_position_embeddings
        return Request(
            "encoder", self.vocab_file, self.do_lower_case, length, self.checkpoint, self.config
        )


def build_encoder(request: Request) -> Exported:
    """The encoder of a checkpoint, with the heads that it has.

    Raises:
      ValueError: something does not fit the checkpoint (see `Source.load`), or options ask for
        more than an encoder has.
    """
    if request.options != NetworkOptions():
        raise ValueError(
            "An encoder is stored and run as published, to be trained: --weights_dtype, "
            "--jit_compile, --batch_buckets and --length_buckets are for tasks. Leave them out."
        )
    source = Source(
        request.sizes, str(request.checkpoint), request.vocab_file, request.do_lower_case
    )
    model, heads = source.load()
    encoder = Encoder(model, source.vocab_file, source.do_lower_case, heads)
    parts: list[Part] = [encoder, *(getattr(encoder, head) for head in heads)]
    weights = [variable for part in parts for variable in part.variables]
    parameters = sum(math.prod(v.shape) for v in {id(v): v for v in weights}.values())
    return Exported(
        encoder,
        expected_answers(model, heads),
        encoder.signatures(),
        {"heads": list(heads)},
        parameters,
    )


def expected_answers(model: BertPretrainer, heads: Sequence[str]) -> list[dict[str, Any]]:
    """Calls of an encoder and what the Keras model says to them, as `verify.py` takes them."""
    arguments = model.encoder.get_config()
    draw = np.random.default_rng(0)
    length = min(7, arguments["max_position_embeddings"])
    mask = (np.arange(length) < [[length], [max(1, length - 3)]]).astype(np.int32)
    inputs = {
        "input_word_ids": draw.integers(0, arguments["vocab_size"], mask.shape, np.int32) * mask,
        "input_mask": mask,
        "input_type_ids": draw.integers(0, arguments["type_vocab_size"], mask.shape, np.int32),
    }
    with_positions = {**inputs, POSITIONS: np.array([[0, length - 1], [0, 0]], np.int32)}
    encoded, logits = model.encoder(inputs), model(with_positions)
    outputs = {name: encoded[name] for name in _OUTPUTS}
    default = {**outputs, "default": outputs["pooled_output"]}
    cases: list[dict[str, Any]] = [
        {"call": "", "inputs": inputs, "expected": default},
        {
            "signature": "serving_default",
            "inputs": inputs,
            "expected": {name: default[name] for name in _SERVED},
        },
    ]
    for head, name, given in ((MLM, "mlm_logits", with_positions), (NSP, "nsp_logits", inputs)):
        if head in heads:
            answer = {**outputs, name: logits[name]}
            cases.append({"call": head, "inputs": given, "expected": answer})
    return [{**case, **_listed({k: case[k] for k in ("inputs", "expected")})} for case in cases]


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _listed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_listed(each) for each in value]
    return np.asarray(value).tolist()
