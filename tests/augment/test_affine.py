"""The fused affine against Keras' own ImageDataGenerator, parameter by parameter and pixel by pixel."""

import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.preprocessing.image import ImageDataGenerator
from scipy import stats

from fastmri_cls.augment.affine import (
    AffineParameters,
    AffineRanges,
    draw_affine,
    matrix,
    pack_pairs,
    resample_pairs,
    resample_projective,
    scale_contrast,
)
from fastmri_cls.augment.layer import RandomAffineBrightness

SIZE = 96
PAPER = {
    "rotation_range": 5,
    "width_shift_range": 0.05,
    "height_shift_range": 0.05,
    "shear_range": 0.05,
    "zoom_range": 0.05,
    "brightness_range": (0.9, 1.1),
    "fill_mode": "constant",
    "cval": 0,
}


def smooth_images(n: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.uniform(20, 255, (n, 12, 12, channels)).astype(np.float32)
    return tf.cast(tf.image.resize(coarse, (SIZE, SIZE), "bicubic"), tf.uint8).numpy()


def generator_parameters(generator: ImageDataGenerator, n: int) -> list[dict]:
    np.random.seed(1)
    return [generator.get_random_transform((SIZE, SIZE, 1)) for _ in range(n)]


def as_tensors(transforms: list[dict]) -> AffineParameters:
    def column(name: str, scale: float = 1.0) -> tf.Tensor:
        return tf.constant([t[name] * scale for t in transforms], tf.float32)

    degree = np.pi / 180
    mirrored = tf.constant([-1.0 if t["flip_horizontal"] else 1.0 for t in transforms])
    return AffineParameters(
        column("theta", degree), column("tx"), column("ty"), column("shear", degree),
        column("zx") * mirrored, column("zy"), column("brightness"),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [True, False], ids=["pairs", "projective"])
@pytest.mark.parametrize("ranges", ["paper", "wide, flipped"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_same_parameters_give_image_data_generators_pixels(compiled, ranges, channels):
    wide = {
        "rotation_range": 40,
        "shear_range": 20,
        "zoom_range": 0.4,
        "width_shift_range": 0.3,
        "horizontal_flip": True,
    }
    generator = ImageDataGenerator(**(PAPER if ranges == "paper" else PAPER | wide))
    transforms = generator_parameters(generator, 16)
    images = smooth_images(16, channels)
    theirs = np.stack(
        [generator.apply_transform(x.astype(np.float32), t) for x, t in zip(images, transforms, strict=True)]
    )
    layer = RandomAffineBrightness(seed=0, compiled=compiled)
    apply = tf.function(layer.augment_images, jit_compile=compiled)
    ours = apply(tf.constant(images), as_tensors(transforms)).numpy()

    difference = np.abs(ours - theirs)
    # The rim rule included: only pixels whose coordinate rounds to the other side of the very edge may differ by more.
    assert np.mean(difference > 1) < 2e-4
    assert np.mean(difference == 0) > 0.97


def test_both_resampling_methods_agree():
    images = tf.constant(smooth_images(8, 1))
    matrices = matrix(draw_affine([0, 1], 8, SIZE, AffineRanges(rotation=30, shift=0.2)), SIZE, SIZE)
    np.testing.assert_allclose(
        resample_pairs(pack_pairs(images), matrices)[..., None], resample_projective(images, matrices), atol=0.01
    )


def test_drawn_parameters_have_image_data_generators_distributions():
    n = 3000
    theirs = as_tensors(generator_parameters(ImageDataGenerator(**PAPER), n))
    ours = draw_affine([3, 0], n, SIZE, AffineRanges())
    for name in AffineParameters._fields:
        result = stats.ks_2samp(getattr(ours, name).numpy(), getattr(theirs, name).numpy())
        assert result.pvalue > 1e-3, name
    correlations = np.corrcoef([column.numpy() for column in ours]) - np.eye(len(ours))
    assert np.abs(correlations).max() < 0.08  # 4.4 standard errors: the parameters are independent


def test_draws_depend_on_the_seed_alone():
    first, again, other = (draw_affine(seed, 5, SIZE, AffineRanges()) for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(first.theta, again.theta)
    assert not np.array_equal(first.theta, other.theta)


def test_flipping_mirrors_about_half_of_the_images():
    drawn = draw_affine([0, 0], 1000, SIZE, AffineRanges(flip=True))
    assert 0.4 < np.mean(drawn.zx.numpy() < 0) < 0.6
    assert np.all(draw_affine([0, 0], 1000, SIZE, AffineRanges()).zx.numpy() > 0)


def test_contrast_is_stretched_about_each_channels_mean():
    images = tf.cast(smooth_images(2, 3), tf.float32)
    np.testing.assert_allclose(scale_contrast(images, 1.5), tf.image.adjust_contrast(images, 1.5), rtol=1e-4, atol=1e-2)
