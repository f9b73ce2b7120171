"""The private names of TensorFlow and Keras: all in one module, and all present in the pinned versions."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.foundation import private_api

PACKAGE = Path(private_api.__file__).parents[1]
PRIVATE = re.compile(
    r"tensorflow\.(python|lite|core|compiler|tsl)\b|keras\.src|_keras_history|_inbound_nodes|_outbound_nodes|_flatten_layers"
    r"|_all_reduce_sum_gradients|_run_through_graph"
)


def test_no_other_module_uses_a_private_name():
    found = set()
    for path in PACKAGE.rglob("*.py"):
        code = re.sub(r"(#|\"\"\").*", "", path.read_text(encoding="utf-8"))
        if path.name != "private_api.py" and PRIVATE.search(re.sub(r"\([^()]*\.py\)", "", code)):
            found.add(path.relative_to(PACKAGE).as_posix())
    assert not found


def test_every_name_is_there():
    for name in private_api.__all__:
        assert getattr(private_api, name) is not None
    assert private_api.tflite_schema.QuantizationParametersT().min is None
    assert callable(private_api.flatbuffer_utils.convert_bytearray_to_object)
    assert callable(private_api.flatbuffer_utils.opcode_to_name)
    assert private_api.xplane_pb2.XSpace().planes is not None


def test_deterministic_kernels_end_with_the_block():
    with private_api.deterministic_ops(wanted=True):
        with pytest.raises(RuntimeError, match="determinism"):
            tf.random.Generator.from_non_deterministic_state()
        with private_api.deterministic_ops(wanted=False):
            assert private_api.is_op_determinism_enabled()
    assert not private_api.is_op_determinism_enabled()


def test_the_graph_of_a_functional_model_can_be_walked():
    inputs = [keras.Input((3,), name=name) for name in "ab"]
    joined = keras.layers.Concatenate(name="joined")(inputs)
    assert private_api.producer(joined).name == "joined"
    assert [tensor.name for tensor in private_api.producer_inputs(joined)] == ["a", "b"]
    assert private_api.num_consumers(private_api.producer(inputs[0])) == 1
    keras.layers.ReLU()(inputs[0])
    assert private_api.num_consumers(private_api.producer(inputs[0])) == 2


def test_layers_at_any_depth_are_found():
    inner = keras.Sequential([keras.layers.Dense(2, name="deep")])
    model = keras.Sequential([keras.Input((3,)), inner])
    assert "deep" in [layer.name for layer in private_api.all_layers(model)]


def test_an_optimizer_takes_gradients_as_they_are_after_skip_gradient_reduction():
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0))
    private_api.skip_gradient_reduction(optimizer)
    pairs = [(tf.constant(1.0), None)]
    assert optimizer.inner_optimizer._all_reduce_sum_gradients(pairs) is pairs
    assert "_all_reduce_sum_gradients" in dir(keras.optimizers.SGD())  # Keras has the method that we replace


def test_variables_become_constants():
    variable = tf.Variable(np.float32(2))
    function = tf.function(lambda x: x * variable).get_concrete_function(tf.TensorSpec((), tf.float32))
    frozen = private_api.convert_variables_to_constants_v2(function, lower_control_flow=False)
    assert not frozen.variables


def test_the_layers_of_models_in_a_model_can_be_called_one_by_one():
    inner_input = keras.Input((3,))
    inner = keras.Model(inner_input, keras.layers.ReLU(name="relu")(keras.layers.Dense(2, name="dense")(inner_input)))
    model = keras.Sequential([keras.Input((3,)), inner, keras.layers.Dense(1, name="last")])
    called = []

    def call(layer, *inputs, **options):
        called.append(layer.name)
        return (
            private_api.rerun(layer, inputs[0], call) if isinstance(layer, keras.Model) else layer(*inputs, **options)
        )

    images = np.ones((4, 3), np.float32)
    outputs = call(model, tf.constant(images))
    np.testing.assert_allclose(outputs, model(images), rtol=1e-6)
    assert called == [model.name, inner.name, "dense", "relu", "last"]
