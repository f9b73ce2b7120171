"""Backbone (or two) and head as one classifier of plain 0..255 images, and what of it trains in which phase."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import keras
from keras import layers, regularizers

from fastmri_cls.models.backbones import unfreeze_each, unfrozen_layers
from fastmri_cls.models.fast_layers import with_fast_layers
from fastmri_cls.models.hybrid import Hybrid
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

    `bases` are its backbones, layers of `model`; grey images are repeated to RGB and preprocessed inside.
    """

    backbone: Backbone | Hybrid
    options: ClassifierOptions
    model: keras.Model
    bases: tuple[keras.Model, ...]

    @property
    def base(self) -> keras.Model:
        """The backbone of a classifier that has one."""
        (base,) = self.bases
        return base


def build_classifier(backbone: Backbone | Hybrid, options: ClassifierOptions, *, fast: bool = True) -> Classifier:
    """Build the classifier with fresh weights; for the same, call keras.utils.set_random_seed before.

    Args:
        fast: with layers of ours where they are faster; without, the model can be saved for anyone to open.
    """
    with _dtype_policy(options.precision):
        bases = [_build_base(branch, options) for branch in backbone.branches]
        if fast:
            bases = [with_fast_layers(base) for base in bases]
        for number, base in enumerate(bases[1:], 2):
            base.name = f"{base.name}_{number}"  # two of one architecture would have one name
        images = keras.Input((options.image_size, options.image_size, options.channels), name="image")
        maps = []
        for branch, base in zip(backbone.branches, bases, strict=True):
            is_repeated = branch.channels == 3 and options.channels == 1
            x = layers.Concatenate()([images] * 3) if is_repeated else images
            maps.append(base(branch.preprocessing[options.preprocessing](x)))
        probabilities = paper_head(maps, options.num_classes)
    return Classifier(backbone, options, keras.Model(images, probabilities, name="classifier"), tuple(bases))


def _build_base(backbone: Backbone, options: ClassifierOptions) -> keras.Model:
    return backbone.build((options.image_size, options.image_size, backbone.channels or options.channels))


def paper_head(maps: Sequence[keras.KerasTensor], num_classes: int) -> keras.KerasTensor:
    """Return the paper's head on a feature map [batch, rows, columns, d], or on several whose pooled features stand
    side by side: probabilities, float32 [batch, classes]."""
    pooled = [layers.GlobalAveragePooling2D()(x) for x in maps]
    x = pooled[0] if len(pooled) == 1 else layers.Concatenate()(pooled)
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
    shares = unfreeze_each(classifier.bases, unfreeze)
    for base, share in zip(classifier.bases, shares, strict=True):
        base.trainable = from_scratch
        if phase == 2 and not from_scratch:
            chosen = unfrozen_layers(base, share)
            base.trainable = bool(chosen)
            for layer in base.layers:
                layer.trainable = any(layer is one for one in chosen)


def float32_copy(classifier: Classifier) -> Classifier:
    """Return the classifier in float32, as its weights always are, and of Keras' own layers: for saving."""
    options = replace(classifier.options, precision="float32")
    copy = build_classifier(classifier.backbone, options, fast=False)
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
