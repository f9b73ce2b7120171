"""int8 whose ranges a few odd images do not spoil, beside TensorFlow's own calibration on the same images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from fastmri_cls.export.saved_model import pixels_archive

pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")

from ai_edge_litert.interpreter import Interpreter

from fastmri_cls.export.quantize import quantize
from fastmri_cls.inference.runtimes import open_litert

SIZE = 16


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A classifier whose last layer reaches some 70 times as far on images(n, 255) as on images(n, 30)."""
    keras.utils.set_random_seed(1)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = layers.Rescaling(1 / 30)(image)
    for filters in (16, 32, 32):
        x = layers.Conv2D(filters, 3, strides=2, activation="relu", kernel_initializer="he_normal")(x)
    return keras.Model(image, layers.Dense(4, activation="softmax")(layers.Flatten()(layers.Multiply()([x, x]))))


def images(count: int, brightest: int) -> np.ndarray:
    return np.random.default_rng(brightest).integers(0, brightest, (count, SIZE, SIZE, 1)).astype(np.uint8)


def converter(model: keras.Model, folder) -> tf.lite.TFLiteConverter:
    pixels_archive(model, batch=1).write_out(str(folder), verbose=False)
    return tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=["pixels"])


def furthest(content: bytes, model: keras.Model, pixels: np.ndarray) -> float:
    expected = model.predict(pixels.astype(np.float32), verbose=0)
    return float(np.abs(open_litert(content)(pixels).probabilities - expected).max())


@pytest.mark.slow
def test_a_few_odd_images_do_not_take_the_levels_from_the_others(model, tmp_path):
    calibration = np.concatenate([images(62, 30), images(2, 255)])
    as_float = bytes(converter(model, tmp_path / "a").convert())
    ours = quantize(as_float, calibration)

    theirs = converter(model, tmp_path / "b")
    theirs.optimizations = [tf.lite.Optimize.DEFAULT]
    theirs.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    theirs.representative_dataset = lambda: ([one[None].astype(np.float32)] for one in calibration)
    theirs.inference_input_type = tf.uint8

    usual = images(60, 31)
    assert furthest(ours, model, usual) < furthest(bytes(theirs.convert()), model, usual) / 2
    assert len(ours) < len(as_float) / 2


def test_uint8_pixels_are_taken_as_they_are_however_dark_the_calibration_was(model, tmp_path):
    as_float = bytes(converter(model, tmp_path / "a").convert())
    reader = Interpreter(model_content=quantize(as_float, images(20, 30)))
    (image,) = reader.get_input_details()
    assert image["dtype"] == np.uint8
    assert image["quantization"] == (1.0, 0)


def test_a_dead_layer_has_a_range_too(tmp_path):
    keras.utils.set_random_seed(2)
    image = keras.Input((SIZE, SIZE, 1), name="image")
    x = layers.Rescaling(1 / 255)(image)
    dead = layers.Conv2D(8, 3, activation="relu", bias_initializer=keras.initializers.Constant(-100.0))(x)
    living = layers.Conv2D(8, 3, activation="relu")(x)
    pooled = layers.GlobalAveragePooling2D()(layers.Concatenate()([layers.Conv2D(4, 1)(dead), living]))
    model = keras.Model(image, layers.Dense(4, activation="softmax")(pooled))
    ours = quantize(bytes(converter(model, tmp_path / "a").convert()), images(20, 255))
    assert furthest(ours, model, images(20, 254)) < 0.05
