"""Lets Keras' augmentation layers draw from the step's seed instead of a state variable."""

import keras
import tensorflow as tf


class KeyedSeeds(keras.random.SeedGenerator):
    """A SeedGenerator whose n-th seed is a pure function of `key` and n.

    Keras' random functions accept only a SeedGenerator. Its own counts draws in a variable, so a step's draws would
    depend on all earlier steps, and a resumed run would draw different numbers.

    Args:
        key: int [2].
    """

    def __init__(self, key: tf.Tensor) -> None:  # not super().__init__(): it would create the variable
        self._key = tf.cast(key, tf.int32)
        self._draws = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Return the next seed, int32 [2]."""
        self._draws += 1
        return tf.random.experimental.stateless_fold_in(self._key, self._draws)
