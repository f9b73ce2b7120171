"""EfficientNet-Lite0 (Google, 2020): EfficientNet-B0 without squeeze-and-excitation, with ReLU6.

The architecture and the names of its weights follow the published PyTorch checkpoint, which `torch_file` reads.
Source: tensorflow/tpu, models/official/efficientnet/lite; the checkpoint's input is (x - 127) / 128.
"""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.torch_file import read_state_dict

_EPSILON = 1e-3  # of every BatchNormalization
_STEM_FILTERS, _HEAD_FILTERS = 32, 1280


@dataclass(frozen=True)
class _Stage:
    """Inverted residual blocks of one resolution; only the first one has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16), _Stage(2, 3, 2, 6, 24), _Stage(2, 5, 2, 6, 40), _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112), _Stage(4, 5, 2, 6, 192), _Stage(1, 3, 1, 6, 320),
)  # fmt: skip


def efficientnet_lite0(shape: tuple[int, int, int]) -> keras.Model:
    """Build EfficientNet-Lite0 without its top: preprocessed images -> feature map at 1/32 of their size."""
    inputs = keras.Input(shape)
    x = layers.Conv2D(_STEM_FILTERS, 3, 2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.ReLU(6.0, name="stem_relu")(_normalise(x, "stem_bn"))
    number = 0
    for stage in _STAGES:
        for repeat in range(stage.repeats):
            x = _block(x, stage, stage.stride if repeat == 0 else 1, f"b{number}")
            number += 1
    x = layers.Conv2D(_HEAD_FILTERS, 1, use_bias=False, name="head_conv")(x)
    x = layers.ReLU(6.0, name="head_relu")(_normalise(x, "head_bn"))
    return keras.Model(inputs, x, name="efficientnet_lite0")


def _block(x: keras.KerasTensor, stage: _Stage, stride: int, name: str) -> keras.KerasTensor:
    before = x
    if stage.expansion > 1:
        x = layers.Conv2D(x.shape[-1] * stage.expansion, 1, use_bias=False, name=f"{name}_expand")(x)
        x = layers.ReLU(6.0, name=f"{name}_relu0")(_normalise(x, f"{name}_bn0"))
    x = layers.DepthwiseConv2D(stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_dw")(x)
    x = layers.ReLU(6.0, name=f"{name}_relu1")(_normalise(x, f"{name}_bn1"))
    x = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project")(x)
    x = _normalise(x, f"{name}_bn2")
    return layers.Add(name=f"{name}_add")([before, x]) if before.shape == x.shape else x


def _normalise(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=_EPSILON, name=name)(x)


def read_torch_weights(model: keras.Model, path: Path) -> list[np.ndarray]:
    """Read the published PyTorch checkpoint in the order of the model's weights.

    Args:
        model: an `efficientnet_lite0`.
        path: the .pth file; check its sha256 before.

    Raises:
        UserError: the file is damaged, or a tensor is missing or of another shape.
    """
    tensors = read_state_dict(path)
    values = []
    for layer in model.layers:
        for variable in layer.weights:
            name = _torch_name(layer.name, variable.name)
            value = tensors.get(name)
            if value is not None and value.ndim == 4:  # (out, in, h, w); depthwise (channels, 1, h, w)
                value = value.transpose((2, 3, 0, 1) if "depthwise" in name else (2, 3, 1, 0))
            if value is None or value.shape != tuple(variable.shape):
                raise UserError(f"{path}: has no {name} of shape {tuple(variable.shape)}; get the file again")
            values.append(value)
    return values


def _torch_name(layer: str, variable: str) -> str:
    """Return the checkpoint's name of a weight: `b3_bn1`, `gamma` -> `_blocks.3._bn1.weight`."""
    tensor = {
        "kernel": "weight", "gamma": "weight", "beta": "bias",
        "moving_mean": "running_mean", "moving_variance": "running_var",
    }[variable]  # fmt: skip
    outer = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "head_conv": "_conv_head", "head_bn": "_bn1"}
    if layer in outer:
        return f"{outer[layer]}.{tensor}"
    block, part = layer.split("_")
    inner = {"expand": "_expand_conv", "dw": "_depthwise_conv", "project": "_project_conv"}.get(part, f"_{part}")
    return f"_blocks.{block[1:]}.{inner}.{tensor}"
