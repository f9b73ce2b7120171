"""The model of a RUN in Keras and TensorFlow: the engine that every RUN has, and the only one with gradients."""

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.foundation.gpus import exact_float32
from fastmri_cls.inference.runtimes import Forward, Outputs, in_batches_of
from fastmri_cls.models.for_inference import for_inference
from fastmri_cls.models.surgery import split_classifier


def make_forward(model: keras.Model, batch_size: int, precision: str = "float32") -> Forward:
    """Return the forward pass of a classifier in batches of `batch_size`, with the dtype policy `precision`."""
    forward = split_classifier(for_inference(model, precision)).forward

    @tf.function(autograph=False)
    def traced(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        features, probabilities = forward(tf.cast(images, tf.float32), training=False)
        return probabilities, tf.cast(features, tf.float32)

    def run(images: np.ndarray) -> Outputs:
        with exact_float32():
            return Outputs(*(tensor.numpy() for tensor in traced(images)))

    return in_batches_of(batch_size, run)
