"""Backbone and head as one classifier of plain 0..255 images, and what of it trains in which phase."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
from keras import layers, regularizers

from fastmri_cls.models.backbones import unfrozen_layers
from fastmri_cls.models.registry import Backbone

_L2 = 1e-4


@dataclass(frozen=True)
class ClassifierOptions:
    """What a classifier is built from; stands in config.json, so that a RUN's model can be built again from code."""

    num_classes: int
    image_size: int
    channels: int
    preprocessing: str = "own"
    precision: str = "float32"


@dataclass(frozen=True)
class Classifier:
    """A model from float32 [batch, size, size, channels] in 0..255 to probabilities, float32 [batch, classes].

    `base` is its backbone, a layer of `model`; grey images are repeated to RGB and preprocessed inside.
    """

    backbone: Backbone
    options: ClassifierOptions
    model: keras.Model
    base: keras.Model


def build_classifier(backbone: Backbone, options: ClassifierOptions) -> Classifier:
    """Build the classifier with fresh weights; for the same, call keras.utils.set_random_seed before."""
    size, channels = options.image_size, backbone.channels or options.channels
    with _dtype_policy(options.precision):
        base = backbone.build((size, size, channels))
        images = keras.Input((size, size, options.channels), name="image")
        x = layers.Concatenate()([images] * 3) if channels == 3 and options.channels == 1 else images
        x = base(backbone.preprocessing[options.preprocessing](x))
        probabilities = paper_head(x, options.num_classes)
    return Classifier(backbone, options, keras.Model(images, probabilities, name="classifier"), base)


def paper_head(x: keras.KerasTensor, num_classes: int) -> keras.KerasTensor:
    """Return the paper's head on a feature map [batch, rows, columns, d]: probabilities, float32 [batch, classes]."""
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(512, activation="relu", kernel_regularizer=regularizers.L2(_L2))(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(256, activation="relu", kernel_regularizer=regularizers.L2(_L2))(x)
    x = layers.Dropout(0.4)(x)
    # Probabilities stay float32 in mixed precision: the loss takes their logarithm.
    return layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)


def freeze_for_phase(classifier: Classifier, phase: int, unfreeze: float | str, *, from_scratch: bool) -> None:
    """Set what trains: phase 1 the head, phase 2 the backbone from `unfreeze` on too, BatchNormalization not.

    From scratch there is nothing to protect, and everything trains in both phases.
    """
    classifier.base.trainable = from_scratch
    if phase == 2 and not from_scratch:
        chosen = unfrozen_layers(classifier.base, unfreeze)
        classifier.base.trainable = bool(chosen)
        for layer in classifier.base.layers:
            layer.trainable = any(layer is one for one in chosen)


def float32_copy(classifier: Classifier) -> Classifier:
    """Return the classifier in float32, for saving; its weights are float32 in every precision."""
    options = ClassifierOptions(**{**classifier.options.__dict__, "precision": "float32"})
    copy = build_classifier(classifier.backbone, options)
    copy.model.set_weights(classifier.model.get_weights())
    return copy


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """keras.applications take no dtype: the policy is set while they are built."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
