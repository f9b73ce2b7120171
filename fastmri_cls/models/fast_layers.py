"""Layers that compute the same as Keras' in fewer passes over memory; used in training, never in a saved model.

Measured by benchmarks/backbones.py on two cores with avx512_bf16, a forward pass of 32 images of 224 px in
mixed_bfloat16 (in float32): DenseNet121 1.5 to 1.7 times as fast (1.15), EfficientNetV2S 1.4 (1.1), ConvNeXt-Tiny
about 2 (1.3), in addition to the gain of backbones.py.
"""

import math
import weakref
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from fastmri_cls.foundation.private_api import num_consumers, producer


def with_fast_layers(model: keras.Model) -> keras.Model:
    """Return a functional model with faster layers: the same names and order of layers and weights, fresh weights."""
    before_gelu = {
        id(_before(layer)) for layer in model.layers if _is_gelu(layer) and _feeds_one(_before(layer), layers.Dense)
    }
    before_normalization = {
        id(_before(layer)): layer for layer in model.layers if _normalizes_map(layer) and _can_fold(_before(layer))
    }

    def faster(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if id(layer) in before_normalization:
            return (FoldedConv2D if type(layer) is layers.Conv2D else FoldedDepthwiseConv2D).from_config(config)
        if _normalizes_map(layer):
            return FrozenBatchNormalization.from_config(config)
        if type(layer) is layers.Dense and len(layer.input.shape) == 4:
            gelu_too = id(layer) in before_gelu
            return RowsDense.from_config(config | {"activation": exact_gelu} if gelu_too else config)
        if _is_gelu(layer) and id(_before(layer)) in before_gelu:
            return layers.Activation.from_config(config | {"activation": "linear"})
        return layer.__class__.from_config(config)

    ours = keras.models.clone_model(model, clone_function=faster)
    for normalization in before_normalization.values():
        ours.get_layer(_before(normalization).name).fold(ours.get_layer(normalization.name))
    return ours


class FrozenBatchNormalization(layers.BatchNormalization):
    """BatchNormalization of a map [batch, rows, columns, d] as one fused operation while its statistics are fixed.

    Folded into the preceding convolution it does nothing. Keras 3 casts the map to float32, multiplies, adds and casts
    back, each in a separate pass.
    """

    is_folded = False  # into the preceding convolution

    def uses_batch_statistics(self, training: bool | None) -> bool:
        """Whether it normalises by the statistics of the batch and updates its own."""
        return bool(training and self.trainable)

    def frozen(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return scale, offset, mean and variance, float32 [d] each, without gradients."""
        scale = ops.ones_like(self.moving_mean) if self.gamma is None else self.gamma
        offset = ops.zeros_like(self.moving_mean) if self.beta is None else self.beta
        return tuple(ops.stop_gradient(v) for v in (scale, offset, self.moving_mean, self.moving_variance))

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalise."""
        if self.uses_batch_statistics(training):
            return super().call(inputs, training=training, mask=mask)
        return inputs if self.is_folded else _normalise(inputs, *self.frozen(), tf.constant(self.epsilon))


@tf.custom_gradient
def _normalise(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, epsilon: tf.Tensor
) -> tuple[tf.Tensor, Any]:
    """Return (x - mean) scale / sqrt(variance + epsilon) + offset, computed in float32; only `x` gets a gradient.

    TensorFlow's gradient of the operation would also compute those of scale and offset, which do not train here, and it
    raises an error on GPUs with deterministic operations.
    """

    def apply(x: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance + epsilon, epsilon=0.0, is_training=False
        ).y

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
        nothing = tf.zeros_like(mean)
        return apply(upstream, nothing, nothing), None, None, None, None, None

    return apply(x, offset, mean), gradient


class _Folding:
    """A convolution that includes the following BatchNormalization while that is frozen, by a scaled kernel and a bias.

    Its variables do not change. Its output is then already normalised.
    """

    # A weak reference: an owned layer would change the order of the model's weights.
    _behind: Callable[[], FrozenBatchNormalization | None] = staticmethod(lambda: None)

    def fold(self, normalization: FrozenBatchNormalization) -> None:
        """Include `normalization` from the next trace on."""
        self._behind = weakref.ref(normalization)
        normalization.is_folded = True

    def _folded(
        self, convolve: Callable[[tf.Tensor], tf.Tensor], kernel: tf.Tensor, training: bool | None
    ) -> tf.Tensor:
        normalization = self._behind()
        if normalization is None or normalization.uses_batch_statistics(training):
            return convolve(kernel)
        scale, offset, mean, variance = normalization.frozen()
        factor = scale * ops.rsqrt(variance + normalization.epsilon)
        # Conv2D's kernels are [rows, columns, from, to], DepthwiseConv2D's [rows, columns, d, multiplier].
        per_output = ops.reshape(factor, kernel.shape[-2:] if isinstance(self, layers.DepthwiseConv2D) else (-1,))
        outputs = convolve(ops.cast(ops.cast(kernel, "float32") * per_output, kernel.dtype))
        return tf.nn.bias_add(outputs, ops.cast(offset - mean * factor, outputs.dtype))


class FoldedConv2D(_Folding, layers.Conv2D):
    """Conv2D with the following frozen BatchNormalization."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve and normalise."""
        return self._folded(
            lambda kernel: self.convolution_op(inputs, kernel), ops.convert_to_tensor(self.kernel), training
        )


class FoldedDepthwiseConv2D(_Folding, layers.DepthwiseConv2D):
    """DepthwiseConv2D with the following frozen BatchNormalization."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve and normalise."""

        def convolve(kernel: tf.Tensor) -> tf.Tensor:
            return ops.depthwise_conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

        return self._folded(convolve, ops.convert_to_tensor(self.kernel), training)


class RowsDense(layers.Dense):
    """Dense over the last axis of a map [batch, rows, columns, d], as one product of two matrices.

    TensorFlow then runs product, bias and GELU as one oneDNN kernel; in Keras' own layer a reshape separates them.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Multiply, add, activate."""
        rows = super().call(ops.reshape(inputs, (-1, inputs.shape[-1])), training)
        return ops.reshape(rows, (-1, *inputs.shape[1:-1], self.units))


def exact_gelu(x: tf.Tensor) -> tf.Tensor:
    """Return x Phi(x) by erf, which is vectorised; Keras uses erfc, which is not: a third of ConvNeXt's step."""
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))


def _before(layer: layers.Layer) -> keras.Operation:
    return producer(layer.input)


def _is_gelu(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.gelu


def _normalizes_map(layer: layers.Layer) -> bool:
    return type(layer) is layers.BatchNormalization and len(layer.input.shape) == 4


def _feeds_one(operation: keras.Operation, kind: Any) -> bool:
    return type(operation) is kind and num_consumers(operation) == 1


def _can_fold(operation: keras.Operation) -> bool:
    convolves = any(_feeds_one(operation, kind) for kind in (layers.Conv2D, layers.DepthwiseConv2D))
    return convolves and not operation.use_bias and operation.activation is keras.activations.linear
