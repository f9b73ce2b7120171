"""Backbones: those of keras.applications without their tops, a faster ConvNeXt, and a small CNN.

Each builder returns a functional model from preprocessed images to a feature map. Weights are loaded elsewhere.
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import keras
from keras import layers

from fastmri_cls.foundation.errors import UserError

Shape = tuple[int, int, int]

_SUGGESTIONS = 5  # layers listed in the error about an unknown layer


def densenet121(shape: Shape) -> keras.Model:
    """DenseNet121, 427 layers."""
    return keras.applications.DenseNet121(include_top=False, weights=None, input_shape=shape)


def efficientnetv2s(shape: Shape) -> keras.Model:
    """EfficientNetV2S with its own rescaling inside, 513 layers."""
    return keras.applications.EfficientNetV2S(include_top=False, weights=None, input_shape=shape)


def convnext_tiny_upstream(shape: Shape) -> keras.Model:
    """Keras' own ConvNeXt-Tiny with its normalisation inside, 133 layers."""
    return keras.applications.ConvNeXtTiny(include_top=False, weights=None, input_shape=shape)


def convnext_tiny(shape: Shape) -> keras.Model:
    """ConvNeXt-Tiny with DepthwiseConv2D instead of grouped 7 x 7 convolutions: the same function, 133 layers.

    Keras runs each grouped convolution as a separate XLA function, which on a CPU is many times slower.
    """
    return keras.models.clone_model(convnext_tiny_upstream(shape), clone_function=_ungrouped)


def _ungrouped(layer: layers.Layer) -> layers.Layer:
    if not isinstance(layer, layers.Conv2D) or layer.groups == 1:
        return layer.__class__.from_config(layer.get_config())
    return layers.DepthwiseConv2D(layer.kernel_size, padding=layer.padding, dtype=layer.dtype_policy, name=layer.name)


def copy_weights(upstream: keras.Model, base: keras.Model) -> None:
    """Copy all weights from Keras' architecture to ours; a grouped kernel (h, w, 1, c) becomes (h, w, c, 1)."""
    values = []
    for value, target in zip(upstream.get_weights(), base.weights, strict=True):
        values.append(value if value.shape == tuple(target.shape) else value.transpose(0, 1, 3, 2))
    base.set_weights(values)


# With Keras' default of .99 the statistics need about 300 steps to settle; a small set has 25 steps an epoch.
_SMALL_CNN_MOMENTUM = 0.9


def small_cnn(shape: Shape) -> keras.Model:
    """A residual network of about a million parameters that trains from scratch on two cores in minutes.

    The stem is an 8 x 8 convolution with a stride of 4, since convolutions at full resolution would cost more than all
    other layers together. Three stages of residual blocks follow at 1/4, 1/8 and 1/16 of the size, and a last
    convolution at 1/32.
    """
    inputs = keras.Input(shape)
    x = _convolution(32, 8, strides=4)(inputs)
    for filters, strides in ((32, 1), (64, 2), (128, 2)):
        x = _residual_block(x, filters, strides)
    x = _residual_block(x, 128, 1)
    x = _convolution(256, 3, strides=2)(x)
    return keras.Model(inputs, x, name="small_cnn")


def _residual_block(x: keras.KerasTensor, filters: int, strides: int) -> keras.KerasTensor:
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _batch_normalization()(layers.Conv2D(filters, 1, strides, use_bias=False)(x))
    y = _convolution(filters, 3, strides)(x)
    y = _batch_normalization()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    return layers.Activation("relu")(layers.Add()([shortcut, y]))


def _convolution(filters: int, kernel: int, strides: int) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    def apply(x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.Conv2D(filters, kernel, strides, "same", use_bias=False, kernel_initializer="he_normal")(x)
        return layers.Activation("relu")(_batch_normalization()(x))

    return apply


def _batch_normalization() -> layers.Layer:
    return layers.BatchNormalization(momentum=_SMALL_CNN_MOMENTUM)


def unfrozen_layers(base: keras.Model, unfreeze: float | str) -> list[layers.Layer]:
    """Return the layers of a backbone that phase 2 trains; BatchNormalization is never among them.

    Args:
        base: the backbone.
        unfreeze: a fraction of its layers, counted from the top, or the name of the first layer.
    """
    first = (
        len(base.layers) - int(len(base.layers) * unfreeze) if not isinstance(unfreeze, str) else _place(base, unfreeze)
    )
    return [layer for layer in base.layers[first:] if not isinstance(layer, layers.BatchNormalization)]


def unfreeze_each(bases: Sequence[keras.Model], unfreeze: float | str) -> list[float | str]:
    """Return what `unfreeze` means for each backbone of a model.

    Args:
        bases: the backbones.
        unfreeze: a fraction, which holds for all backbones, or the name of a layer, which holds for the backbones that
            have it; the others stay frozen (0.0).

    Raises:
        UserError: no layer has that name.
    """
    if not isinstance(unfreeze, str):
        return [unfreeze for _ in bases]
    names = [[layer.name for layer in base.layers] for base in bases]
    if not any(unfreeze in own for own in names):
        near = get_close_matches(unfreeze, [name for own in names for name in own], _SUGGESTIONS, cutoff=0.0)
        owner = " + ".join(base.name for base in bases)
        raise UserError(f"--unfreeze {unfreeze}: {owner} has no such layer; the nearest names are {', '.join(near)}")
    return [unfreeze if unfreeze in own else 0.0 for own in names]


def _place(base: keras.Model, name: str) -> int:
    return [layer.name for layer in base.layers].index(name)
