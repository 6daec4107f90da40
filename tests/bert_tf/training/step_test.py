"""Dropout masks as functions of seed, step, replica, micro-batch and site; seeds; accumulation."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from bert_tf.modeling import kernels
from bert_tf.training import loop
from bert_tf.training.step import (
    StatelessDropout,
    accumulate,
    compiled_chain,
    fold_seed,
    gradient_function,
)
from tests.support import small


def mask(*numbers: int, seed: int = 1, site: int = 0, rate: float = 0.1, size: int = 4096):
    return np.asarray(StatelessDropout(fold_seed(seed, *numbers))(tf.ones([size]), rate, site)) > 0


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.25])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rate_and_scale_are_exact(rate, dtype):
    values = StatelessDropout(fold_seed(3, 0, 0))(tf.ones([1000, 999], dtype), rate, 0)
    kept = np.asarray(tf.cast(values, tf.float32))
    share = (kept > 0).mean()
    # Four deviations of a binomial of a million.
    assert abs(share - (1.0 - rate)) < 4.0 * np.sqrt(rate * (1 - rate) / kept.size)
    scales = np.unique(kept[kept > 0])
    assert len(scales) == 1
    # The scale belongs to the rate in fact used, which is a multiple of a power of two.
    assert scales[0] == pytest.approx(1.0 / (1.0 - rate), rel=1e-2 if dtype == "bfloat16" else 5e-3)
    assert kept.mean() == pytest.approx(1.0, abs=1e-2)


def test_masks_differ_between_steps_replicas_sites_and_seeds():
    masks = [
        mask(0, 0),
        mask(1, 0),
        mask(0, 1),
        mask(0, 0, site=1),
        mask(0, 0, seed=2),
        mask(0, 0, 1),
    ]
    for left, right in itertools.combinations(masks, 2):
        assert 0.7 < (left == right).mean() < 0.93  # 0.82 expected of independent masks


def test_masks_are_repeated_for_the_same_numbers():
    np.testing.assert_array_equal(mask(5, 1, site=4), mask(5, 1, site=4))


def test_no_rate_is_no_mask():
    x = tf.constant([1.0, 2.0])
    assert StatelessDropout(fold_seed(1))(x, 0.0, 0) is x


def test_gradient_passes_where_values_do():
    drop = StatelessDropout(fold_seed(1, 2))
    x = tf.random.normal([7, 13], seed=1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = drop(x, 0.3, 2)
    np.testing.assert_allclose(tape.gradient(y, x), drop(tf.ones_like(x), 0.3, 2))


def test_large_and_negative_seeds_count_wholly():
    seeds = [1, 1 + 2**31, 1 + 2**40, -1]
    assert len({tuple(fold_seed(seed).numpy()) for seed in seeds}) == len(seeds)


def test_training_seeds_differ_over_replicas_micro_batches_and_steps(tmp_path, monkeypatch):
    seen = []

    def note(seed):
        seen.append(tuple(seed))  # `append` is atomic: the replicas have threads of their own
        return seed

    def recording(*arguments, **options):
        compute = gradient_function(*arguments, **options)

        def wrapped(values, batch, totals, seed, loss_scale):
            noted = tf.ensure_shape(tf.numpy_function(note, [seed], seed.dtype), seed.shape)
            return compute(values, batch, totals, noted, loss_scale)

        return wrapped

    monkeypatch.setattr(loop, "gradient_function", recording)
    small.train(tmp_path, num_train_steps=2, logical_cpus=2, gradient_accumulation_steps=2)
    assert len(seen) == 2 * 2 * 2
    assert len(set(seen)) == len(seen)


def test_accumulation_adds_up_and_seeds_each_part():
    seen = []

    def compute(values, batch, totals, seed, scale):
        seen.append(seed)
        x = tf.reduce_sum(batch["x"])
        return [values[0] * x * scale], {"loss": x / totals["n"], "seed": tf.cast(seed, tf.float32)}

    def run(parts: int):
        return accumulate(
            compute,
            [tf.constant([2.0])],
            {"x": tf.range(8.0)},
            {"n": tf.constant(8.0)},
            lambda part: part,
            tf.constant(4.0),
            parts,
            ("loss", "seed"),
            (True,),
        )

    for parts in (1, 2, 4):
        (gradient,), sums = run(parts)
        assert float(gradient[0]) == 2.0 * 28.0 * 4.0
        assert float(sums["loss"]) == 3.5
        assert float(sums["seed"]) == sum(range(parts))


def compiled_functions(function, *shapes):
    """Signatures of the compiled functions in the graph of a function, as (inputs, outputs)."""
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    library = tf.function(function).get_concrete_function(*specs).graph.as_graph_def().library
    return [
        (len(inner.signature.input_arg), len(inner.signature.output_arg))
        for inner in library.function
        if inner.attr["_XlaMustCompile"].b
    ]


def activated(x):
    with tf.GradientTape() as tape, kernels.compiled_by(compiled_chain):
        tape.watch(x)
        y = kernels.gelu_tanh(x)
    return y, tape.gradient(y, x)


def test_chains_of_known_shapes_are_compiled_and_nothing_is_kept_for_a_tape():
    assert sorted(compiled_functions(activated, [4, 8])) == [(1, 1), (2, 1)]
    assert compiled_functions(activated, [None, 8]) == []


def test_a_chain_is_compiled_once_for_each_shape():
    def twice(x):
        return activated(activated(x)[0])

    assert len(compiled_functions(twice, [4, 8])) == 2


@pytest.mark.parametrize("choice", [{}, {"jit_compile": True}])
def test_training_compiles_chains_unless_it_compiles_all(tmp_path, monkeypatch, choice):
    chosen = []

    def recording(*arguments, **options):
        chosen.append(options)
        return gradient_function(*arguments, **options)

    monkeypatch.setattr(loop, "gradient_function", recording)
    small.train(tmp_path, num_train_steps=1, **choice)
    whole = bool(choice)
    assert [(c["jit_compile"], c["compile_chains"]) for c in chosen] == [(whole, not whole)]
