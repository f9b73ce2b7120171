"""A backbone of a few layers, registered for tests that need a second one and not its minutes."""

from collections.abc import Iterator

import keras
import pytest
from keras import layers

from fastmri_cls.models.registry import BACKBONES, Backbone

HYBRID = "hybrid:small-cnn+tiny"


def build_tiny(shape: tuple[int, int, int]) -> keras.Model:
    """Three convolutions with names, and a layer that draws; takes what DenseNet121 takes."""
    inputs = keras.Input(shape)
    x = layers.Activation("relu")(layers.Conv2D(8, 4, strides=4, name="tiny_1")(inputs))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", name="tiny_2")(x))
    x = layers.Dropout(0.1)(layers.Activation("relu")(x))
    return keras.Model(inputs, layers.Conv2D(12, 3, strides=2, name="tiny_3")(x), name="tiny")


@pytest.fixture(scope="module")
def tiny() -> Iterator[Backbone]:
    """Register it as `tiny` for the tests of a module."""
    preprocessing = BACKBONES["densenet121-imagenet"].preprocessing
    backbone = Backbone("tiny", build=build_tiny, preprocessing=preprocessing, default_weights="none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BACKBONES, "tiny", backbone)
        yield backbone
