"""Image files -> the classifier's pixels inside a graph: what TensorFlow Serving runs on the bytes a client sends.

It does what sources/decode.py does, with TensorFlow's ops: JPEG by the accurate integer transform, transparency on
black, luma by ITU-R 601, resizing by the same kernel. A pixel differs from Pillow's, which calculates with whole
numbers, by at most PIXEL_TOLERANCE levels. Not read here: EXIF orientation, DICOM, 16 bits (cut to 8, not stretched).
"""

import tensorflow as tf

PIXEL_TOLERANCE = 1

_METHODS = {"bilinear": "bilinear", "nearest": "nearest", "lanczos": "lanczos3"}
_LUMA = (0.299, 0.587, 0.114)


def decode_files(files: tf.Tensor, size: int, channels: int, resize: str) -> tf.Tensor:
    """Return float32 [batch, size, size, channels] in whole levels for the bytes of JPEG, PNG, BMP or GIF `files`."""

    def decode_one(file: tf.Tensor) -> tf.Tensor:
        pixels = _in_channels(_decode(file), channels)
        # Rows first, and whole levels between the two passes, as Pillow does.
        narrowed = _resize(pixels, (tf.shape(pixels)[0], size), resize)
        return tf.ensure_shape(_resize(narrowed, (size, size), resize), (size, size, channels))

    return tf.map_fn(decode_one, files, fn_output_signature=tf.TensorSpec((size, size, channels), tf.float32))


def _resize(pixels: tf.Tensor, shape: tuple[tf.Tensor | int, int], resize: str) -> tf.Tensor:
    resized = tf.image.resize(pixels, shape, _METHODS[resize], antialias=resize != "nearest")
    return tf.clip_by_value(tf.round(resized), 0, 255)


def _decode(file: tf.Tensor) -> tf.Tensor:
    """Return float32 [height, width, 3] with transparent pixels on black."""
    pixels = tf.cond(
        tf.io.is_jpeg(file),
        lambda: tf.io.decode_jpeg(file, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(file, expand_animations=False),
    )
    pixels = tf.cast(pixels, tf.float32)
    count = tf.shape(pixels)[-1]  # grey, grey and alpha, RGB, RGBA
    colours = tf.cond(count < 3, lambda: tf.repeat(pixels[..., :1], 3, axis=-1), lambda: pixels[..., :3])
    return tf.cond(count % 2 == 0, lambda: tf.round(colours * pixels[..., -1:] / 255), lambda: colours)


def _in_channels(pixels: tf.Tensor, channels: int) -> tf.Tensor:
    """Return [height, width, channels]: a dataset of three channels keeps every colour."""
    return pixels if channels == 3 else tf.floor(tf.tensordot(pixels, _LUMA, 1)[..., None] + 0.5)
