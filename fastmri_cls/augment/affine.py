"""The paper's augmentation as one resampling: rotation, shift, shear and zoom in one matrix, then brightness.

Drawing and applying are separate functions. The maths is that of Keras' ImageDataGenerator
(keras/src/legacy/preprocessing/image.py): with ox = W/2 - .5 and oy = H/2 - .5, output pixel (row i, column j) reads
the input at

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
    """The range of each parameter; the defaults are the paper's.

    Attributes:
        rotation: largest angle in degrees, to both sides.
        shift: largest shift as a fraction of height and width.
        shear: largest shear angle in degrees, as in ImageDataGenerator; 0.05 moves nothing visibly.
        zoom: largest relative change of scale.
        brightness: smallest and largest factor.
        flip: mirror half of the images left to right.
    """

    rotation: float = 5.0
    shift: float = 0.05
    shear: float = 0.05
    zoom: float = 0.05
    brightness: tuple[float, float] = (0.9, 1.1)
    flip: bool = False


class AffineParameters(NamedTuple):
    """Parameters of each image, float32 [batch] each, named as in ImageDataGenerator.

    Attributes:
        theta: rotation in radians.
        tx: shift of rows in pixels.
        ty: shift of columns in pixels.
        shear: shear angle in radians.
        zx: factor of columns; negative mirrors.
        zy: factor of rows.
        brightness: factor.
    """

    theta: tf.Tensor
    tx: tf.Tensor
    ty: tf.Tensor
    shear: tf.Tensor
    zx: tf.Tensor
    zy: tf.Tensor
    brightness: tf.Tensor


def draw_affine(seed: tf.Tensor, batch: int | tf.Tensor, size: int, ranges: AffineRanges) -> AffineParameters:
    """Draw the parameters of a batch, a pure function of the arguments; both zooms are drawn independently.

    Args:
        seed: int [2].
        batch: number of images.
        size: height and width of the images in pixels.
        ranges: of the parameters.
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
            (-1.0, 1.0),  # mirrors by its sign
        ]
    )
    # Philox explicitly: `auto_select` draws different numbers on different devices.
    uniform = tf.random.stateless_uniform([batch, 8], seed, alg="philox")
    theta, tx, ty, shear, zx, zy, brightness, side = tf.unstack(
        bounds[:, 0] + uniform * (bounds[:, 1] - bounds[:, 0]), axis=1
    )
    if ranges.flip:
        zx *= tf.sign(side)  # a negative zoom reads the columns from right to left
    return AffineParameters(theta, tx, ty, shear, zx, zy, brightness)


def matrix(p: AffineParameters, height: int, width: int) -> tf.Tensor:
    """Return float32 [batch, 6]: for output column j and row i, column = m0 j + m1 i + m2, row = m3 j + m4 i + m5."""
    cos, sin = tf.cos(p.theta), tf.sin(p.theta)
    ox, oy = width / 2 - 0.5, height / 2 - 0.5
    m0, m1 = p.zx * cos, -p.zy * tf.sin(p.theta + p.shear)
    m3, m4 = p.zx * sin, p.zy * tf.cos(p.theta + p.shear)
    m2 = cos * p.tx - sin * p.ty + ox - m0 * ox - m1 * oy
    m5 = sin * p.tx + cos * p.ty + oy - m3 * ox - m4 * oy
    return tf.stack([m0, m1, m2, m3, m4, m5], axis=1)


def resample_projective(images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Resample by TensorFlow's kernel, which XLA cannot compile.

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
    """Put each pixel and its right neighbour into one word: bilinear sampling then reads two words, not four bytes.

    Args:
        images: uint8 [batch, height, width, channels].

    Returns:
        uint16 [batch * channels, height, width]: one plane a channel resamples twice as fast as interleaved channels.
    """
    _, height, width, _ = images.shape
    left = tf.reshape(tf.cast(tf.transpose(images, [0, 3, 1, 2]), tf.uint16), [-1, height, width])
    right = tf.pad(left[:, :, 1:], [[0, 0], [0, 0], [0, 1]])
    return left | tf.bitwise.left_shift(right, tf.constant(8, tf.uint16))


def resample_pairs(pairs: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Resample by two gathers of `pack_pairs` words, which XLA fuses into one vectorised pass.

    Images/s on a CPU core at 224 px grey (2026-11; `benchmark augment` compares the first and the last):
    17 000; four gathers of bytes 11 000 (of floats 5 000); pairs packed within the same XLA computation, which packs
    them again for every word it reads, 14 000; both rows packed into 32 bits, whose gathered words XLA writes to
    memory, 11 000; TensorFlow's kernel 2 000.

    Args:
        pairs: uint16 [planes, height, width], see `pack_pairs`.
        matrices: float32 [planes, 6], see `matrix`.

    Returns:
        float32 [planes, height, width].
    """
    planes, height, width = pairs.shape
    rows, columns = _coordinates(matrices, height, width)
    # Conversion truncates towards 0, which equals floor for all coordinates used: negative ones are clipped to 0.
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
    """Resample by `matrix` and scale brightness: the whole augmentation except for its draws.

    Args:
        images: uint8 [batch, height, width, channels].
        parameters: of each image.
        compiled: use XLA instead of TensorFlow's kernel; on CPUs it is 8 times faster (`benchmark augment`).

    Returns:
        float32 [batch, height, width, channels], whole levels 0..255.
    """
    if compiled:  # two computations, see `resample_pairs`
        return _move_pairs(_pack_pairs(images), parameters, channels=images.shape[3])
    matrices = matrix(parameters, images.shape[1], images.shape[2])
    return scale_brightness(resample_projective(images, matrices), parameters.brightness)


@tf.function(jit_compile=True, autograph=False)
def _pack_pairs(images: tf.Tensor) -> tf.Tensor:
    return pack_pairs(images)


@tf.function(jit_compile=True, autograph=False)
def _move_pairs(pairs: tf.Tensor, parameters: AffineParameters, channels: int) -> tf.Tensor:
    _, height, width = pairs.shape
    per_plane = AffineParameters(*(tf.repeat(column, channels) for column in parameters))
    moved = resample_pairs(pairs, matrix(per_plane, height, width))
    levels = scale_brightness(moved[..., None], per_plane.brightness)
    return tf.transpose(tf.reshape(levels, [-1, channels, height, width]), [0, 2, 3, 1])


def scale_brightness(images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Multiply float32 [batch, ...] in 0..255 by `factors` [batch], truncating to whole levels before and after."""
    factors = tf.reshape(factors, [-1, 1, 1, 1])
    return tf.floor(tf.minimum(tf.floor(images) * factors, 255.0))


def scale_contrast(images: tf.Tensor, factor: float) -> tf.Tensor:
    """Scale contrast of float32 [batch, height, width, channels] about each image's and channel's mean, unclipped."""
    _, height, width, _ = images.shape
    # A product with ones: on a CPU XLA adds up one number after another (21 us a grey 224 px image, this way 10 us).
    sums = tf.einsum("bijc,ij->bc", images, tf.ones([height, width]))
    mean = sums[:, None, None, :] / (height * width)
    return (images - mean) * factor + mean


def _coordinates(matrices: tf.Tensor, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the rows and columns to read, float32 [batch, height, width] each."""
    j = tf.range(width, dtype=tf.float32)[None, None, :]
    i = tf.range(height, dtype=tf.float32)[None, :, None]
    m = tf.unstack(matrices[:, None, None, :], axis=-1)
    return m[3] * j + (m[4] * i + m[5]), m[0] * j + (m[1] * i + m[2])


def _inside(rows: tf.Tensor, columns: tf.Tensor, height: int, width: int) -> tf.Tensor:
    return (rows >= 0) & (rows <= height - 1) & (columns >= 0) & (columns <= width - 1)
