"""The model of a RUN in Keras and TensorFlow: the engine that every RUN has, and the only one with gradients."""

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.gpus import exact_float32
from fastmri_cls.inference.runtimes import Forward, Outputs
from fastmri_cls.models.surgery import split_classifier


def make_forward(model: keras.Model, batch_size: int) -> Forward:
    """Return the forward pass of a classifier, in float32, for at most `batch_size` images at once."""
    forward = split_classifier(model).forward

    @tf.function
    def traced(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, probabilities = forward(tf.cast(images, tf.float32), training=False)
        return probabilities, features

    def run(images: np.ndarray) -> Outputs:
        # All batches have one size: the graph is traced once, and a result does not depend on the rest of its batch.
        missing = batch_size - len(images)
        with exact_float32():
            outputs = traced(np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0))))
        return Outputs(*(tensor.numpy()[: len(images)] for tensor in outputs))

    return run
