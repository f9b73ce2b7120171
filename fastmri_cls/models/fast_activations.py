"""Activations of layers that train: XLA makes the gradient of swish, GELU and its gradient one pass over memory each.

TensorFlow computes the gradient of swish in six passes and GELU with its gradient in more than ten. On a map of
[1568, 3072] in bfloat16, two cores with avx512_bf16: swish's gradient 10.8 ms -> 3.3 ms, GELU and its gradient
13.4 ms -> 6.4 ms. What XLA compiles is computed in float32; each size of a map takes .05 s to compile.
"""

import math
from collections.abc import Callable

import tensorflow as tf

Gradient = Callable[[tf.Tensor], tf.Tensor]


@tf.custom_gradient
def swish(x: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """Return x sigmoid(x), forwards as TensorFlow computes it: oneDNN has that as one operation."""
    return x * tf.sigmoid(x), lambda upstream: _swish_gradient(x, upstream)


@tf.custom_gradient
def gelu(x: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
    """Return x Phi(x), with the distribution function Phi of the standard normal distribution."""
    return _gelu(x), lambda upstream: _gelu_gradient(x, upstream)


def _compiled(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Let XLA compile a function of numbers in float32; it gets and returns maps in the precision of the first."""

    def converted(*arguments: tf.Tensor) -> tf.Tensor:
        return tf.cast(function(*(tf.cast(argument, tf.float32) for argument in arguments)), arguments[0].dtype)

    # Of one dimension and any length: traced once a precision, and compiled once a length.
    compiled = tf.function(converted, jit_compile=True, autograph=False, reduce_retracing=True)

    def call(*maps: tf.Tensor) -> tf.Tensor:
        result = tf.reshape(compiled(*(tf.reshape(one, [-1]) for one in maps)), tf.shape(maps[0]))
        return tf.ensure_shape(result, maps[0].shape)

    return call


@_compiled
def _swish_gradient(x: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    sigmoid = tf.sigmoid(x)
    return upstream * sigmoid * (1.0 + x * (1.0 - sigmoid))


@_compiled
def _gelu(x: tf.Tensor) -> tf.Tensor:
    return x * _phi(x)


@_compiled
def _gelu_gradient(x: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
    density = tf.exp(-0.5 * x * x) / math.sqrt(2.0 * math.pi)
    return upstream * (_phi(x) + x * density)


def _phi(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * (1.0 + tf.math.erf(x * math.sqrt(0.5)))
