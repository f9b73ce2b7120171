"""RandAugment and AugMix built from Keras' single operations, for uint8 or float32 images in 0..255.

Keras' own layers do not serve: its RandAugment computes all eleven operations to keep one, and its AugMix chooses with
Python's `random`, that is once, when the graph is traced. keras-cv's cannot be keyed by the step. As in Keras, one
choice of operations serves the whole batch, while every image draws its own strength.
"""

from collections.abc import Callable

import tensorflow as tf
from keras import layers

from fastmri_cls.augment.keyed import KeyedSeeds, draw_integers, fold_in, split_key

# RandAugment's N = 2 operations at M = 9 of 30 (Cubuk et al. 2020, for ImageNet), of the maxima torchvision lists.
_OPERATIONS_PER_IMAGE = 2
_MAGNITUDE = 9 / 30
_CHAINS, _MAX_DEPTH = 3, 3  # AugMix (Hendrycks et al. 2020): width 3, depth 1 to 3, Dirichlet and Beta of 1
_RANGE = (0, 255)

Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def _operations() -> list[Operation]:
    """Return the operations that both choose from: images float32, key int [2] -> images float32."""
    fill = {"fill_mode": "constant", "fill_value": 0.0, "dtype": "float32"}
    levels = {"value_range": _RANGE, "dtype": "float32"}
    chosen = (
        layers.RandomRotation(30 / 360 * _MAGNITUDE, **fill),
        layers.RandomShear(x_factor=0.3 * _MAGNITUDE, y_factor=0.3 * _MAGNITUDE, **fill),
        layers.RandomTranslation(0.45 * _MAGNITUDE, 0.45 * _MAGNITUDE, **fill),
        layers.RandomBrightness(0.9 * _MAGNITUDE, **levels),
        layers.RandomContrast(0.9 * _MAGNITUDE, **levels),
        layers.RandomSharpness((0.5 - _MAGNITUDE / 2, 0.5 + _MAGNITUDE / 2), **levels),
        layers.RandomPosterization((8 - round(4 * _MAGNITUDE), 8), **levels),
        layers.AutoContrast(**levels),
        layers.Equalization(**levels),
    )
    return [_solarize, *(_keyed(layer) for layer in chosen)]


def _solarize(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """Invert levels above a drawn threshold. Keras' Solarization (3.15) scales only the upper end of its range to 255,
    so it can invert everything."""
    fraction = tf.random.stateless_uniform([images.shape[0], 1, 1, 1], key, 1 - _MAGNITUDE, 1.0, alg="philox")
    return tf.where(images < 255 * fraction, images, 255 - images)


def _keyed(layer: layers.Layer) -> Operation:
    def apply(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        transformation = layer.get_random_transformation(images, training=True, seed=KeyedSeeds(key))
        moved = layer.transform_images(images, transformation, training=True)
        return tf.ensure_shape(tf.clip_by_value(tf.cast(moved, tf.float32), *_RANGE), images.shape)

    return apply


def make_randaugment() -> Operation:
    """Return a function of images and key that applies two operations drawn from ten."""
    random_operation = _choice(_operations())

    def randaugment(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        for number in range(_OPERATIONS_PER_IMAGE):
            images = random_operation(images, fold_in(key, number))
        return images

    return randaugment


def make_augmix() -> Operation:
    """Return a function of images and key that mixes each image with three chains of one to three operations."""
    random_operation = _choice(_operations())

    def augmix(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        images = tf.cast(images, tf.float32)
        chain_key, image_key, depth_key, *step_keys = split_key(key, 3 + _CHAINS * _MAX_DEPTH)
        count = images.shape[0]
        exponential = -tf.math.log(1 - tf.random.stateless_uniform([_CHAINS, count, 1, 1, 1], chain_key, alg="philox"))
        weights = exponential / tf.reduce_sum(exponential, axis=0)  # Dirichlet(1, 1, 1)
        own = tf.random.stateless_uniform([count, 1, 1, 1], image_key, alg="philox")  # Beta(1, 1)
        with tf.device("CPU:0"):
            depths = tf.unstack(draw_integers(depth_key, [_CHAINS], 1, _MAX_DEPTH + 1))
            is_used = [[step < depth for step in range(_MAX_DEPTH)] for depth in depths]
        mixed = own * images
        for chain in range(_CHAINS):
            changed = images
            for step in range(_MAX_DEPTH):
                seed = step_keys[chain * _MAX_DEPTH + step]
                changed = tf.cond(
                    is_used[chain][step],
                    lambda changed=changed, seed=seed: random_operation(changed, seed),
                    lambda changed=changed: changed,
                )
            mixed += (1 - own) * weights[chain] * changed
        return mixed

    return augmix


def _choice(operations: list[Operation]) -> Operation:
    @tf.function(autograph=False)  # traced once, however often the chains call it
    def random_operation(images: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        choice_key, operation_key = split_key(key, 2)
        choice = draw_integers(choice_key, [], 0, len(operations))
        return tf.switch_case(choice, [lambda apply=apply: apply(images, operation_key) for apply in operations])

    return random_operation
