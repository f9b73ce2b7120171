"""Dropout and drop-connect by numbers that are drawn outside, for all layers at once; never in a saved model.

training/drops.py draws them. Keras' own layer counts its draws in a variable, so that they would depend on all earlier
steps, and draws by ten operations a layer: EfficientNetV2S has 34 such layers.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import tensorflow as tf
from keras import layers

# Not attributes of the layers: the replicas of a strategy are traced in turns, in threads of their own.
_FACTORS: ContextVar[Mapping["KeyedDropout", tf.Tensor] | None] = ContextVar("factors", default=None)


class KeyedDropout(layers.Dropout):
    """Dropout, or drop-connect (one number for a whole example), that can rest while it is frozen.

    A layer without weights is frozen with those around it. Keras' own draws on, whatever `trainable` is. Outside of
    `given_factors` this layer draws as Keras' does.
    """

    rests_when_frozen = False

    @property
    def draws(self) -> bool:
        """Whether it drops anything in a training step."""
        return self.rate > 0 and (self.trainable or not self.rests_when_frozen)

    @property
    def example_shape(self) -> tuple[int, ...]:
        """The shape of the numbers that an example needs, (1, 1, 1) for drop-connect."""
        sizes = self.input.shape[1:]
        return tuple(
            fixed or size for fixed, size in zip((self.noise_shape or self.input.shape)[1:], sizes, strict=True)
        )

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Drop, unless it rests."""
        given = _FACTORS.get()
        if not (training and self.draws) or given is None:
            return super().call(inputs, training=training and self.draws)
        # A function compiled apart would compute the gradient of what it is given.
        return inputs * tf.reshape(tf.stop_gradient(given[self]), [-1, *self.example_shape])


@contextmanager
def given_factors(factors: Mapping[KeyedDropout, tf.Tensor]) -> Iterator[None]:
    """Let each layer multiply by its factors in what is traced in the block.

    Args:
        factors: [batch, numbers of an example] in the layer's precision: 0 for what is dropped, else 1 / (1 - rate).
    """
    before = _FACTORS.set(factors)
    try:
        yield
    finally:
        _FACTORS.reset(before)
