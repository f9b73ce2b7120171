"""Activations by XLA say what Keras' say, forwards and backwards, wherever they are called; a GPU keeps Keras'."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.special import expit
from scipy.stats import norm

from fastmri_cls.models import fast_layers
from fastmri_cls.models.fast_activations import gelu, swish
from fastmri_cls.models.fast_layers import with_fast_layers
from fastmri_cls.models.registry import BACKBONES
from tests.models.layer_twins import assert_equal, both, outputs_and_gradients

FUNCTIONS = {
    "swish": (swish, lambda x: x * expit(x), lambda x: expit(x) * (1 + x * (1 - expit(x)))),
    "gelu": (gelu, lambda x: x * norm.cdf(x), lambda x: norm.cdf(x) + x * norm.pdf(x)),
}
TOLERANCES = {"float32": 2e-6, "bfloat16": 2**-7}  # of the larger one of a number and 1


@pytest.mark.parametrize("how", ["eager", "graph", "unknown batch", "xla"])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_activation_and_its_gradient_are_those_of_the_formula(name, dtype, how):
    activation, value, slope = FUNCTIONS[name]
    x = tf.cast(np.linspace(-12, 12, 4004).reshape(4, -1), dtype)
    upstream = tf.cast(np.random.default_rng(0).normal(size=x.shape), dtype)

    def call(x: tf.Tensor, upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = activation(x)
        return y, tape.gradient(y, x, upstream)

    signature = [tf.TensorSpec([None if how == "unknown batch" else 4, x.shape[1]], dtype)] * 2
    run = call if how == "eager" else tf.function(call, input_signature=signature, jit_compile=how == "xla")
    exact, given = (array.numpy().astype(np.float64) for array in (x, upstream))
    for found, expected in zip(run(x, upstream), (value(exact), given * slope(exact)), strict=True):
        assert found.dtype == dtype
        tolerance = TOLERANCES[dtype]
        np.testing.assert_allclose(found.numpy().astype(np.float64), expected, rtol=tolerance, atol=tolerance)


def test_swish_layers_take_it_and_train_alike():
    theirs, ours = both([layers.Conv2D(8, 3), layers.Activation("swish"), layers.Activation("silu")])
    assert [layer.activation for layer in ours.layers[2:]] == [swish, swish]
    assert_equal(outputs_and_gradients(theirs, training=True), outputs_and_gradients(ours, training=True))


def test_every_swish_between_the_layers_of_efficientnet_is_ours():
    base = with_fast_layers(BACKBONES["efficientnetv2s"].build((32, 32, 3)))
    activations = [layer.activation for layer in base.layers if isinstance(layer, layers.Activation)]
    assert activations.count(swish) > 60
    assert keras.activations.silu not in activations


def test_on_a_gpu_activations_are_keras_s(monkeypatch):
    monkeypatch.setattr(fast_layers, "visible_gpus", lambda: ["GPU:0"])
    _, ours = both([layers.Dense(8), layers.Activation("gelu"), layers.Activation("swish")])
    assert [layer.activation for layer in ours.layers[2:]] == [keras.activations.gelu, keras.activations.silu]
