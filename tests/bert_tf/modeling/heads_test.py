"""The heads of pretraining beside plain transcriptions."""

import numpy as np

from bert_tf.modeling.heads import MaskedLmHead, build_pretrainer
from bert_tf.modeling.layers import OutputLayer
from tests.conformance.cases import TINY
from tests.support import small

DRAW = np.random.default_rng(0)


def test_masked_lm_scores_the_gathered_positions_on_the_table():
    head = MaskedLmHead(7, 4, "relu", initializer_range=0.5, seed=1)
    head.output_bias.assign(DRAW.normal(size=[7]))
    x, table = DRAW.normal(size=[2, 5, 4]), DRAW.normal(size=[7, 4])
    positions = np.array([[0, 4, 4], [3, 0, 1]])
    rows = np.stack([x[i][positions[i]] for i in range(2)])
    hidden = np.maximum(rows @ head.transform.kernel.numpy() + head.transform.bias.numpy(), 0.0)
    hidden -= hidden.mean(-1, keepdims=True)
    hidden /= np.sqrt((hidden**2).mean(-1, keepdims=True) + 1e-12)
    expected = hidden @ table.T + head.output_bias.numpy()
    got = head(x.astype("float32"), positions, table.astype("float32"))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


def test_next_sentence_is_linear_with_a_kernel_of_two_rows():
    head = OutputLayer(2, seed=1)
    head.build((None, 4))
    head.bias.assign([1.0, -1.0])
    x = DRAW.normal(size=[3, 4]).astype("float32")
    assert head.kernel.shape == (2, 4)
    np.testing.assert_allclose(head(x), x @ head.kernel.numpy().T + [1.0, -1.0], atol=1e-6)


def test_the_table_is_the_encoders():
    model = build_pretrainer(TINY, 1)
    batch = small.batch(2, 6, 3, TINY.vocab_size)
    before = np.asarray(model(batch)["mlm_logits"])
    table = model.encoder.embeddings.word_embeddings
    changed = table.numpy()
    changed[29] += np.arange(8)  # no id of the batch, so only the output layer reads it
    batch["input_word_ids"][batch["input_word_ids"] == 29] = 5
    before = np.asarray(model(batch)["mlm_logits"])
    table.assign(changed)
    after = np.asarray(model(batch)["mlm_logits"])
    assert np.abs(after[..., 29] - before[..., 29]).max() > 1e-3
    np.testing.assert_allclose(after[..., :29], before[..., :29], atol=1e-5)


def test_logits_are_float32_under_every_policy():
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        outputs = build_pretrainer(TINY, 1, policy)(small.batch(2, 6, 3, TINY.vocab_size))
        assert {value.dtype.name for value in outputs.values()} == {"float32"}
