"""What is computed as rows says what Keras' layers say: dense layers, GELU, layer scale, LayerNormalization."""

import platform

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from scipy.stats import norm

from fastmri_cls.benchmark.trace import slowest_operations
from fastmri_cls.foundation.private_api import LayerScale
from fastmri_cls.models import fast_layers
from fastmri_cls.models.fast_layers import with_fast_layers
from fastmri_cls.models.fast_rows import FoldedLayerScale, PatchConv2D, RowsDense, RowsLayerNormalization, onednn_gelu
from fastmri_cls.models.frozen_values import precompute
from tests.models.layer_twins import MAP, assert_equal, both, images, outputs_and_gradients

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_dense_layer_and_its_gelu_become_one_with_the_same_gradients(jit_compile):
    theirs, ours = both([layers.Dense(24), layers.Activation("gelu"), layers.Dense(8)])
    first, nothing, second = ours.layers[1:]
    assert isinstance(first, RowsDense)
    assert isinstance(second, RowsDense)
    assert nothing.activation is keras.activations.linear
    assert second.activation is keras.activations.linear
    assert_equal(outputs_and_gradients(theirs, training=True), outputs_and_gradients(ours, training=True))
    compiled = tf.function(lambda x: ours(x), jit_compile=jit_compile)  # where TensorFlow puts the kernel of its own
    np.testing.assert_allclose(compiled(images()), theirs(images()), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("how", ["eager", "graph", "unknown batch", "xla"])
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.02)])
def test_a_frozen_layer_normalization_is_keras_s(precision, tolerance, how):
    """Of rows far from zero, where sums of squares in low precision cancel: XLA subtracts such sums in float32."""
    far = layers.Rescaling(1, 5 if how == "xla" else 50, dtype="float32")
    theirs, ours = both([far, layers.LayerNormalization(dtype=precision)])
    theirs.trainable = ours.trainable = False
    assert isinstance(ours.layers[2], RowsLayerNormalization)
    signature = [tf.TensorSpec([None if how == "unknown batch" else 4, *MAP])]
    graph = tf.function(lambda x: ours(x), input_signature=signature, jit_compile=how == "xla")
    found, expected = (
        y.numpy().astype(np.float32) for y in ((ours if how == "eager" else graph)(images()), theirs(images()))
    )
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("options", [{}, {"axis": 2}, {"center": False}, {"scale": False}, {"rms_scaling": True}])
def test_a_layer_normalization_that_trains_or_is_of_another_kind_is_keras_s(options):
    theirs, ours = both([layers.LayerNormalization(**options)])
    assert isinstance(ours.layers[1], RowsLayerNormalization) == (options == {})
    assert_equal(outputs_and_gradients(theirs, training=True), outputs_and_gradients(ours, training=True))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN's kernels are in TensorFlow for x86_64")
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_each_frozen_layer_normalization_is_one_kernel(precision, tmp_path):
    rows = [layer(dtype=precision) for layer in [layers.LayerNormalization] * 3]
    _, ours = both(rows)
    ours.trainable = False
    call = tf.function(lambda x: ours(x))
    call(images())
    with tf.profiler.experimental.Profile(str(tmp_path)):
        call(images())
    calls = {operation.type: operation.calls for operation in slowest_operations(tmp_path, count=100).slowest}
    assert calls["_MklLayerNorm"] == len(rows)
    assert not set(calls) & {"FusedBatchNormV3", "_MklNativeFusedBatchNormV3", "Rsqrt"}, calls


@pytest.mark.parametrize("frozen", ["dense", "scale", "both", "neither"])
def test_a_dense_layer_takes_up_the_scale_behind_it_while_both_are_frozen(frozen):
    theirs, ours = both([layers.Dense(24), LayerScale(1.0, 24)])
    assert isinstance(ours.layers[2], FoldedLayerScale)
    for model in (theirs, ours):
        model.layers[1].trainable = frozen not in ("dense", "both")
        model.layers[2].trainable = frozen not in ("scale", "both")
    precompute(ours)
    assert ours.layers[1].is_kept == (frozen == "both")
    assert_equal(outputs_and_gradients(theirs, training=True), outputs_and_gradients(ours, training=True))
    ours.set_weights([weight * 0.5 for weight in ours.get_weights()])  # as a resumed training does
    theirs.set_weights(ours.get_weights())
    precompute(ours)
    np.testing.assert_allclose(ours(images()), theirs(images()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["trains", "frozen", "before a frozen normalization", "without a bias"])
def test_a_convolution_of_patches_is_keras_s(kind):
    maps = keras.Input((8, 12, 6))
    x = layers.Conv2D(10, 4, strides=4, activation="relu", use_bias=kind in ("trains", "frozen"))(maps)
    if kind == "before a frozen normalization":
        x = layers.BatchNormalization()(layers.Conv2D(10, 4, strides=4, use_bias=False)(maps))
    theirs = keras.Model(maps, x)
    ours = with_fast_layers(theirs)
    ours.set_weights(theirs.get_weights())
    assert isinstance(ours.layers[1], PatchConv2D)
    for model in (theirs, ours):
        model.layers[-1].trainable = kind in ("trains", "without a bias")
    given = tf.constant(np.random.default_rng(0).normal(size=(4, 8, 12, 6)), tf.float32)
    assert_equal(*(outputs_and_gradients(model, training=True, x=given) for model in (theirs, ours)))


@pytest.mark.parametrize(
    "options", [{"strides": 1}, {"kernel_size": (2, 4)}, {"kernel_size": 5, "strides": 5}, {"groups": 2}]
)
def test_another_convolution_is_none_of_patches(options):
    maps = keras.Input((8, 12, 6))
    layer = layers.Conv2D(**{"filters": 4, "kernel_size": 4, "strides": options.get("kernel_size", 4)} | options)
    ours = with_fast_layers(keras.Model(maps, layer(maps)))
    assert not isinstance(ours.layers[1], PatchConv2D)


def test_a_scale_behind_an_activation_or_another_layer_is_left_alone():
    for before in (layers.Dense(24, activation="relu"), layers.Conv2D(24, 3)):
        theirs, ours = both([before, LayerScale(1.0, 24)])
        theirs.trainable = ours.trainable = False
        precompute(ours)
        assert type(ours.layers[2]) is LayerScale
        np.testing.assert_allclose(ours(images()), theirs(images()), rtol=1e-5, atol=1e-5)


def test_gelu_is_right_to_a_percent_in_bfloat16_where_a_gpu_computes_it_op_by_op(monkeypatch):
    """`onednn_gelu`, made for oneDNN, which joins it with the product before, is 3 % off here."""
    monkeypatch.setattr(fast_layers, "visible_gpus", lambda: ["GPU:0"])
    inputs = keras.Input(MAP)
    dense = layers.Dense(16, dtype="mixed_bfloat16")(inputs)
    ours = with_fast_layers(keras.Model(inputs, layers.Activation("gelu", dtype="mixed_bfloat16")(dense)))
    x = tf.cast(np.linspace(-4, -0.5, 4001), tf.bfloat16)

    def error(gelu) -> float:
        exact = x.numpy().astype(np.float64) * norm.cdf(x.numpy().astype(np.float64))
        return float(np.median(np.abs(gelu(x).numpy().astype(np.float64) / exact - 1)))

    assert type(ours.layers[1]) is layers.Dense
    assert error(ours.layers[2].activation) < 0.01
    assert error(onednn_gelu) > 0.01


def test_gelu_is_x_times_the_normal_distribution():
    x = np.linspace(-8, 8, 4001).astype(np.float32)
    np.testing.assert_allclose(onednn_gelu(tf.constant(x)), x * norm.cdf(x.astype(np.float64)), atol=1e-6)


def test_a_map_that_goes_elsewhere_too_keeps_its_gelu_apart():
    inputs = keras.Input(MAP)
    dense = layers.Dense(16)(inputs)
    model = keras.Model(inputs, layers.Add()([dense, layers.Activation("gelu")(dense)]))
    ours = with_fast_layers(model)
    ours.set_weights(model.get_weights())
    np.testing.assert_allclose(ours(images()), model(images()), rtol=1e-5, atol=1e-5)
