"""The paper's augmentation as one resampling: rotation, shift, shear and zoom in one matrix, then brightness.

Draw and apply are apart. The maths is that of Keras' ImageDataGenerator (keras/src/legacy/preprocessing/image.py): with
ox = W/2 - .5 and oy = H/2 - .5, output pixel (row i, column j) reads the input at

    column = zx cos(th) (j-ox) - zy sin(th+s) (i-oy) + cos(th) tx - sin(th) ty + ox
    row    = zx sin(th) (j-ox) + zy cos(th+s) (i-oy) + sin(th) tx + cos(th) ty + oy

bilinearly; a coordinate outside [0, n-1] gives 0. Brightness truncates to whole levels before and after it multiplies.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf


@dataclass(frozen=True)
class AffineRanges:
    """How far each parameter may go; the defaults are the paper's.

    `rotation` and `shear` in degrees (ImageDataGenerator's shear is in degrees too: 0.05 moves nothing one can see),
    `shift` as a fraction of height and width, `zoom` about 1, `brightness` as factors; `flip` adds a mirrored half.
    """

    rotation: float = 5.0
    shift: float = 0.05
    shear: float = 0.05
    zoom: float = 0.05
    brightness: tuple[float, float] = (0.9, 1.1)
    flip: bool = False


class AffineParameters(NamedTuple):
    """One value an image, float32 [batch], by ImageDataGenerator's names: radians, pixels, factors."""

    theta: tf.Tensor
    tx: tf.Tensor
    ty: tf.Tensor
    shear: tf.Tensor
    zx: tf.Tensor
    zy: tf.Tensor
    brightness: tf.Tensor


def draw_affine(seed: tf.Tensor, batch: int | tf.Tensor, size: int, ranges: AffineRanges) -> AffineParameters:
    """Draw the parameters of `batch` images of `size` x `size` pixels, a pure function of `seed` int [2].

    As in ImageDataGenerator both zooms are drawn independently and shear is an angle.
    """
    degree = math.pi / 180
    bounds = tf.constant(
        [
            (-ranges.rotation * degree, ranges.rotation * degree),
            (-ranges.shift * size, ranges.shift * size),
            (-ranges.shift * size, ranges.shift * size),
            (-ranges.shear * degree, ranges.shear * degree),
            (1 - ranges.zoom, 1 + ranges.zoom),
            (1 - ranges.zoom, 1 + ranges.zoom),
            ranges.brightness,
            (-1.0, 1.0),  # its sign mirrors
        ]
    )
    # Philox by name: `auto_select` would draw other numbers on other devices.
    uniform = tf.random.stateless_uniform([batch, 8], seed, alg="philox")
    theta, tx, ty, shear, zx, zy, brightness, side = tf.unstack(
        bounds[:, 0] + uniform * (bounds[:, 1] - bounds[:, 0]), axis=1
    )
    if ranges.flip:
        zx *= tf.sign(side)  # a negative zoom reads the columns from right to left
    return AffineParameters(theta, tx, ty, shear, zx, zy, brightness)


def matrix(p: AffineParameters, height: int, width: int) -> tf.Tensor:
    """Return float32 [batch, 6]: column = m0 j + m1 i + m2 and row = m3 j + m4 i + m5 for output column j and row i."""
    cos, sin = tf.cos(p.theta), tf.sin(p.theta)
    ox, oy = width / 2 - 0.5, height / 2 - 0.5
    m0, m1 = p.zx * cos, -p.zy * tf.sin(p.theta + p.shear)
    m3, m4 = p.zx * sin, p.zy * tf.cos(p.theta + p.shear)
    m2 = cos * p.tx - sin * p.ty + ox - m0 * ox - m1 * oy
    m5 = sin * p.tx + cos * p.ty + oy - m3 * ox - m4 * oy
    return tf.stack([m0, m1, m2, m3, m4, m5], axis=1)


def resample_projective(images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Resample by TensorFlow's own kernel, which XLA cannot compile.

    Args:
        images: uint8 or float32 [batch, height, width, channels].
        matrices: float32 [batch, 6], see `matrix`.

    Returns:
        float32 [batch, height, width, channels].
    """
    _, height, width, _ = images.shape
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.pad(matrices, [[0, 0], [0, 2]]),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    rows, columns = _coordinates(matrices, height, width)
    return tf.where(_inside(rows, columns, height, width)[..., None], moved, 0.0)  # the kernel blends beyond the edge


def pack_pairs(images: tf.Tensor) -> tf.Tensor:
    """Put each pixel and its right neighbour into one word, so that bilinear sampling reads two in place of four bytes.

    Args:
        images: uint8 [batch, height, width, channels].

    Returns:
        uint16 [batch * channels, height, width]: colours as planes, which resample twice as fast as side by side.
    """
    _, height, width, _ = images.shape
    left = tf.reshape(tf.cast(tf.transpose(images, [0, 3, 1, 2]), tf.uint16), [-1, height, width])
    right = tf.pad(left[:, :, 1:], [[0, 0], [0, 0], [0, 1]])
    return left | tf.bitwise.left_shift(right, tf.constant(8, tf.uint16))


def resample_pairs(pairs: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Resample by two gathers of `pack_pairs` words, for XLA, which fuses the whole into one vectorised pass.

    On a CPU core, images/s at 224 px grey: 17 000; four gathers of bytes 11 000 (of floats 5 000); pairs packed within
    the same XLA computation, where they are packed again for every word read, 14 000; both rows packed into 32 bits,
    11 000, since XLA then writes the gathered words to memory; TensorFlow's kernel 2 000 (2026-11; `benchmark augment`
    compares the first and the last).

    Args:
        pairs: uint16 [planes, height, width], see `pack_pairs`. matrices: float32 [planes, 6], see `matrix`.

    Returns:
        float32 [planes, height, width].
    """
    planes, height, width = pairs.shape
    rows, columns = _coordinates(matrices, height, width)
    # Conversion truncates towards 0, which is floor wherever it matters: what is negative is clipped to 0 anyway.
    row = tf.clip_by_value(tf.cast(rows, tf.int32), 0, height - 2)
    column = tf.clip_by_value(tf.cast(columns, tf.int32), 0, width - 2)
    down, right = rows - tf.cast(row, tf.float32), columns - tf.cast(column, tf.float32)
    first = tf.range(planes if planes is not None else tf.shape(pairs)[0])[:, None, None] * (height * width)
    corner = first + row * width + column
    words = tf.reshape(pairs, [-1])

    def between(offset: int) -> tf.Tensor:
        word = tf.cast(tf.gather(words, corner + offset), tf.int32)
        here = tf.cast(tf.bitwise.bitwise_and(word, 255), tf.float32)
        there = tf.cast(tf.bitwise.right_shift(word, 8), tf.float32)
        return here + (there - here) * right

    upper, lower = between(0), between(width)
    return tf.where(_inside(rows, columns, height, width), upper + (lower - upper) * down, 0.0)


def apply_affine(images: tf.Tensor, parameters: AffineParameters, *, compiled: bool) -> tf.Tensor:
    """Resample by `matrix` and scale brightness: the whole augmentation but for its draws.

    Args:
        images: uint8 [batch, height, width, channels].
        compiled: under XLA; else by TensorFlow's kernel. On CPUs XLA is 8 times faster (`benchmark augment`).

    Returns:
        float32 [batch, height, width, channels], whole levels 0..255.
    """
    if compiled:  # two computations: see `resample_pairs`
        return _move_pairs(_pack_pairs(images), parameters, channels=images.shape[3])
    matrices = matrix(parameters, images.shape[1], images.shape[2])
    return scale_brightness(resample_projective(images, matrices), parameters.brightness)


@tf.function(jit_compile=True)
def _pack_pairs(images: tf.Tensor) -> tf.Tensor:
    return pack_pairs(images)


@tf.function(jit_compile=True)
def _move_pairs(pairs: tf.Tensor, parameters: AffineParameters, channels: int) -> tf.Tensor:
    _, height, width = pairs.shape
    of_planes = AffineParameters(*(tf.repeat(column, channels) for column in parameters))
    moved = resample_pairs(pairs, matrix(of_planes, height, width))
    levels = scale_brightness(moved[..., None], of_planes.brightness)
    return tf.transpose(tf.reshape(levels, [-1, channels, height, width]), [0, 2, 3, 1])


def scale_brightness(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiply float32 [batch, ...] in 0..255 by `factors` [batch], truncating to whole levels before and after."""
    factors = tf.reshape(factors, [-1, 1, 1, 1])
    return tf.floor(tf.minimum(tf.floor(images) * factors, 255.0))


def scale_contrast(images: tf.Tensor, factor: float) -> tf.Tensor:
    """Stretch float32 [batch, height, width, channels] about each image's and channel's mean, unclipped."""
    _, height, width, _ = images.shape
    # As a product with ones: XLA's sums go one number after another on a CPU (21 us a grey 224 px image, so 10).
    sums = tf.einsum("bijc,ij->bc", images, tf.ones([height, width]))
    mean = sums[:, None, None, :] / (height * width)
    return (images - mean) * factor + mean


def _coordinates(matrices: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Rows and columns to read, float32 [batch, height, width] each."""
    j = tf.range(width, dtype=tf.float32)[None, None, :]
    i = tf.range(height, dtype=tf.float32)[None, :, None]
    m = tf.unstack(matrices[:, None, None, :], axis=-1)
    return m[3] * j + (m[4] * i + m[5]), m[0] * j + (m[1] * i + m[2])


def _inside(rows: tf.Tensor, columns: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
