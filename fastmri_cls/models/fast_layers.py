"""Layers that compute what Keras' own do, in fewer passes over memory; a network trains with them and is saved without.

Measured on two cores with avx512_bf16, a forward pass of 32 images of 224 px in mixed_bfloat16 (float32): DenseNet121
1.5 to 1.7 times as fast (1.15), EfficientNetV2S 1.4 (1.1), ConvNeXt-Tiny about 2 (1.3), beside what backbones.py gained
it. On GPUs it was never run. benchmarks/backbones.py measures it.
"""

import math
import weakref
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops


def with_fast_layers(model: keras.Model) -> keras.Model:
    """Return a functional model of the same layers by name and place, faster ones among them, with weights of its own
    in the same order."""
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
    """BatchNormalization of a map [batch, rows, columns, d], in one pass where its statistics do not move, or in none
    where the convolution before it takes it up.

    Keras 3 casts the map to float32, multiplies, adds and casts back, each a pass of its own.
    """

    is_folded = False  # into the convolution before it

    def moves(self, training: bool | None) -> bool:
        """Whether it normalises by the batch and learns from it."""
        return bool(training and self.trainable)

    def frozen(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return scale, offset, mean and variance, float32 [d], which no gradient reaches."""
        scale = ops.ones_like(self.moving_mean) if self.gamma is None else self.gamma
        offset = ops.zeros_like(self.moving_mean) if self.beta is None else self.beta
        return tuple(ops.stop_gradient(v) for v in (scale, offset, self.moving_mean, self.moving_variance))

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalise."""
        if self.moves(training):
            return super().call(inputs, training=training, mask=mask)
        return inputs if self.is_folded else _normalise(inputs, *self.frozen(), tf.constant(self.epsilon))


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


class _Folding:
    """A convolution that takes up the BatchNormalization behind it while that is frozen: scaled weights, and a bias.

    Its weights stay as they are. What is between the two is then normalised already.
    """

    # Not owned: the model's weights would be another list.
    _behind: Callable[[], FrozenBatchNormalization | None] = staticmethod(lambda: None)

    def fold(self, normalization: FrozenBatchNormalization) -> None:
        """Take `normalization` up, from the next trace on."""
        self._behind = weakref.ref(normalization)
        normalization.is_folded = True

    def _folded(
        self, convolve: Callable[[tf.Tensor], tf.Tensor], kernel: tf.Tensor, training: bool | None
    ) -> tf.Tensor:
        normalization = self._behind()
        if normalization is None or normalization.moves(training):
            return convolve(kernel)
        scale, offset, mean, variance = normalization.frozen()
        factor = scale * ops.rsqrt(variance + normalization.epsilon)
        # Conv2D's kernels are [rows, columns, from, to], DepthwiseConv2D's [rows, columns, d, multiplier].
        of_kernel = ops.reshape(factor, kernel.shape[-2:] if isinstance(self, layers.DepthwiseConv2D) else (-1,))
        outputs = convolve(ops.cast(ops.cast(kernel, "float32") * of_kernel, kernel.dtype))
        return tf.nn.bias_add(outputs, ops.cast(offset - mean * factor, outputs.dtype))


class FoldedConv2D(_Folding, layers.Conv2D):
    """Conv2D and the frozen BatchNormalization behind it as one."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve, and normalise."""
        return self._folded(
            lambda kernel: self.convolution_op(inputs, kernel), ops.convert_to_tensor(self.kernel), training
        )


class FoldedDepthwiseConv2D(_Folding, layers.DepthwiseConv2D):
    """DepthwiseConv2D and the frozen BatchNormalization behind it as one."""

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve, and normalise."""

        def convolve(kernel: tf.Tensor) -> tf.Tensor:
            return ops.depthwise_conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

        return self._folded(convolve, ops.convert_to_tensor(self.kernel), training)


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


def _before(layer: layers.Layer) -> keras.Operation:
    return layer.input._keras_history.operation


def _is_gelu(layer: layers.Layer) -> bool:
    return isinstance(layer, layers.Activation) and layer.activation is keras.activations.gelu


def _normalizes_map(layer: layers.Layer) -> bool:
    return type(layer) is layers.BatchNormalization and len(layer.input.shape) == 4


def _feeds_one(operation: keras.Operation, kind: Any) -> bool:
    return type(operation) is kind and len(operation._outbound_nodes) == 1


def _can_fold(operation: keras.Operation) -> bool:
    convolves = any(_feeds_one(operation, kind) for kind in (layers.Conv2D, layers.DepthwiseConv2D))
    return convolves and not operation.use_bias and operation.activation is keras.activations.linear
