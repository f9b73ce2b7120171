"""The record of one image as a `tf.train.Example`, and parsers of batches of serialized records.

Raw encoding is row-major uint8. The feature names follow TensorFlow's image conventions (`image/encoded`, ...).
"""

from dataclasses import dataclass

import tensorflow as tf

# libjpeg's accurate integer transform: the same pixels on every machine, equal to Pillow's.
_DCT_METHOD = "INTEGER_ACCURATE"


@dataclass(frozen=True)
class Example:
    """One record: the stored image and its facts.

    Attributes:
        encoded: the pixels, uint8 [size, size, channels], in `format`.
        format: raw, png or jpeg.
        size: height and width in pixels.
        channels: 1 (grey) or 3 (RGB).
        label: index into the dataset's classes.
        class_name: name of the class.
        source: name of the source.
        filename: path relative to the source's folder.
        sha256: hash of the decoded source pixels.
        group: images with the same number are duplicates of each other or belong to one patient.
        clean: whether no training or validation image is in the group.
    """

    encoded: bytes
    format: str
    size: int
    channels: int
    label: int
    class_name: str
    source: str
    filename: str
    sha256: str
    group: int
    clean: bool

    def serialize(self) -> bytes:
        """Return the record as a serialized `tf.train.Example`."""
        features = {
            "image/encoded": _bytes(self.encoded),
            "image/format": _bytes(self.format.encode()),
            "image/height": _int64(self.size),
            "image/width": _int64(self.size),
            "image/channels": _int64(self.channels),
            "image/class/label": _int64(self.label),
            "image/class/text": _bytes(self.class_name.encode()),
            "image/source": _bytes(self.source.encode()),
            "image/filename": _bytes(self.filename.encode()),
            "image/sha256": _bytes(self.sha256.encode()),
            "image/group": _int64(self.group),
            "image/clean": _int64(int(self.clean)),
        }
        message = tf.train.Example(features=tf.train.Features(feature=features))
        # Protocol buffers promise no order for maps; deterministic serialization makes equal inputs equal bytes.
        serialized: bytes = message.SerializeToString(deterministic=True)
        return serialized


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


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def _int64(value: int) -> tf.train.Feature:
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
