"""Preprocessing by name: what somebody else's model wants done to images of 0..255."""

from collections.abc import Callable
from functools import partial

import keras
import numpy as np

from fastmri_cls.foundation.errors import UserError

Preprocess = Callable[[np.ndarray], np.ndarray]  # float32 [n, height, width, channels] of 0..255, which it may change

_KERAS = "keras:"
_RGB_ONLY = ("torch", "caffe")


def _imagenet(images: np.ndarray, mode: str) -> np.ndarray:
    return np.asarray(keras.applications.imagenet_utils.preprocess_input(images, "channels_last", mode=mode))


# In the order in which they are tried; a later one must be better, not equal.
NAMED: dict[str, Preprocess] = {
    "0..255": lambda images: images,
    "0..1": lambda images: images / np.float32(255),
    "-1..1": lambda images: images / np.float32(127.5) - np.float32(1),
    "torch": partial(_imagenet, mode="torch"),  # 0..1, then ImageNet's mean and deviation
    "caffe": partial(_imagenet, mode="caffe"),  # BGR, minus ImageNet's mean
}


def candidates(channels: int, *, integers: bool) -> dict[str, Preprocess]:
    """Return what a model of images with `channels` may want; one that takes integers can only want them as they are.

    Args:
        channels: 1 or 3.
        integers: whether the model takes integers.
    """
    if integers:
        return {"0..255": NAMED["0..255"]}
    return {name: function for name, function in NAMED.items() if channels == 3 or name not in _RGB_ONLY}


def find_preprocessing(name: str, channels: int) -> Preprocess:
    """Return the preprocessing called `name`: one of `NAMED`, or `keras:xception` for that of a module of
    keras.applications.

    Args:
        name: as in `--preprocessing`.
        channels: of the model's images.

    Raises:
        UserError: there is none of that name, or it needs images with three channels.
    """
    if name.startswith(_KERAS):
        module = getattr(keras.applications, name.removeprefix(_KERAS), None)
        function = getattr(module, "preprocess_input", None)
        if function is None:
            raise UserError(
                f"--preprocessing {name}: keras.applications has no such module; give one such as keras:xception"
            )
    elif name in NAMED:
        function = NAMED[name]
    else:
        choices = ", ".join([*NAMED, "keras:MODULE"])
        raise UserError(f"--preprocessing {name}: unknown; choose one of {choices}")
    if channels != 3 and (name in _RGB_ONLY or name.startswith(_KERAS)):
        raise UserError(f"--preprocessing {name}: needs images with 3 channels, the model takes {channels}")
    return lambda images: np.asarray(function(images), np.float32)
