"""What a layer computes from its weights alone, kept for as long as they are frozen."""

import keras
import tensorflow as tf

from fastmri_cls.foundation.private_api import all_layers


class KeepsFrozenValues:
    """A layer that can compute something from its weights once a phase instead of in every step."""

    _kept: tuple[tf.Variable, ...] = ()  # `_frozen_values`, while the weights are frozen

    def precompute(self) -> None:
        """Keep what follows from the weights, if they are frozen."""
        values = self._frozen_values()
        if len(values) == len(self._kept):
            for kept, value in zip(self._kept, values, strict=True):
                kept.assign(value)
        else:  # past Keras, which would count them among the weights
            object.__setattr__(self, "_kept", tuple(tf.Variable(value, trainable=False) for value in values))

    def _frozen_values(self) -> tuple[tf.Tensor, ...]:
        """Return what to keep; nothing unless all the weights that it follows from are frozen."""
        raise NotImplementedError


def precompute(model: keras.Model) -> None:
    """Compute once what frozen layers would compute from their weights in every step; not under a strategy.

    Call it before a step is traced, and again whenever weights have changed. Layers that train are left alone.
    """
    for layer in all_layers(model):
        if isinstance(layer, KeepsFrozenValues):
            layer.precompute()
