"""Grad-CAM for somebody else's Keras model: its graph is searched for the feature map to read, nested models too."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.private_api import rerun
from fastmri_cls.inference.gradcam import Explain, centred_logits, explain_along_path, make_overlay
from fastmri_cls.referee.classes import ClassOrder
from fastmri_cls.referee.opening import OpenedModel
from fastmri_cls.referee.predicting import fit_images
from fastmri_cls.referee.preprocessing import Preprocess
from fastmri_cls.report.mistakes import Overlay

_FINE_STRIDE = 4  # as in models/surgery.py
_SMALLEST = 1e-7  # of a probability, before its logarithm


def heat_overlay(model: OpenedModel, dataset: Dataset, preprocess: Preprocess, order: ClassOrder) -> Overlay | None:
    """Return a function that draws heat maps over pictures.

    Args:
        model: the model.
        dataset: whose stored images are explained.
        preprocess: what is done to the images.
        order: which output is which class.

    Returns:
        See `Overlay`; None if the model is no Keras model, or has no feature map.
    """
    explain = explain_model(model.keras_model, preprocess, order) if model.keras_model else None
    if explain is None:
        return None
    return make_overlay(lambda images, classes: explain(fit_images(model, dataset, images), classes))


def explain_model(model: keras.Model, preprocess: Preprocess, order: ClassOrder) -> Explain | None:
    """Return a function from images of the model's size and class numbers to heat maps; None without a feature map."""
    reader = _with_feature_map(model)
    if reader is None:
        return None
    dtype = tf.as_dtype(reader.inputs[0].dtype)

    @tf.function(reduce_retracing=True)
    def read(images: tf.Tensor, outputs_of: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            # Integers have no gradient; what the weights make of them has one.
            tape.watch(images if dtype.is_floating else [weight.value for weight in reader.weights])
            feature_map, outputs = reader(images, training=False)
            centred = centred_logits(_as_logits(tf.cast(outputs, tf.float32)), outputs_of)
        return feature_map, tape.gradient(centred, feature_map)

    def maps_and_gradients(images: np.ndarray, classes: np.ndarray) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        prepared = tf.constant(preprocess(images.copy()).astype(dtype.as_numpy_dtype))
        feature_map, gradient = read(prepared, tf.constant(np.array(order.columns)[classes]))
        return [tf.cast(feature_map, tf.float32)], [tf.cast(gradient, tf.float32)]

    return explain_along_path(maps_and_gradients)


def _as_logits(outputs: tf.Tensor) -> tf.Tensor:
    """Return logits, but for a constant in each row; outputs within 0..1 are probabilities or scores."""
    within = tf.reduce_all((outputs >= 0) & (outputs <= 1))
    return tf.cond(within, lambda: tf.math.log(outputs + _SMALLEST), lambda: outputs)


def _with_feature_map(model: keras.Model) -> keras.Model | None:
    """Return a model with the same layers that gives the feature map to read and the outputs."""
    maps: list[keras.KerasTensor] = []
    called: dict[int, Any] = {}  # layers by their identity

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        called[id(layer)] = layer
        has_layers = isinstance(layer, keras.Model) and layer.inputs
        outputs = rerun(layer, inputs[0], call) if has_layers else layer(*inputs, **options)
        if isinstance(outputs, keras.KerasTensor) and len(outputs.shape) == 4 and (outputs.shape[1] or 0) > 1:
            maps.append(outputs)
        return outputs

    images = keras.Input(batch_shape=model.inputs[0].shape, dtype=model.inputs[0].dtype)
    (outputs,) = tf.nest.flatten(call(model, images))  # some models give a list or a dictionary of one
    rows = -(-(images.shape[1] or 0) // _FINE_STRIDE)
    small = [feature_map for feature_map in maps if feature_map.shape[1] <= rows]
    if not small:
        return None
    finest = max(feature_map.shape[1] for feature_map in small)
    chosen = next(feature_map for feature_map in reversed(small) if feature_map.shape[1] == finest)
    with _numbered(list(called.values())):
        return keras.Model(images, (chosen, outputs))


@contextmanager
def _numbered(layers: Sequence[Any]) -> Iterator[None]:
    """Give layers different names in the block: a nested model may have one of the same name as the model around it."""
    names = [layer.name for layer in layers]
    try:
        for number, layer in enumerate(layers):
            layer.name = f"{number}_{layer.name}"
        yield
    finally:
        for layer, name in zip(layers, names, strict=True):
            layer.name = name
