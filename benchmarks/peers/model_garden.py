"""TensorFlow Model Garden: BertPretrainerV2, its own losses and optimizer, in graph mode.

Given its best form here: the optimizer's fused kernels, steps in a loop inside one tf.function as
its own trainer runs them, batches from memory.
"""

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tf_keras
from official.nlp import optimization
from official.nlp.configs import bert as bert_configs
from official.nlp.configs import encoders
from official.nlp.data import pretrain_dataloader
from official.nlp.tasks import masked_lm

from benchmarks.peers import tensorflow_setup
from benchmarks.peers.batches import pretraining_batches
from benchmarks.peers.protocol import Case, Contender, serve
from bert_tf.config import BertConfig, named_config

MATRIX_SIZE = 2048


def pretraining_task(config: BertConfig) -> masked_lm.MaskedLMTask:
    """Its task of pretraining with next sentences, configured as the 2018 release."""
    encoder = encoders.BertEncoderConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        intermediate_size=config.intermediate_size,
        max_position_embeddings=config.max_position_embeddings,
        type_vocab_size=config.type_vocab_size,
        dropout_rate=config.hidden_dropout_prob,
        attention_dropout_rate=config.attention_probs_dropout_prob,
    )
    head = bert_configs.ClsHeadConfig(
        inner_dim=config.hidden_size, num_classes=2, dropout_rate=0.1, name="next_sentence"
    )
    model = bert_configs.PretrainerConfig(
        encoder=encoders.EncoderConfig(type="bert", bert=encoder),
        cls_heads=[head],
        mlm_activation="gelu",
    )
    data = pretrain_dataloader.BertPretrainDataConfig(use_next_sentence_label=True)
    return masked_lm.MaskedLMTask(masked_lm.MaskedLMConfig(model=model, train_data=data))


def build(case: Case) -> Contender:
    """The model in a training loop inside one tf.function."""
    tensorflow_setup.set_threads(case)
    policy = {"bfloat16": "mixed_bfloat16"}.get(case.precision, case.precision)
    tf_keras.mixed_precision.set_global_policy(policy)
    config = named_config(case.model)
    task = pretraining_task(config)
    model = task.build_model()
    metrics = task.build_metrics(training=True)
    optimizer = optimization.create_optimizer(1e-4, 100_000, 100)
    batches = pretraining_batches(config, case.batch_size, case.length)
    renamed = {"input_ids": "input_word_ids", "segment_ids": "input_type_ids"}
    stacked = {renamed.get(name, name): [batch[name] for batch in batches] for name in batches[0]}
    iterator = iter(tf.data.Dataset.from_tensor_slices(stacked).repeat().prefetch(2))

    @tf.function
    def steps(iterator: Iterator[Any], count: tf.Tensor) -> tf.Tensor:
        loss = tf.constant(0.0)
        for _ in tf.range(count):
            loss = task.train_step(next(iterator), model, optimizer, metrics)[task.loss]
        return loss

    return Contender(
        steps=lambda count: float(steps(iterator, tf.constant(count))),
        matrix_product=tensorflow_setup.matrix_product(case, MATRIX_SIZE),
        matrix_flops=2.0 * MATRIX_SIZE**3,
        versions=f"tf-models-official BertPretrainerV2, tf_keras {tf_keras.__version__}",
    )


if __name__ == "__main__":
    serve(build)
