"""Seeds that are derived from a step's seed, for our own draws and for Keras' augmentation layers.

They are computed on the host: an accelerator draws numbers by seeds that it takes from the host, so a seed on the
device would stop both for a copy back, in every draw.
"""

import keras
import tensorflow as tf

_HOST = "CPU:0"


class KeyedSeeds(keras.random.SeedGenerator):
    """A SeedGenerator whose n-th seed is a pure function of `key` and n.

    Keras' random functions accept only a SeedGenerator. Its own counts draws in a variable, so a step's draws would
    depend on all earlier steps, and a resumed run would draw different numbers.

    Args:
        key: int [2].
    """

    def __init__(self, key: tf.Tensor) -> None:  # not super().__init__(): it would create the variable
        with tf.device(_HOST):
            self._key = tf.cast(key, tf.int32)
        self._draws = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Return the next seed, int32 [2]."""
        self._draws += 1
        return fold_in(self._key, self._draws)


def fold_in(key: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """Return the seed with this number of those that follow from `key`, int [2] each."""
    with tf.device(_HOST):
        return tf.random.experimental.stateless_fold_in(key, number)


def split_key(key: tf.Tensor, count: int) -> list[tf.Tensor]:
    """Return `count` independent seeds that follow from `key`, int [2] each."""
    with tf.device(_HOST):
        return tf.unstack(tf.random.split(key, count, alg="philox"), axis=0)


def draw_integers(key: tf.Tensor, shape: list[int], low: int, high: int) -> tf.Tensor:
    """Draw numbers that the host needs to choose by, int32 of `shape` in low..high - 1."""
    with tf.device(_HOST):
        return tf.random.stateless_uniform(shape, key, low, high, tf.int32, alg="philox")
