"""The random numbers of dropout and drop-connect: one stateless draw a step for all layers, as a function of its seed.

Image i of a batch gets row i of the draw. Each of several replicas draws the rows of the whole batch and takes its own,
so that an image loses the same on any number of replicas.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import WHOLE_BATCH, ReplicaSlice
from fastmri_cls.augment.keyed import fold_in
from fastmri_cls.foundation.private_api import all_layers
from fastmri_cls.models.keyed_dropout import KeyedDropout, given_factors

_NUMBER = 0x64726F70  # of the seed that follows from a step's; far from the small ones of augmentations

Factors = tuple[tf.Tensor, ...]  # one a layer


def drop_seed(seed: tf.Tensor) -> tf.Tensor:
    """Return the seed of `Drops.draw` that follows from a step's seed, int [2] each; to be called outside of XLA."""
    return fold_in(seed, _NUMBER)


class Drops:
    """The layers of some models that drop in a training step, as these are frozen now.

    Args:
        models: of one precision; a layer that several of them share draws once.

    Attributes:
        layers: in the order of their draws.
        widths: how many numbers of an example each layer draws.
    """

    def __init__(self, *models: keras.Model) -> None:
        parts = [layer for model in models for layer in all_layers(model)]
        self.layers = list(dict.fromkeys(one for one in parts if isinstance(one, KeyedDropout) and one.draws))
        self.widths = [math.prod(layer.example_shape) for layer in self.layers]
        self._rates = np.repeat(np.array([layer.rate for layer in self.layers]), self.widths)

    def draw(self, seed: tf.Tensor, batch: int, part: ReplicaSlice = WHOLE_BATCH) -> Factors:
        """Draw for one batch, or for one replica's slice of it.

        Args:
            seed: see `drop_seed`.
            batch: number of images of the slice.
            part: the slice.

        Returns:
            For each layer what it multiplies by, [batch, numbers of an example] in its precision.
        """
        if not self.layers:
            return ()
        shape = [part.num_replicas, batch, len(self._rates)]
        # Philox and integers explicitly: `auto_select` and floats differ between devices, and with XLA.
        words = tf.random.stateless_uniform(shape, seed, None, None, tf.uint32, alg="philox")[part.index]
        kept = tf.constant(1 / (1 - self._rates), self.layers[0].compute_dtype)
        factors = tf.where(words >= (self._rates * 2.0**32).astype(np.uint32), kept, tf.zeros_like(kept))
        return tuple(tf.split(factors, self.widths, axis=1))

    def forward(self, model: keras.Model) -> Callable[[tf.Tensor, Factors], tf.Tensor]:
        """Return a model, or a part of one, as a function of its input and of what its layers multiply by."""

        def forward(inputs: tf.Tensor, factors: Factors) -> tf.Tensor:
            with given_factors(dict(zip(self.layers, factors, strict=True))):
                return model(inputs, training=True)

        return forward
