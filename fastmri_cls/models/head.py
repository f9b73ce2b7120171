"""One or two backbones and a head as a classifier of plain 0..255 images, and which of it trains in which phase."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import keras
from keras import layers, regularizers

from fastmri_cls.dataset import Dataset
from fastmri_cls.models.backbones import unfreeze_each, unfrozen_layers
from fastmri_cls.models.fast_layers import with_fast_layers
from fastmri_cls.models.keyed_dropout import KeyedDropout
from fastmri_cls.models.registry import Backbone, Hybrid

_L2 = 1e-4


@dataclass(frozen=True)
class ClassifierOptions:
    """What a classifier is built from; config.json holds it, so a RUN's model can be built again from code.

    Attributes:
        num_classes: number of outputs.
        image_size: height and width of the images in pixels.
        channels: of the images, 1 or 3.
        preprocessing: variant of the backbone's preprocessing: own, keras or densenet.
        precision: Keras' dtype policy.
    """

    num_classes: int
    image_size: int
    channels: int
    preprocessing: str = "own"
    precision: str = "float32"

    @classmethod
    def for_dataset(
        cls, dataset: Dataset, preprocessing: str = "own", precision: str = "float32"
    ) -> "ClassifierOptions":
        """Return the options of a classifier of a dataset's images."""
        return cls(len(dataset.classes), dataset.image_size, dataset.channels, preprocessing, precision)


@dataclass(frozen=True)
class Classifier:
    """A model from float32 images [batch, size, size, channels] in 0..255 to probabilities, float32 [batch, classes].

    Grey images are repeated to RGB and preprocessed inside the model.

    Attributes:
        backbone: the registry's entry.
        options: what the model was built from.
        model: the whole model.
        bases: its backbones, which are layers of `model`.
    """

    backbone: Backbone | Hybrid
    options: ClassifierOptions
    model: keras.Model
    bases: tuple[keras.Model, ...]

    @property
    def base(self) -> keras.Model:
        """The backbone, if there is only one."""
        (base,) = self.bases
        return base


def build_classifier(backbone: Backbone | Hybrid, options: ClassifierOptions, *, fast: bool = True) -> Classifier:
    """Build the classifier with fresh weights; call keras.utils.set_random_seed before to get the same ones again.

    Args:
        backbone: the registry's entry, see `find_model`.
        options: sizes, preprocessing and precision.
        fast: use our layers where they are faster; without, anyone can open the saved model.
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
        probabilities = paper_head(maps, options.num_classes, KeyedDropout if fast else layers.Dropout)
    return Classifier(backbone, options, keras.Model(images, probabilities, name="classifier"), tuple(bases))


def _build_base(backbone: Backbone, options: ClassifierOptions) -> keras.Model:
    return backbone.build((options.image_size, options.image_size, backbone.channels or options.channels))


def paper_head(
    maps: Sequence[keras.KerasTensor], num_classes: int, dropout: type[layers.Dropout] = layers.Dropout
) -> keras.KerasTensor:
    """Return the probabilities, float32 [batch, classes], of the paper's head.

    Args:
        maps: the final feature map of each backbone, [batch, rows, columns, d]; pooled features are concatenated.
        num_classes: number of outputs.
        dropout: the layer to use.
    """
    pooled = [layers.GlobalAveragePooling2D()(x) for x in maps]
    x = pooled[0] if len(pooled) == 1 else layers.Concatenate()(pooled)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(512, activation="relu", kernel_regularizer=regularizers.L2(_L2))(x)
    x = dropout(0.5)(x)
    x = layers.Dense(256, activation="relu", kernel_regularizer=regularizers.L2(_L2))(x)
    x = dropout(0.4)(x)
    # Probabilities stay float32 in mixed precision: the loss takes their logarithm.
    return layers.Dense(num_classes, activation="softmax", dtype="float32", name="probabilities")(x)


def freeze_for_phase(
    classifier: Classifier, phase: int, unfreeze: float | str, *, from_scratch: bool, frozen_mode: str = "training"
) -> None:
    """Set which layers train, and how the others compute.

    Phase 1 trains the head. Phase 2 also trains the backbone from `unfreeze` on, except BatchNormalization. Without
    pretrained weights both phases train everything.

    Args:
        classifier: the model to change.
        phase: 1 or 2.
        unfreeze: see `unfreeze_each`.
        from_scratch: whether the backbones have no pretrained weights.
        frozen_mode: of frozen layers in a training step, see `Protocol`. Their BatchNormalization uses its moving
            statistics in both modes.
    """
    for layer in dropouts(classifier):
        layer.rests_when_frozen = frozen_mode == "inference"
    fractions = unfreeze_each(classifier.bases, unfreeze)
    for base, fraction in zip(classifier.bases, fractions, strict=True):
        if from_scratch or phase == 1:
            base.trainable = from_scratch
        else:
            train_from(base, fraction)


def dropouts(classifier: Classifier) -> list[KeyedDropout]:
    """Return the dropout and drop-connect layers of the backbones."""
    return [layer for base in classifier.bases for layer in base.layers if isinstance(layer, KeyedDropout)]


def train_from(base: keras.Model, unfreeze: float | str) -> None:
    """Let the layers of a backbone train that `unfrozen_layers` returns, and freeze all others."""
    chosen = {id(layer) for layer in unfrozen_layers(base, unfreeze)}
    base.trainable = bool(chosen)
    for layer in base.layers:
        layer.trainable = id(layer) in chosen


def float32_copy(classifier: Classifier) -> Classifier:
    """Return a copy in float32, as its weights always are, and with Keras' own layers: for saving."""
    options = replace(classifier.options, precision="float32")
    copy = build_classifier(classifier.backbone, options, fast=False)
    copy.model.set_weights(classifier.model.get_weights())
    return copy


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    """Set the policy while models are built, since keras.applications take no dtype."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
