"""Batches of serialized records -> tensors, in TensorFlow; example.py has what a record holds."""

import tensorflow as tf

# libjpeg's accurate integer transform: the same pixels on every machine, equal to Pillow's.
_DCT_METHOD = "INTEGER_ACCURATE"


def parse_images(serialized: tf.Tensor, size: int, channels: int, encoding: str) -> dict[str, tf.Tensor]:
    """Parse images and labels.

    Args:
        serialized: records, string [batch].
        size: height and width of the images in pixels.
        channels: 1 or 3.
        encoding: raw, png or jpeg.

    Returns:
        `image` uint8 [batch, size, size, channels], `label` int64 [batch].
    """
    features = tf.io.parse_example(serialized, _scalars(("image/encoded",), ("image/class/label",)))
    return {
        "image": decode_images(features["image/encoded"], size, channels, encoding),
        "label": features["image/class/label"],
    }


def parse_source(serialized: tf.Tensor) -> tf.Tensor:
    """Return the name of the source, a scalar string, from one serialized record."""
    return tf.io.parse_single_example(serialized, _scalars(("image/source",), ()))["image/source"]


def parse_facts(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parse everything except the pixels: string and int64 tensors of [batch], by feature name without `image/`."""
    names = ("image/source", "image/filename", "image/sha256", "image/class/text")
    features = tf.io.parse_example(serialized, _scalars(names, ("image/class/label", "image/group", "image/clean")))
    return {name.removeprefix("image/"): tensor for name, tensor in features.items()}


def decode_images(encoded: tf.Tensor, size: int, channels: int, encoding: str) -> tf.Tensor:
    """Decode `encoded` string [batch] to uint8 [batch, size, size, channels]."""
    if encoding == "raw":
        pixels = tf.io.decode_raw(encoded, tf.uint8)
    elif encoding == "png":
        pixels = tf.map_fn(lambda one: tf.io.decode_png(one, channels), encoded, fn_output_signature=tf.uint8)
    else:
        pixels = tf.map_fn(
            lambda one: tf.io.decode_jpeg(one, channels, dct_method=_DCT_METHOD), encoded, fn_output_signature=tf.uint8
        )
    return tf.reshape(pixels, [-1, size, size, channels])


def _scalars(strings: tuple[str, ...], integers: tuple[str, ...]) -> dict[str, tf.io.FixedLenFeature]:
    return {name: tf.io.FixedLenFeature([], tf.string) for name in strings} | {
        name: tf.io.FixedLenFeature([], tf.int64) for name in integers
    }
