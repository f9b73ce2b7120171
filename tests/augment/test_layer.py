"""The augmentation as a layer: in anybody's model, saved and loaded, and silent outside training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.augment.layer import RandomAffineBrightness

SIZE = 32


def some_images(count: int = 6, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, channels)).astype(np.float32)


def test_the_layer_draws_anew_at_each_call_and_repeats_with_its_seed():
    images = tf.constant(some_images())
    layers = [RandomAffineBrightness(seed=7) for _ in range(2)]
    first, second = ([layer(images).numpy() for _ in range(2)] for layer in layers)
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_a_config_makes_the_same_layer_again():
    layer = RandomAffineBrightness(20.0, 0.1, 3.0, 0.2, (0.5, 1.5), flip=True, seed=3, compiled=False, name="moved")
    config = layer.get_config()
    again = RandomAffineBrightness.from_config(config)
    assert again.get_config() == config
    assert again.ranges == layer.ranges
    images = some_images()
    np.testing.assert_array_equal(again(images), layer(images))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_model_with_the_layer_is_saved_and_loaded(tmp_path, compiled):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = RandomAffineBrightness(rotation=30.0, seed=5, compiled=compiled)(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(x)))
    images = some_images(channels=3)
    first = model(images, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images, training=True), first, rtol=1e-5)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), model.predict(images, verbose=0), rtol=1e-5)


def test_outside_training_images_pass_unchanged():
    images = some_images()
    np.testing.assert_array_equal(RandomAffineBrightness(seed=1)(images, training=False), images)
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), RandomAffineBrightness(seed=1)])
    np.testing.assert_array_equal(model.predict(images, verbose=0), images)
    assert not np.array_equal(model(images, training=True), images)


def test_the_layer_augments_in_a_fit_and_in_a_dataset_with_labels():
    images, labels = some_images(), np.arange(6) % 2
    model = keras.Sequential([keras.Input((SIZE, SIZE, 1)), RandomAffineBrightness(), keras.layers.Flatten()])
    model.add(keras.layers.Dense(2, "softmax"))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(images, labels, verbose=0)
    layer = RandomAffineBrightness(seed=2)
    dataset = tf.data.Dataset.from_tensor_slices({"images": images, "labels": labels}).batch(3).map(layer)
    batches = list(dataset.as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate([batch["labels"] for batch in batches]), labels)
    assert not np.array_equal(np.concatenate([batch["images"] for batch in batches]), images)
