"""Layers over the channels of each place of a map, computed as rows of one matrix: what ConvNeXt consists of.

Frozen ones are written as a pattern of operations that TensorFlow's graph optimizer (Grappler) replaces by one oneDNN
kernel.
"""

import math
import weakref
from collections.abc import Callable

import tensorflow as tf
from keras import layers, ops

from fastmri_cls.foundation.private_api import LayerScale
from fastmri_cls.models.fast_activations import gelu
from fastmri_cls.models.fast_convolution import FoldedConv2D
from fastmri_cls.models.frozen_values import KeepsFrozenValues


class RowsDense(KeepsFrozenValues, layers.Dense):
    """Dense over the last axis of a map [batch, rows, columns, d], with the following LayerScale while both are frozen.

    While it is frozen, TensorFlow runs product, bias and GELU as one oneDNN kernel; in Keras' own layer a reshape
    separates them.
    """

    # A weak reference: an owned layer would change the order of the model's weights.
    _behind: Callable[[], LayerScale | None] = staticmethod(lambda: None)

    def fold(self, scale: "FoldedLayerScale") -> None:
        """Include `scale` while both are frozen and `precompute` was called."""
        self._behind = weakref.ref(scale)
        scale.before = weakref.ref(self)

    @property
    def is_kept(self) -> bool:
        """Whether it computes with kept values, which include the following LayerScale."""
        return bool(self._kept)

    def _frozen_values(self) -> tuple[tf.Tensor, ...]:
        """Return kernel and bias, scaled, in the precision of the step."""
        scale = self._behind()
        if self.trainable or (scale is not None and scale.trainable):
            return ()
        factor = 1.0 if scale is None else ops.convert_to_tensor(scale.gamma)
        bias = ops.zeros(self.units) if self.bias is None else self.bias
        return tuple(ops.cast(value * factor, self.compute_dtype) for value in (self._kernel, bias))

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Multiply, add, activate."""
        rows = tf.reshape(inputs, (-1, inputs.shape[-1]))
        if self._kept:
            kernel, bias = (tf.convert_to_tensor(value) for value in self._kept)
            activation = onednn_gelu if self.activation is gelu else self.activation
            rows = activation(tf.nn.bias_add(tf.matmul(rows, kernel), bias))
        else:
            rows = super().call(rows, training)
        return tf.reshape(rows, (-1, *inputs.shape[1:-1], self.units))


class FoldedLayerScale(LayerScale):
    """A factor for each channel, unless the Dense before it includes it."""

    before: Callable[[], RowsDense | None] = staticmethod(lambda: None)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Multiply."""
        dense = self.before()
        return x if dense is not None and dense.is_kept else super().call(x)


class PatchConv2D(FoldedConv2D):
    """Conv2D over patches that do not overlap, as a product of matrices while it trains.

    ConvNeXt-Tiny's last downsampling with its gradients, 32 images, mixed_bfloat16, two cores with avx512_bf16:
    54 ms -> 21 ms.
    """

    @staticmethod
    def suits(layer: layers.Layer) -> bool:
        """Whether `layer` is such a convolution, of square patches that cover its input."""
        if type(layer) is not layers.Conv2D or layer.groups != 1 or layer.data_format != "channels_last":
            return False
        rows, columns = layer.kernel_size
        covers = all(size is not None and size % rows == 0 for size in layer.input.shape[1:3])
        return covers and rows == columns > 1 and layer.strides == layer.kernel_size

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Convolve."""
        if not self.trainable or self._folds(training):
            return super().call(inputs, training)
        patches = tf.nn.space_to_depth(inputs, self.kernel_size[0])
        kernel = tf.reshape(tf.cast(self._kernel, inputs.dtype), (-1, self.filters))
        rows = tf.reshape(patches, (-1, kernel.shape[0])) @ kernel
        if self.use_bias:
            rows = tf.nn.bias_add(rows, tf.cast(self.bias, inputs.dtype))
        return self.activation(tf.reshape(rows, (-1, *patches.shape[1:3], self.filters)))


class RowsLayerNormalization(layers.LayerNormalization):
    """LayerNormalization over the last axis of a map [batch, rows, columns, d], in one pass while it is frozen.

    It is written as the operations that TensorFlow replaces by one oneDNN kernel, `_MklLayerNorm`: each row is a
    channel of a batch normalization in training. Without oneDNN they compute the same, no faster than Keras does.
    Statistics are float32 in every precision.
    """

    @staticmethod
    def suits(layer: layers.Layer) -> bool:
        """Whether `layer` is one that this class can compute."""
        return (
            type(layer) is layers.LayerNormalization
            and len(layer.input.shape) == 4
            and layer.axis in (-1, 3, [3], [-1])
            and layer.scale
            and layer.center
            and not layer.rms_scaling
            and layer.compute_dtype in ("float32", "bfloat16")
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Normalise."""
        if self.trainable:
            return super().call(inputs)
        rows = _not_merged(tf.reshape(inputs, (-1, inputs.shape[-1])))
        count = _not_merged(tf.shape(rows)[0])
        unused = tf.constant([], tf.float32)
        normalised = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(rows, tf.stack([1, count, inputs.shape[-1], 1])),
            scale=tf.fill(count[None], 1.0),
            offset=tf.fill(count[None], 0.0),
            mean=unused,
            variance=unused,
            epsilon=self.epsilon,
            data_format="NCHW",
            is_training=True,
        ).y
        scaled = tf.reshape(normalised, tf.shape(rows)) * tf.cast(self.gamma, inputs.dtype)
        return tf.reshape(scaled + tf.cast(self.beta, inputs.dtype), (-1, *inputs.shape[1:]))


def _not_merged(value: tf.Tensor) -> tf.Tensor:
    """Return `value` by an operation that Grappler does not simplify.

    It would otherwise join two reshapes, fold constants and share equal ones between layers, and then not find the
    pattern of a layer normalization. A placeholder costs nothing when it runs.
    """
    return tf.raw_ops.PlaceholderWithDefault(input=value, shape=value.shape)


def onednn_gelu(x: tf.Tensor) -> tf.Tensor:
    """Return x Phi(x) as oneDNN's kernel has it, by erf; Keras uses erfc, which is not vectorised."""
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))
