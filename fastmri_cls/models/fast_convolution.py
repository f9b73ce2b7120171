"""Convolutions with the frozen BatchNormalization behind them in one operation, and large depthwise ones that train.

The normalization becomes a factor for each channel of the kernel and a bias.
"""

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.lib.stride_tricks import sliding_window_view

from fastmri_cls.models.frozen_values import KeepsFrozenValues


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
        return inputs if self.is_folded else _normalise(inputs, *self.frozen(), self.epsilon)


def _normalise(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, epsilon: float
) -> tf.Tensor:
    """Return (x - mean) scale / sqrt(variance + epsilon) + offset, computed in float32; only `x` gets a gradient.

    TensorFlow's gradient of the operation would also compute those of scale and offset, which do not train here, and it
    raises an error on GPUs with deterministic operations.
    """

    def apply(x: tf.Tensor, offset: tf.Tensor, mean: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=epsilon, is_training=False
        ).y

    @tf.custom_gradient
    def normalise(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        nothing = tf.zeros_like(mean)
        return apply(x, offset, mean), lambda upstream: apply(upstream, nothing, nothing)

    return normalise(x)


class _Folding(KeepsFrozenValues):
    """A convolution that includes the following BatchNormalization while that is frozen, by a scaled kernel and a bias.

    Its variables do not change. Its output is then already normalised.
    """

    trainable: bool  # of Keras' layer
    compute_dtype: str  # likewise
    # A weak reference: an owned layer would change the order of the model's weights.
    _behind: Callable[[], FrozenBatchNormalization | None] = staticmethod(lambda: None)

    def fold(self, normalization: FrozenBatchNormalization) -> None:
        """Include `normalization` from the next trace on."""
        self._behind = weakref.ref(normalization)
        normalization.is_folded = True

    def _frozen_values(self) -> tuple[tf.Tensor, ...]:
        """Return the kernel in the precision of the step, and with a normalization the bias, if both are frozen."""
        normalization = self._behind()
        if self.trainable or (normalization is not None and normalization.trainable):
            return ()
        kernel = ops.cast(self._weight(), self.compute_dtype)
        return (kernel,) if normalization is None else self._scaled(kernel, normalization)

    def _weight(self) -> tf.Tensor:
        """Return the kernel as it is trained."""
        raise NotImplementedError

    def _scaled(self, kernel: tf.Tensor, normalization: FrozenBatchNormalization) -> tuple[tf.Tensor, tf.Tensor]:
        scale, offset, mean, variance = normalization.frozen()
        factor = scale * ops.rsqrt(variance + normalization.epsilon)
        # Conv2D's kernels are [rows, columns, from, to], DepthwiseConv2D's [rows, columns, d, multiplier].
        per_output = ops.reshape(factor, kernel.shape[-2:] if isinstance(self, layers.DepthwiseConv2D) else (-1,))
        scaled = ops.cast(ops.cast(kernel, "float32") * per_output, kernel.dtype)
        return scaled, ops.cast(offset - mean * factor, self.compute_dtype)

    def _folds(self, training: bool | None) -> bool:
        normalization = self._behind()
        return normalization is not None and not normalization.uses_batch_statistics(training)

    def _folded(self, convolve: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
        normalization = self._behind()
        assert normalization is not None
        kernel, bias = self._kept or self._scaled(ops.convert_to_tensor(self._weight()), normalization)
        return tf.nn.bias_add(convolve(tf.convert_to_tensor(kernel)), tf.convert_to_tensor(bias))


class FoldedConv2D(_Folding, layers.Conv2D):
    """Conv2D with the following frozen BatchNormalization, if there is one."""

    @property
    def kernel(self) -> Any:
        """The kernel that is convolved with: the trained one, or what is kept of a frozen one."""
        return self._kept[0] if self._kept else self._kernel

    def _weight(self) -> tf.Tensor:
        return self._kernel

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve and normalise."""
        if not self._folds(training):
            return super().call(inputs)
        return self._folded(lambda kernel: self.convolution_op(inputs, kernel))


class FoldedDepthwiseConv2D(_Folding, layers.DepthwiseConv2D):
    """DepthwiseConv2D with the following frozen BatchNormalization."""

    def _weight(self) -> tf.Tensor:
        return self.kernel

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve and normalise."""
        if not self._folds(training):
            return super().call(inputs)

        def convolve(kernel: tf.Tensor) -> tf.Tensor:
            return ops.depthwise_conv(inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)

        return self._folded(convolve)


class LargeDepthwiseConv2D(layers.DepthwiseConv2D):
    """DepthwiseConv2D with a faster gradient of its kernel in bfloat16, where oneDNN's takes a third of a block's time.

    For kernels of 5 x 5 or more; with a stride of 1, padding "same" and one output a channel.
    """

    @staticmethod
    def suits(layer: layers.Layer) -> bool:
        """Whether `layer` is such a convolution."""
        return (
            type(layer) is layers.DepthwiseConv2D
            and min(layer.kernel_size) >= 5
            and layer.strides == layer.dilation_rate == (1, 1)
            and layer.padding == "same"
            and layer.depth_multiplier == 1
            and layer.compute_dtype == "bfloat16"
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Convolve."""
        if not self.trainable:
            return super().call(inputs)
        mapped = _depthwise(inputs, tf.cast(self.kernel, inputs.dtype))
        if self.use_bias:
            mapped = tf.nn.bias_add(mapped, tf.cast(self.bias, inputs.dtype))
        return self.activation(mapped)


@tf.custom_gradient
def _depthwise(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """Convolve each channel of `x`, [batch, rows, columns, d], with its kernel of `kernel`, [rows, columns, d, 1]."""
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        by_x = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=tf.shape(x), filter=kernel, out_backprop=upstream, **options
        )
        if x.shape[1] * x.shape[2] <= _SMALL_MAP:
            return by_x, _kernel_gradient(x, upstream, kernel.shape[:2])
        by_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=tf.cast(x, tf.float32),
            filter_sizes=kernel.shape,
            out_backprop=tf.cast(upstream, tf.float32),
            **options,
        )
        return by_x, tf.cast(by_kernel, kernel.dtype)

    return tf.raw_ops.DepthwiseConv2dNative(input=x, filter=kernel, **options), gradient


# Places; on more, the product of all pairs costs more than the sums of those that a kernel joins.
_SMALL_MAP = 64


def _kernel_gradient(x: tf.Tensor, upstream: tf.Tensor, size: tf.TensorShape) -> tf.Tensor:
    """Return the gradient of a depthwise kernel by one product of matrices a channel.

    It multiplies each place of the padded map with each place of the result, summed over the batch. An element of the
    kernel is the sum over the places of the result, each with the place of the map that this element joins it to.
    """
    rows, columns, channels = x.shape[1:]
    around = [[0, 0], *([(n - 1) // 2, n // 2] for n in size), [0, 0]]
    padded = tf.pad(x, around)
    places = np.arange(padded.shape[1] * padded.shape[2]).reshape(padded.shape[1:3])
    joined = sliding_window_view(places, (rows, columns)).reshape(-1, rows * columns)
    pairs = joined * (rows * columns) + np.arange(rows * columns)
    # A product with ones and zeros sums the chosen pairs; gathering them takes three times as long.
    chosen = np.zeros((places.size * rows * columns, len(pairs)), np.float32)
    np.put_along_axis(chosen, pairs.T, 1.0, axis=0)
    by_channel = tf.transpose(tf.reshape(padded, (-1, places.size, channels)), (2, 1, 0))
    products = by_channel @ tf.transpose(tf.reshape(upstream, (-1, rows * columns, channels)), (2, 0, 1))
    sums = tf.reshape(products, (channels, -1)) @ tf.constant(chosen, x.dtype)
    return tf.reshape(tf.transpose(sums), (*size, channels, 1))
