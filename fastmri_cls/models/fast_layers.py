"""Layers that compute what Keras' compute in fewer passes over memory, to train and predict; never in a saved model.

Measured by benchmarks/backbones.py on two cores with avx512_bf16, a forward pass of 32 images of 224 px in
mixed_bfloat16 (in float32): DenseNet121 1.5 to 1.7 times as fast (1.15), EfficientNetV2S 1.4 (1.1), ConvNeXt-Tiny
about 2 (1.3), in addition to the gain of backbones.py.

What a frozen layer computes from its weights alone (a kernel in the precision of the step, scaled by the normalization
behind it) `precompute` computes once a phase. On a GPU without XLA that is two thirds of all kernels of a step.
"""

import math
import weakref
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from fastmri_cls.foundation.gpus import visible_gpus
from fastmri_cls.foundation.private_api import all_layers, num_consumers, producer


def with_fast_layers(model: keras.Model) -> keras.Model:
    """Return a functional model with faster layers: the same names and order of layers and weights, fresh weights.

    On a GPU dense layers and GELU stay Keras': there is no oneDNN to join them, and op by op the GELU of `exact_gelu`
    is 3 % wrong in bfloat16 where x is about -2, by cancellation in 1 + erf, while Keras' is .6 % wrong.
    """
    joins_gelu = not visible_gpus()
    before_gelu = {
        id(_before(layer))
        for layer in model.layers
        if joins_gelu and _is_gelu(layer) and _feeds_one(_before(layer), layers.Dense)
    }
    before_normalization = {
        id(_before(layer)): layer for layer in model.layers if _normalizes_map(layer) and _can_fold(_before(layer))
    }

    def faster(layer: layers.Layer) -> layers.Layer:
        config = layer.get_config()
        if id(layer) in before_normalization and type(layer) is layers.DepthwiseConv2D:
            return FoldedDepthwiseConv2D.from_config(config)
        if type(layer) is layers.Conv2D:
            return FoldedConv2D.from_config(config)
        if type(layer) is layers.Dropout:
            return RestingDropout.from_config(config)
        if _normalizes_map(layer):
            return FrozenBatchNormalization.from_config(config)
        if joins_gelu and type(layer) is layers.Dense and len(layer.input.shape) == 4:
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


def precompute(model: keras.Model) -> None:
    """Compute once what frozen convolutions would compute from their weights in every step; not under a strategy.

    Call it before a step is traced, and again whenever weights have changed. Layers that train are left alone.
    """
    for layer in all_layers(model):
        if isinstance(layer, _Folding):
            layer.precompute()


class _Folding:
    """A convolution that includes the following BatchNormalization while that is frozen, by a scaled kernel and a bias.

    Its variables do not change. Its output is then already normalised.
    """

    trainable: bool  # of Keras' layer
    compute_dtype: str  # likewise
    # A weak reference: an owned layer would change the order of the model's weights.
    _behind: Callable[[], FrozenBatchNormalization | None] = staticmethod(lambda: None)
    _kept: tuple[tf.Variable, ...] = ()  # the kernel, and with a normalization the bias, while all of it is frozen

    def fold(self, normalization: FrozenBatchNormalization) -> None:
        """Include `normalization` from the next trace on."""
        self._behind = weakref.ref(normalization)
        normalization.is_folded = True

    def precompute(self) -> None:
        """Keep the kernel, in the precision of the step, and the bias, if both are frozen."""
        normalization = self._behind()
        if self.trainable or (normalization is not None and normalization.trainable):
            values: tuple[tf.Tensor, ...] = ()
        else:
            kernel = ops.cast(self._weight(), self.compute_dtype)
            values = (kernel,) if normalization is None else self._scaled(kernel, normalization)
        if len(values) == len(self._kept):
            for kept, value in zip(self._kept, values, strict=True):
                kept.assign(value)
        else:  # past Keras, which would count them among the weights
            object.__setattr__(self, "_kept", tuple(tf.Variable(value, trainable=False) for value in values))

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


class RestingDropout(layers.Dropout):
    """Dropout, or drop-connect (one number for a whole example), that can rest while it is frozen.

    A layer without weights is frozen with those around it. Keras' own draws on, whatever `trainable` is.
    """

    rests_when_frozen = False

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drop, unless it rests."""
        rests = self.rests_when_frozen and not self.trainable
        return super().call(inputs, training=training and not rests)


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
