"""TensorFlow Model Garden: an encoder of its exporter for TF Hub, through its signature."""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from official.nlp.configs import encoders
from official.nlp.tools import export_tfhub_lib

from benchmarks.peers import tensorflow_setup
from benchmarks.peers.protocol import Case, Contender, serve
from benchmarks.peers.saved_inputs import MATRIX_FLOPS, MATRIX_SIZE, Ids, Vectors, steps
from bert_tf.config import BertConfig, named_config
from bert_tf.conversion import huggingface, tfhub

FOLDER = "model_garden"
POOLED_RANK = 2  # [B, H]


def export(config: BertConfig, source: Path, folder: Path) -> None:
    """Exports its encoder with the weights of a Hugging Face folder."""
    sizes = encoders.BertEncoderConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
    )
    encoder_config = encoders.EncoderConfig(type="bert", bert=sizes)
    encoder = encoders.build_encoder(encoder_config)
    tensors = huggingface.read_tensors(source)
    heads = config.num_attention_heads
    weights = tfhub.weights_of(tfhub.ENCODER_ROWS, config.num_hidden_layers)
    shaped = [
        tensors[weight.ours].reshape(weight.their_shape(tensors[weight.ours].shape, heads))
        for weight in weights
    ]
    encoder.set_weights(shaped)
    checkpoint = tf.train.Checkpoint(encoder=encoder).save(str(folder.with_name("garden_weights")))
    export_tfhub_lib.export_model(
        export_path=str(folder),
        encoder_config=encoder_config,
        model_checkpoint_path=checkpoint,
        with_mlm=False,
        vocab_file=str(source / "vocab.txt"),
        do_lower_case=True,
    )


def build(case: Case) -> Contender:
    """The export, made by the first who needs it."""
    tensorflow_setup.set_threads(case)
    source, folder = Path(case.data), Path(case.data).with_name(FOLDER)
    if not folder.exists():
        export(named_config(case.model), source, folder)
    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures["serving_default"]
    # The signature numbers inputs and outputs; what its inputs are, the call by name tells.
    call = loaded.__call__.concrete_functions[0].structured_input_signature
    names = {spec.name: name for name, spec in call[0][0].items()}

    def answer(ids: Ids) -> Vectors:
        inputs = {given: tf.constant(ids[name]) for given, name in names.items()}
        outputs = function(**inputs)
        pooled = next(value for value in outputs.values() if value.shape.rank == POOLED_RANK)
        return np.asarray(pooled)

    return Contender(
        steps=steps(answer, case),
        matrix_product=tensorflow_setup.matrix_product(case, MATRIX_SIZE),
        matrix_flops=MATRIX_FLOPS,
        versions=f"tf-models-official, tf_keras {tf_keras.__version__}",
    )


if __name__ == "__main__":
    serve(build)
