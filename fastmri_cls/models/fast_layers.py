"""Layers that compute what Keras' compute in fewer passes over memory, to train and predict; never in a saved model.

Measured by benchmarks/backbones.py on two cores with avx512_bf16, a forward pass of 32 images of 224 px in
mixed_bfloat16 (in float32): DenseNet121 1.5 to 1.7 times as fast (1.15), EfficientNetV2S 1.4 (1.1), ConvNeXt-Tiny
1.9 (1.3), in addition to the gain of backbones.py. A step of phase 2 gains by what layers do that train,
1.15 with EfficientNetV2S (swish) and 1.09 with ConvNeXt-Tiny: GELU, convolution of patches, depthwise kernels
(benchmarks/phase2_step.py).

What a frozen layer computes from its weights alone (a kernel in the precision of the step, scaled by the normalization
behind it) `frozen_values.precompute` computes once a phase. On a GPU without XLA that is two thirds of all kernels of a
step.
"""

from typing import Any

import keras
from keras import layers

from fastmri_cls.foundation.gpus import visible_gpus
from fastmri_cls.foundation.private_api import LayerScale, all_layers, num_consumers, producer
from fastmri_cls.models.fast_activations import gelu, swish
from fastmri_cls.models.fast_convolution import (
    FoldedConv2D,
    FoldedDepthwiseConv2D,
    FrozenBatchNormalization,
    LargeDepthwiseConv2D,
)
from fastmri_cls.models.fast_rows import FoldedLayerScale, PatchConv2D, RowsDense, RowsLayerNormalization
from fastmri_cls.models.keyed_dropout import KeyedDropout


def with_fast_layers(model: keras.Model) -> keras.Model:
    """Return a functional model with faster layers: the same names and order of layers and weights, fresh weights.

    On a GPU activations and what works on rows stay Keras': there is no oneDNN to join operations, and op by op
    `onednn_gelu` is 3 % wrong in bfloat16 where x is about -2, by cancellation in 1 + erf, while Keras' is .6 % wrong.
    """
    parts = [layer for layer in all_layers(model) if layer is not model]
    on_cpu = [] if visible_gpus() else parts
    normalizations = [layer for layer in parts if _normalizes_map(layer) and _can_fold(_before(layer))]
    scales = [layer for layer in on_cpu if type(layer) is LayerScale and _can_scale(_before(layer))]
    gelus = [
        layer
        for layer in on_cpu
        if _activates(layer, keras.activations.gelu) and _feeds_one(_before(layer), layers.Dense)
    ]
    folding = {id(_before(layer)) for layer in normalizations}
    scaled = {id(layer) for layer in scales}
    activations = {id(_before(layer)): gelu for layer in gelus} | {id(layer): "linear" for layer in gelus}
    activations |= {id(layer): swish for layer in on_cpu if _activates(layer, keras.activations.silu)}

    def faster_class(layer: layers.Layer) -> type[layers.Layer]:
        if type(layer) is layers.DepthwiseConv2D and id(layer) in folding:
            return FoldedDepthwiseConv2D
        if type(layer) is layers.Conv2D:
            return PatchConv2D if on_cpu and PatchConv2D.suits(layer) else FoldedConv2D
        if type(layer) is layers.Dropout:
            return KeyedDropout
        if _normalizes_map(layer):
            return FrozenBatchNormalization
        if id(layer) in scaled:
            return FoldedLayerScale
        if on_cpu and type(layer) is layers.Dense and len(layer.input.shape) == 4:
            return RowsDense
        if on_cpu and LargeDepthwiseConv2D.suits(layer):
            return LargeDepthwiseConv2D
        if on_cpu and RowsLayerNormalization.suits(layer):
            return RowsLayerNormalization
        return type(layer)

    def faster(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if id(layer) in activations:
            config["activation"] = activations[id(layer)]
        return faster_class(layer).from_config(config)

    ours = keras.models.clone_model(model, clone_function=faster, recursive=True)
    for layer in (*normalizations, *scales):
        ours.get_layer(_before(layer).name).fold(ours.get_layer(layer.name))
    return ours


def _before(layer: layers.Layer) -> keras.Operation:
    return producer(layer.input)


def _activates(layer: layers.Layer, activation: Any) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is activation


def _normalizes_map(layer: layers.Layer) -> bool:
    return type(layer) is layers.BatchNormalization and len(layer.input.shape) == 4


def _feeds_one(operation: keras.Operation, kind: Any) -> bool:
    return type(operation) is kind and num_consumers(operation) == 1


def _can_fold(operation: keras.Operation) -> bool:
    convolves = any(_feeds_one(operation, kind) for kind in (layers.Conv2D, layers.DepthwiseConv2D))
    return convolves and not operation.use_bias and operation.activation is keras.activations.linear


def _can_scale(operation: keras.Operation) -> bool:
    return _feeds_one(operation, layers.Dense) and operation.activation is keras.activations.linear
