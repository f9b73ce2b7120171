"""Keras' layers beside the faster ones of the same weights: how their outputs and gradients are compared."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from fastmri_cls.models.fast_layers import with_fast_layers

MAP = (6, 5, 16)


def both(theirs: list[layers.Layer]) -> tuple[keras.Model, keras.Model]:
    """A model of Keras' layers, its weights drawn at random, and the one with ours."""
    keras.utils.set_random_seed(0)
    inputs = x = keras.Input(MAP)
    for layer in theirs:
        x = layer(x)
    model = keras.Model(inputs, x)
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    ours = with_fast_layers(model)
    ours.set_weights(model.get_weights())
    return model, ours


def images() -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=(4, *MAP)), tf.float32)


def outputs_and_gradients(model: keras.Model, *, training: bool, x: tf.Tensor | None = None) -> list[np.ndarray]:
    """The output, the gradients by input and by all that trains, and the weights after."""
    x = images() if x is None else x
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = model(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
    trained = [variable.value for variable in model.trainable_variables]
    return [y.numpy(), *(g.numpy() for g in tape.gradient(loss, [x, *trained])), *model.get_weights()]


def assert_equal(theirs: list[np.ndarray], ours: list[np.ndarray]) -> None:
    assert len(theirs) == len(ours)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=2e-6 * np.abs(a).max())
