"""Schedule, rules and the optimizer beside plain transcriptions."""

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.modeling.kernels import lookup
from bert_tf.optimization import RULES, Optimizer, Schedule, uses_weight_decay
from tests.support import small


def plain_rate(step: int, rate: float, total: int, warmup: int) -> float:
    """The original's rules written out: warm-up while below its end, else decay from step 0."""
    if warmup and step < warmup:
        return rate * step / warmup
    return rate * (1.0 - min(step, total) / total)


@pytest.mark.parametrize("warmup", [0, 1, 7, 40])
def test_schedule(warmup):
    schedule = Schedule(3e-3, 40, warmup)
    ours = [float(schedule(tf.constant(step))) for step in range(1, 45)]
    np.testing.assert_allclose(ours, [plain_rate(s, 3e-3, 40, warmup) for s in range(1, 45)], 1e-6)


def test_schedule_jumps_down_at_the_end_of_the_warm_up():
    schedule = Schedule(1.0, 100, 10)
    assert float(schedule(tf.constant(9))) == pytest.approx(0.9)
    assert float(schedule(tf.constant(10))) == pytest.approx(0.9)  # and not 1.0
    assert float(schedule(tf.constant(100))) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 10), "learning_rate must be above 0"),
        ((1.0, 0), "num_train_steps must be at least 1, but is 0"),
        ((1.0, 10, -1), "num_warmup_steps must not be negative, but is -1"),
    ],
)
def test_schedule_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schedule(*arguments)


def plain_update(rule, value, gradient, first, second, rate, done, decay):
    """One update in float64."""
    first = 0.9 * first + 0.1 * gradient
    second = 0.999 * second + 0.001 * gradient**2
    m, v = first, second
    if rule != "adam":
        m, v = m / (1 - 0.9 ** (done + 1)), v / (1 - 0.999 ** (done + 1))
    update = m / (np.sqrt(v) + 1e-6) + decay * value
    if rule == "lamb" and decay:
        norms = np.linalg.norm(value), np.linalg.norm(update)
        update = update * (norms[0] / norms[1] if min(norms) > 0 else 1.0)
    return value - rate * update, first, second


NAMES = ("bert/pooler/dense/kernel", "bert/pooler/dense/bias", "bert/embeddings/LayerNorm/gamma")


def optimizer(rule: str, start):
    variables = {name: tf.Variable(value, dtype=tf.float32) for name, value in start.items()}
    return variables, Optimizer(variables, rule, Schedule(1e-2, 100, 3))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("size", [0.01, 100.0], ids=["no_clip", "clip"])
def test_five_updates(rule, size):
    draw = np.random.default_rng(0)
    shapes = {NAMES[0]: [4, 3], NAMES[1]: [3], NAMES[2]: [5]}
    start = {name: draw.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    variables, ours = optimizer(rule, start)
    plain = {
        n: (v.astype("float64"), np.zeros(v.shape), np.zeros(v.shape)) for n, v in start.items()
    }
    for done in range(5):
        gradients = {n: (size * draw.normal(size=s)).astype("float32") for n, s in shapes.items()}
        ours.apply([tf.constant(g) for g in gradients.values()], tf.constant(done, tf.int64))
        norm = np.sqrt(sum((g.astype("float64") ** 2).sum() for g in gradients.values()))
        for name, gradient in gradients.items():
            decay = 0.01 if name == NAMES[0] else 0.0
            plain[name] = plain_update(
                rule, plain[name][0], gradient / max(norm, 1.0), *plain[name][1:],
                plain_rate(done + 1, 1e-2, 100, 3), done, decay,
            )  # fmt: skip
    for name, (value, first, second) in plain.items():
        np.testing.assert_allclose(variables[name], value, rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(ours.slots[f"{name}/adam_m"], first, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(ours.slots[f"{name}/adam_v"], second, rtol=1e-4, atol=1e-9)


def test_lamb_of_zeros_is_finite():
    variables, ours = optimizer("lamb", {NAMES[0]: np.zeros([2, 2])})
    ours.apply([tf.zeros([2, 2])], tf.constant(0))
    assert np.isfinite(variables[NAMES[0]]).all()


def test_repeated_ids_are_summed_before_they_are_squared():
    table = tf.Variable(tf.ones([4, 2]))
    with tf.GradientTape() as tape:
        rows = lookup(tf.convert_to_tensor(table), tf.constant([1, 1, 1, 3]))
        loss = tf.reduce_sum(rows) * 0.1
    gradient = tf.convert_to_tensor(tape.gradient(loss, table))
    np.testing.assert_allclose(gradient[:, 0], [0.0, 0.3, 0.0, 0.1], rtol=1e-6)
    ours = Optimizer({"table": table}, "adam", Schedule(1.0, 10))
    ours.apply([gradient], tf.constant(0))
    np.testing.assert_allclose(
        ours.slots["table/adam_v"][:, 0], [0.0, 0.09e-3, 0.0, 0.01e-3], rtol=1e-4
    )


def test_an_unknown_rule_is_refused():
    with pytest.raises(
        ValueError, match="optimizer must be one of adam, adamw, lamb, but is 'sgd'"
    ):
        Optimizer({}, "sgd", Schedule(1.0, 1))


def test_which_variables_are_decayed():
    """Pinned: a change of this list changes training."""
    names = [
        name
        for name in small.tensors(small.CHECKPOINT)
        if not name.endswith(("/adam_m", "/adam_v")) and name != "global_step"
    ]
    layer = "bert/encoder/layer_{}/"
    decayed = {
        "bert/embeddings/word_embeddings",
        "bert/embeddings/token_type_embeddings",
        "bert/embeddings/position_embeddings",
        *(
            layer.format(number) + part + "/kernel"
            for number in range(2)
            for part in (
                *(f"attention/self/{each}" for each in ("query", "key", "value")),
                "attention/output/dense",
                "intermediate/dense",
                "output/dense",
            )
        ),
        "bert/pooler/dense/kernel",
        "cls/predictions/transform/dense/kernel",
        "cls/seq_relationship/output_weights",
    }
    assert {name for name in names if uses_weight_decay(name)} == decayed
    rest = {name for name in names if not uses_weight_decay(name)}
    assert all(name.endswith(("/bias", "/gamma", "/beta", "_bias")) for name in rest)
    assert len(rest) == 46 - len(decayed) == 28
