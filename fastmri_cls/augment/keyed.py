"""Keras' own augmentation layers, drawing from the step's seed in place of a variable of theirs."""

import keras
import tensorflow as tf


class KeyedSeeds(keras.random.SeedGenerator):
    """Hand Keras a new seed at every draw, each a pure function of `key` int [2] and of how many came before.

    Keras' random functions take a SeedGenerator and nothing else; its own counts in a variable, so that what a step
    draws would depend on the steps before it and a resumed run would draw anew.
    """

    def __init__(self, key: tf.Tensor) -> None:  # the variable of the base class is not wanted
        self._key = tf.cast(key, tf.int32)
        self._draws = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Return the next seed, int32 [2]."""
        self._draws += 1
        return tf.random.experimental.stateless_fold_in(self._key, self._draws)
