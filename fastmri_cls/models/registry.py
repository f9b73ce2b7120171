"""The backbones by name: an entry says everything about one, so that its preprocessing can never be guessed wrong."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras
from keras import layers

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.backbones import Shape

Preprocessing = Callable[[keras.KerasTensor], keras.KerasTensor]

_APPLICATIONS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Means of ImageNet in BGR order, as RadImageNet's authors' training scripts subtract them.
_CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class Weights:
    """A published weights file: `hash` is its md5 or sha256, by length; without a `url` the user has to bring it.

    `size` is its bytes, as Keras' own progress bars name them when they download it.
    """

    file: str
    hash: str | None
    url: str | None
    origin: str
    size: int | None = None


@dataclass(frozen=True)
class Backbone:
    """A feature extractor.

    Fields:
        build: input shape -> functional model of preprocessed images.
        upstream: the same as Keras itself has it, where `build` is a faster rewrite; weights files fit this one.
        channels: what it takes: 3, or 0 for whatever the images have.
        preprocessing: variant (`own`, `keras`, `densenet`) -> what turns 0..255 images into its input.
        default_weights: the set that `--weights default` means; `none` for a network trained from scratch.
        weights: published sets by name.
    """

    name: str
    build: Callable[[Shape], keras.Model]
    preprocessing: Mapping[str, Preprocessing]
    channels: int = 3
    upstream: Callable[[Shape], keras.Model] | None = None
    default_weights: str = "imagenet"
    weights: Mapping[str, Weights] = field(default_factory=dict)

    @property
    def branches(self) -> "tuple[Backbone, ...]":
        """Itself: a model of one backbone, see hybrid.py."""
        return (self,)


def _identity(x: keras.KerasTensor) -> keras.KerasTensor:
    """The backbone normalises inside."""
    return x


def _densenet(x: keras.KerasTensor) -> keras.KerasTensor:
    """keras.applications.densenet.preprocess_input: to 0..1, then ImageNet's mean and deviation."""
    scale = [1 / (255 * std) for std in _IMAGENET_STD]
    offset = [-mean / std for mean, std in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)]
    return layers.Rescaling(scale, offset)(x)


def _radimagenet(x: keras.KerasTensor) -> keras.KerasTensor:
    """(BGR - mean) / 255, what RadImageNet's authors fed their DenseNet121."""
    return layers.Rescaling(1 / 255, [-mean / 255 for mean in _CAFFE_MEAN])(keras.ops.flip(x, axis=-1))


def _plus_minus_one(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Rescaling(1 / 127.5, -1)(x)


def _variants(
    own: Preprocessing, of_keras: Preprocessing, densenet: Preprocessing = _densenet
) -> dict[str, Preprocessing]:
    return {"own": own, "keras": of_keras, "densenet": densenet}


def _imagenet(folder: str, file: str, hash_: str, size: int) -> dict[str, Weights]:
    url = f"{_APPLICATIONS}{folder}/{file}"
    return {"imagenet": Weights(file, hash_, url, "ImageNet, from keras.applications", size)}


BACKBONES = {
    backbone.name: backbone
    for backbone in (
        Backbone(
            "densenet121-radimagenet",
            build=backbones.densenet121,
            preprocessing=_variants(_radimagenet, _densenet),
            default_weights="radimagenet",
            weights={
                "radimagenet": Weights(
                    "RadImageNet-DenseNet121_notop.h5",
                    None,  # its authors publish no checksum
                    None,
                    "RadImageNet (github.com/BMEII-AI/RadImageNet), on its authors' shared drive",
                )
            },
        ),
        Backbone(
            "densenet121-imagenet",
            build=backbones.densenet121,
            preprocessing=_variants(_densenet, _densenet),
            weights=_imagenet(
                "densenet",
                "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
                "30ee3e1110167f948a6b9946edeeb738",
                29_084_464,
            ),
        ),
        Backbone(
            "efficientnetv2s",
            build=backbones.efficientnetv2s,
            preprocessing=_variants(_identity, _identity),
            weights=_imagenet(
                "efficientnet_v2", "efficientnetv2-s_notop.h5", "af0682fb74e8c54910f2d4393339c070", 82_420_632
            ),
        ),
        Backbone(
            "convnext-tiny",
            build=backbones.convnext_tiny,
            upstream=backbones.convnext_tiny_upstream,
            preprocessing=_variants(_identity, _identity),
            weights=_imagenet(
                "convnext",
                "convnext_tiny_notop.h5",
                "d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
                111_650_432,
            ),
        ),
        Backbone(
            "small-cnn",
            build=backbones.small_cnn,
            preprocessing=_variants(_plus_minus_one, _plus_minus_one, _plus_minus_one),
            channels=0,
            default_weights="none",
        ),
    )
}


def find_backbone(name: str) -> Backbone:
    """Return the entry called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in BACKBONES:
        raise UserError(f"--model {name}: unknown; choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name]
