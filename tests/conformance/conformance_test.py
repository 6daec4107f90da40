"""What every layer, model and head can do; a new one joins by a line in `cases.CASES`."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from bert_tf.modeling import bilstm, encoder, heads, layers, task_heads, transformer
from tests.conformance.cases import CASES, Case, draw
from tests.support.small import mirrored

SMALL, LARGER = (2, 6), (3, 9)


@pytest.fixture(params=CASES, scope="module")
def case(request) -> Case:
    return CASES[request.param]


def inputs(case: Case, size: tuple[int, int] = SMALL):
    drawn = draw(*size)
    return {name: tf.constant(drawn[name]) for name in case.takes}


def spec(case: Case):
    """Every batch and length; the width of vectors and the table are known."""
    unknown = {"table": lambda shape: shape}
    return {
        name: tf.TensorSpec(
            unknown.get(name, lambda shape: [None, None, *shape[2:]])(value.shape), value.dtype
        )
        for name, value in inputs(case).items()
    }


def flat(outputs) -> list[np.ndarray]:
    return [np.asarray(value, "float32") for value in keras.tree.flatten(outputs)]


def assert_close(expected, actual, tolerance: float = 1e-5) -> None:
    expected, actual = flat(expected), flat(actual)
    assert len(expected) == len(actual) > 0
    for left, right in zip(expected, actual, strict=True):
        np.testing.assert_allclose(right, left, rtol=tolerance, atol=tolerance)


def test_list_is_complete():
    modules = (layers, transformer, encoder, heads, task_heads, bilstm)
    found = {
        name
        for module in modules
        for name, item in vars(module).items()
        if inspect.isclass(item)
        and issubclass(item, keras.layers.Layer)
        and item.__module__ == module.__name__
        and not name.startswith("_")  # what others inherit from
    }
    assert found == CASES.keys()


def test_calls_and_every_weight_matters(case):
    layer, given = case.make(), inputs(case)
    with tf.GradientTape() as tape:
        outputs = case.call(layer, given)
        total = sum(
            tf.reduce_sum(tf.sin(tf.cast(out, tf.float32))) for out in tf.nest.flatten(outputs)
        )
    assert all(np.isfinite(value).all() for value in flat(outputs))
    assert layer.trainable_variables
    gradients = tape.gradient(total, [variable.value for variable in layer.trainable_variables])
    # A custom gradient may be zero where an automatic one would be missing.
    dead = [
        variable.path
        for variable, gradient in zip(layer.trainable_variables, gradients, strict=True)
        if gradient is None or not np.abs(tf.convert_to_tensor(gradient)).max() > 1e-7
    ]
    # The softmax of attention does not change if the same is added to all of a query's scores.
    assert [path for path in dead if not path.endswith(("key/bias", *case.idle))] == []


def test_function_of_unknown_length(case):
    layer = case.make()
    for size in (SMALL, LARGER):
        case.call(layer, inputs(case, size))  # builds it outside of the function
    function = tf.function(lambda given: case.call(layer, given), input_signature=[spec(case)])
    for size in (SMALL, LARGER):
        assert_close(case.call(layer, inputs(case, size)), function(inputs(case, size)))
    assert function.experimental_get_tracing_count() == 1


def test_compiles_with_xla(case):
    layer, given = case.make(), inputs(case)
    expected = case.call(layer, given)
    compiled = tf.function(lambda given: case.call(layer, given), jit_compile=True)
    assert_close(expected, compiled(given), 1e-4)


def test_bfloat16_keeps_float32_weights_and_comes_close(case):
    full, mixed = case.make(), case.make(dtype="mixed_bfloat16")
    given = inputs(case)
    expected, actual = case.call(full, given), case.call(mixed, given)
    assert {variable.dtype for variable in mixed.variables if "seed" not in variable.path} == {
        "float32"
    }
    assert_close(expected, actual, 0.1)


def test_config_round_trip(case):
    layer, given = case.make(), inputs(case)
    case.call(layer, given)
    twin = type(layer).from_config(layer.get_config())
    case.call(twin, given)
    assert twin.get_config() == layer.get_config()
    assert twin.name == layer.name
    assert [v.shape for v in twin.variables] == [v.shape for v in layer.variables]
    # The seed is part of the config, so the twin starts with the same weights.
    assert_close(case.call(layer, given), case.call(twin, given), 0.0)


class Wrapped(keras.Model):
    """A model around a layer, which Keras can save."""

    def __init__(self, layer: keras.layers.Layer, case_name: str) -> None:
        super().__init__()
        self.layer, self.case_name = layer, case_name

    def call(self, given):
        return CASES[self.case_name].call(self.layer, given)

    def get_config(self):
        return {
            "layer": keras.saving.serialize_keras_object(self.layer),
            "case_name": self.case_name,
        }

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["layer"]), config["case_name"])

    def get_build_config(self):
        return {"name": self.case_name}

    def build_from_config(self, config):
        self(inputs(CASES[config["name"]]))


@pytest.fixture
def wrapped(case) -> Wrapped:
    name = next(name for name, known in CASES.items() if known is case)
    model = Wrapped(case.make(), name)
    model(inputs(case))
    for variable in model.trainable_variables:  # not what the seed would draw
        variable.assign_add(0.05 * keras.random.normal(variable.shape, seed=3))
    return model


def test_saves_and_loads(case, wrapped, tmp_path):
    wrapped.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", {"Wrapped": Wrapped})
    assert_close(wrapped(inputs(case)), loaded(inputs(case)), 0.0)


def test_exports_and_reloads(case, wrapped, tmp_path):
    module = tf.Module()
    module.weights = [variable.value for variable in wrapped.variables]
    module.serve = tf.function(lambda given: wrapped(given), input_signature=[spec(case)])
    tf.saved_model.save(module, str(tmp_path))
    reloaded = tf.saved_model.load(str(tmp_path))
    for size in (SMALL, LARGER):
        assert_close(wrapped(inputs(case, size)), reloaded.serve(inputs(case, size)))


def gradients_of(case: Case, layer: keras.layers.Layer):
    """Outputs, and gradients as the training loop takes them."""
    given = inputs(case)
    values = [tf.convert_to_tensor(variable.value) for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(values)
        with keras.StatelessScope(zip(layer.trainable_variables, values, strict=True)):
            outputs = tf.nest.flatten(case.call(layer, given))
        total = sum(tf.reduce_sum(tf.square(tf.cast(out, tf.float32))) for out in outputs)
    return outputs, tape.gradient(total, values, unconnected_gradients="zero")


def test_two_devices_give_the_gradients_of_one(case):
    expected = gradients_of(case, case.built())
    strategy = mirrored()
    with strategy.scope():
        layer = case.built()

    def replica():
        outputs, gradients = gradients_of(case, layer)
        return outputs, tf.distribute.get_replica_context().all_reduce("MEAN", gradients)

    results = tf.nest.flatten(tf.function(lambda: strategy.run(replica))())
    first, second = zip(*map(strategy.experimental_local_results, results), strict=True)
    assert_close(first, second, 0.0)
    assert_close(expected, first, 1e-4)
