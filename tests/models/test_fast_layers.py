"""The faster layers compute what Keras' own compute, forwards and backwards, and none of them is in a saved model."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fastmri_cls.foundation.private_api import all_layers
from fastmri_cls.models.fast_convolution import FrozenBatchNormalization, LargeDepthwiseConv2D
from fastmri_cls.models.fast_layers import with_fast_layers
from fastmri_cls.models.frozen_values import precompute
from fastmri_cls.models.head import ClassifierOptions, build_classifier, float32_copy
from fastmri_cls.models.registry import BACKBONES
from tests.models.layer_twins import MAP, assert_equal, both, images, outputs_and_gradients

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False, "epsilon": 0.01}])
def test_frozen_batch_normalization_is_keras_s(training, options):
    theirs, ours = both([layers.BatchNormalization(**options)])
    assert isinstance(ours.layers[1], FrozenBatchNormalization)
    theirs.trainable = ours.trainable = False
    before = ours.get_weights()
    assert_equal(outputs_and_gradients(theirs, training=training), outputs_and_gradients(ours, training=training))
    for a, b in zip(before, ours.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batch_normalization_that_trains_trains_as_keras_s():
    theirs, ours = both([layers.BatchNormalization()])
    before = ours.get_weights()
    assert_equal(outputs_and_gradients(theirs, training=True), outputs_and_gradients(ours, training=True))
    assert not np.array_equal(before[2], ours.get_weights()[2])
    np.testing.assert_allclose(ours(images()), theirs(images()), rtol=1e-5, atol=1e-5)  # with the moved statistics


CONVOLUTIONS = {
    "Conv2D": lambda **options: layers.Conv2D(24, 3, strides=2, **options),
    "DepthwiseConv2D": lambda **options: layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, **options),
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_takes_up_the_frozen_normalization_behind_it(kind, training):
    theirs, ours = both([CONVOLUTIONS[kind](use_bias=False), layers.BatchNormalization(), layers.ReLU()])
    theirs.layers[2].trainable = ours.layers[2].trainable = False  # as phase 2 has it: the convolution trains
    graph = tf.function(lambda x: ours(x, training=training)).get_concrete_function(images()).graph
    assert not [operation for operation in graph.get_operations() if "BatchNorm" in operation.type]
    assert_equal(outputs_and_gradients(theirs, training=training), outputs_and_gradients(ours, training=training))


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_lets_a_normalization_alone_that_trains(kind):
    theirs, ours = both([CONVOLUTIONS[kind](use_bias=False), layers.BatchNormalization()])
    assert_equal(outputs_and_gradients(theirs, training=True), outputs_and_gradients(ours, training=True))
    np.testing.assert_allclose(ours(images()), theirs(images()), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_what_is_computed_once_a_phase_changes_no_bit(kind, precision):
    folded, plain = CONVOLUTIONS[kind](use_bias=False, dtype=precision), layers.Conv2D(8, 1, dtype=precision)
    _, ours = both([folded, layers.BatchNormalization(dtype=precision), layers.ReLU(dtype=precision), plain])
    ours.trainable = False

    def now() -> list[np.ndarray]:
        return outputs_and_gradients(ours, training=True)

    def operations() -> set[str]:
        graph = tf.function(lambda x: ours(x, training=True)).get_concrete_function(images()).graph
        return {operation.type for operation in graph.get_operations()}

    each_step = now()
    assert "Rsqrt" in operations()
    precompute(ours)
    assert not operations() & {"Rsqrt", "Sub"}
    for a, b in zip(each_step, now(), strict=True):
        np.testing.assert_array_equal(a, b)
    ours.set_weights([weight * 0.5 for weight in ours.get_weights()])  # as a resumed training does
    precompute(ours)
    once = now()
    ours.trainable = True
    precompute(ours)
    ours.trainable = False
    for a, b in zip(now(), once, strict=True):
        np.testing.assert_array_equal(a, b)
    ours.trainable = True  # what trains is left alone
    ours.layers[2].trainable = False
    precompute(ours)
    assert "Rsqrt" in operations()


@pytest.mark.parametrize("options", [{"use_bias": True}, {"use_bias": False, "activation": "relu"}])
def test_a_convolution_with_something_between_takes_up_nothing(options):
    theirs, ours = both([CONVOLUTIONS["Conv2D"](**options), layers.BatchNormalization()])
    theirs.trainable = ours.trainable = False
    assert isinstance(ours.layers[2], FrozenBatchNormalization)
    assert not ours.layers[2].is_folded
    assert_equal(outputs_and_gradients(theirs, training=True), outputs_and_gradients(ours, training=True))


def test_a_map_that_goes_elsewhere_too_is_normalized_apart():
    inputs = keras.Input(MAP)
    convolved = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    model = keras.Model(inputs, layers.Add()([convolved, layers.BatchNormalization()(convolved)]))
    ours = with_fast_layers(model)
    ours.set_weights(model.get_weights())
    np.testing.assert_allclose(ours(images()), model(images()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("rows", "columns", "size"), [(7, 7, (7, 7)), (5, 8, (6, 5)), (12, 9, (5, 7))])
def test_a_large_depthwise_kernel_that_trains_gets_the_gradient_of_float32(rows, columns, size):
    """By a product of matrices on a small map, in float32 on others; TensorFlow's in float32 is the reference."""
    maps = keras.Input((rows, columns, 8))
    exact, low = (
        keras.Model(maps, layers.DepthwiseConv2D(size, padding="same", dtype=precision)(maps))
        for precision in ("float32", "mixed_bfloat16")
    )
    ours = with_fast_layers(low)
    assert isinstance(ours.layers[1], LargeDepthwiseConv2D)
    ours.set_weights(exact.get_weights())
    rng = np.random.default_rng(0)  # positive numbers, whose sums lose no digits
    x, upstream = (tf.constant(rng.uniform(size=(4, rows, columns, 8)), tf.float32) for _ in range(2))
    found = []
    for model in (exact, ours):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.cast(model(x), tf.float32)
            loss = tf.reduce_sum(upstream * y)
        found.append([y, *tape.gradient(loss, [x, *(variable.value for variable in model.trainable_variables)])])
    # The output, the gradients by the map, by the kernel, and by the bias. All but that by the kernel are TensorFlow's,
    # which sums in bfloat16: the bias everywhere, the others where the processor has no instructions for it.
    for a, b, tolerance in zip(*found, (0.03, 0.03, 0.01, 0.05), strict=True):
        np.testing.assert_allclose(b, a, atol=tolerance * np.abs(a).max())


@pytest.mark.parametrize("options", [{"strides": 2}, {"padding": "valid"}, {"depth_multiplier": 2}, {"kernel_size": 3}])
def test_other_depthwise_convolutions_are_keras_s(options):
    maps = keras.Input((9, 9, 8))
    layer = layers.DepthwiseConv2D(**{"kernel_size": 7, "padding": "same", "dtype": "mixed_bfloat16"} | options)
    ours = with_fast_layers(keras.Model(maps, layer(maps)))
    assert type(ours.layers[1]) is layers.DepthwiseConv2D


@pytest.mark.parametrize(
    "name", ["densenet121-imagenet", "efficientnetv2s", "convnext-tiny", "efficientnet-lite0", "small-cnn"]
)
def test_a_backbone_keeps_its_layers_weights_and_function(name):
    keras.utils.set_random_seed(0)
    theirs = BACKBONES[name].build((64, 64, 3))
    rng = np.random.default_rng(0)
    # What starts as equal numbers says nothing of its place; of far larger ones a deep network makes infinities.
    values = [w + rng.uniform(0, 0.1, w.shape) if w.ndim == 1 else w for w in theirs.get_weights()]
    theirs.set_weights(values)
    ours = with_fast_layers(theirs)
    ours.set_weights(values)
    assert [layer.name for layer in ours.layers[1:]] == [layer.name for layer in theirs.layers[1:]]
    owners = [[weight.path.split("/")[-2] for weight in model.weights] for model in (ours, theirs)]
    assert owners[0] == owners[1]
    assert sum(type(layer) in (layers.BatchNormalization, layers.LayerNormalization) for layer in all_layers(ours)) == 0
    ours.trainable = False
    precompute(ours)
    batch = rng.uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32)
    expected = theirs(batch).numpy()
    np.testing.assert_allclose(ours(batch), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["convnext-tiny", "small-cnn"])
def test_a_saved_model_has_keras_layers_alone_and_says_the_same(name, tmp_path):
    keras.utils.set_random_seed(0)
    classifier = build_classifier(BACKBONES[name], ClassifierOptions(4, 64, 1))
    float32_copy(classifier).model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = archive.read("config.json").decode()
    assert "fastmri" not in config
    assert json.loads(config)["module"].startswith("keras")
    saved = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    batch = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 1)).astype(np.float32)
    np.testing.assert_allclose(saved(batch), classifier.model(batch), atol=1e-5)
