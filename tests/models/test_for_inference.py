"""A classifier that is made ready to predict says what the trained one says, and the trained one is left alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.models.for_inference import for_inference, frozen_forward
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import find_model
from fastmri_cls.models.surgery import split_classifier

pytestmark = pytest.mark.slow

NAMES = ["convnext-tiny", "small-cnn", "hybrid:efficientnet-lite0+small-cnn"]


def trained(name: str, channels: int) -> keras.Model:
    """A classifier as `train` saves it, with statistics of BatchNormalization that are not those of a new one."""
    keras.utils.set_random_seed(0)
    model = build_classifier(find_model(name), ClassifierOptions(4, 64, channels), fast=False).model
    rng = np.random.default_rng(0)
    model.set_weights([w + rng.uniform(0, 0.1, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    return model


def images(channels: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).uniform(0, 255, (4, 64, 64, channels)), tf.float32)


def outputs(model: keras.Model, x: tf.Tensor) -> list[np.ndarray]:
    return [tensor.numpy() for tensor in split_classifier(model).forward(x, training=False)]


@pytest.mark.parametrize("name", NAMES)
def test_faster_layers_say_the_same_in_float32_and_nearly_in_bfloat16(name, tmp_path):
    channels = 3 if name == "small-cnn" else 1
    file = tmp_path / "model.keras"
    trained(name, channels).save(file)
    model, x = keras.models.load_model(file), images(channels)
    before, weights = outputs(model, x), model.get_weights()
    ours = for_inference(model)
    kinds = {type(layer).__module__ for base in ours.layers if hasattr(base, "layers") for layer in base.layers}
    assert any(kind.startswith("fastmri_cls.models.fast_") for kind in kinds)
    for expected, found in zip(before, outputs(ours, x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    features, probabilities = outputs(for_inference(model, "mixed_bfloat16"), x)
    assert features.dtype.name == "bfloat16"
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, before[1], atol=0.03)
    assert not np.array_equal(probabilities, before[1])
    for expected, found in zip(before, outputs(model, x), strict=True):
        np.testing.assert_array_equal(found, expected)
    for expected, found in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_frozen_graph_has_no_variables_and_gives_probabilities_first():
    model, x = trained("small-cnn", 1), images(1)
    frozen = frozen_forward(model)
    assert not [op.type for op in frozen.graph.get_operations() if "Variable" in op.type]
    features, probabilities = outputs(model, x)
    for expected, found in zip((probabilities, features), frozen(x), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
