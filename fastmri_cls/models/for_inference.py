"""A trained classifier made ready to predict: with the layers of fast_layers.py, or as a graph for another runtime."""

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from fastmri_cls.foundation.private_api import convert_variables_to_constants_v2
from fastmri_cls.models.fast_layers import with_fast_layers
from fastmri_cls.models.frozen_values import precompute
from fastmri_cls.models.surgery import branches_of, split_classifier


def for_inference(model: keras.Model, precision: str = "float32") -> keras.Model:
    """Return a frozen copy of a classifier with faster layers, in float32 equal up to rounding.

    Args:
        model: that `build_classifier` made, or one that was loaded from its file.
        precision: Keras' dtype policy of all layers but the last one, whose probabilities stay float32.
    """
    bases, last = {id(branch.base) for branch in branches_of(model)}, model.layers[-1]

    def in_precision(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if "dtype" in config and layer is not last:  # operations have none
            config["dtype"] = precision
        return layer.__class__.from_config(config)

    def faster(layer: layers.Layer) -> layers.Layer:
        if id(layer) not in bases:
            return in_precision(layer)
        return with_fast_layers(keras.models.clone_model(layer, clone_function=in_precision))

    ours = keras.models.clone_model(model, clone_function=faster)
    ours.set_weights(model.get_weights())
    ours.trainable = False
    precompute(ours)
    return ours


def frozen_forward(model: keras.Model) -> Any:
    """Return a classifier as a function of TensorFlow whose weights are constants.

    It maps `image`, float32 [batch, size, size, channels], to probabilities [batch, classes] and to the pooled features
    of the backbone [batch, d].
    """
    forward = split_classifier(model).forward
    function = tf.function(lambda image: forward(image, training=False)[::-1])
    spec = tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")
    return convert_variables_to_constants_v2(function.get_concrete_function(spec), lower_control_flow=False)
