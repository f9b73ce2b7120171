"""Layers that compute what Keras' own do, in fewer passes over memory; a network trains with them and is saved without.

Measured on two cores with avx512_bf16, a forward pass of 32 images of 224 px in mixed_bfloat16 (float32): DenseNet121
1.7 times as fast (1.15), EfficientNetV2S 1.2 (1.07), ConvNeXt-Tiny about 2 (1.3), beside what backbones.py gained it.
On GPUs it was never run. benchmarks/backbones.py measures it.
"""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


def with_fast_layers(model: keras.Model) -> keras.Model:
    """Return a functional model of the same layers by name and place, faster ones among them, with weights of its own
    in the same order."""
    before_gelu = {
        id(layer.input._keras_history.operation)
        for layer in model.layers
        if _is_gelu(layer) and _feeds_one(layer.input._keras_history.operation)
    }

    def faster(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if type(layer) is layers.BatchNormalization and len(layer.input.shape) == 4:
            return FrozenBatchNormalization.from_config(config)
        if type(layer) is layers.Dense and len(layer.input.shape) == 4:
            gelu_too = id(layer) in before_gelu
            return RowsDense.from_config(config | {"activation": exact_gelu} if gelu_too else config)
        if _is_gelu(layer) and id(layer.input._keras_history.operation) in before_gelu:
            return layers.Activation.from_config(config | {"activation": "linear"})
        return layer.__class__.from_config(config)

    return keras.models.clone_model(model, clone_function=faster)


class FrozenBatchNormalization(layers.BatchNormalization):
    """BatchNormalization of a map [batch, rows, columns, d], in one pass where its statistics do not move.

    Keras 3 casts the map to float32, multiplies, adds and casts back, each a pass of its own.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalise."""
        if training and self.trainable:
            return super().call(inputs, training=training, mask=mask)
        scale = ops.ones_like(self.moving_mean) if self.gamma is None else self.gamma
        offset = ops.zeros_like(self.moving_mean) if self.beta is None else self.beta
        frozen = (ops.stop_gradient(v) for v in (scale, offset, self.moving_mean, self.moving_variance))
        return _normalise(inputs, *frozen, tf.constant(self.epsilon))


@tf.custom_gradient
def _normalise(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, epsilon: tf.Tensor
) -> tuple[tf.Tensor, Any]:
    """(x - mean) scale / sqrt(variance + epsilon) + offset, computed in float32; differentiable in `x` alone.

    TensorFlow's own gradient of the operation would also sum up those of scale and offset, which do not train here, and
    is refused on GPUs where operations have to be deterministic.
    """

    def apply(x: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance + epsilon, epsilon=0.0, is_training=False
        ).y

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        nothing = tf.zeros_like(mean)
        return apply(upstream, nothing, nothing), None, None, None, None, None

    return apply(x, offset, mean), gradient


class RowsDense(layers.Dense):
    """Dense over the last axis of a map [batch, rows, columns, d], as one product of two matrices.

    So TensorFlow finds product, bias and GELU side by side and runs them as one oneDNN kernel; in Keras' own, a reshape
    stands between them.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Multiply, add, activate."""
        rows = super().call(ops.reshape(inputs, (-1, inputs.shape[-1])), training)
        return ops.reshape(rows, (-1, *inputs.shape[1:-1], self.units))


def exact_gelu(x: tf.Tensor) -> tf.Tensor:
    """x Phi(x) by erf, which is vectorised; Keras takes erfc, which is not: a third of ConvNeXt's step."""
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))


def _is_gelu(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.gelu


def _feeds_one(operation: keras.Operation) -> bool:
    return type(operation) is layers.Dense and len(operation._outbound_nodes) == 1
