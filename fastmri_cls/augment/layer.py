"""The fused augmentation as a keras-cv layer, for anybody's model or input pipeline.

Called, the layer draws for itself. The training engine draws by (seed, epoch, step) and only applies
(`augment_images`).
"""

from typing import Any

import keras
import tensorflow as tf
from keras_cv.layers import VectorizedBaseImageAugmentationLayer

from fastmri_cls.augment.affine import AffineParameters, AffineRanges, apply_affine, draw_affine

# keras-cv's base class creates a generator that this layer does not use; without a seed it would take the global one,
# which deterministic operations require to be set.
_UNUSED_SEED = 1


@keras.saving.register_keras_serializable(package="fastmri_cls")
class RandomAffineBrightness(VectorizedBaseImageAugmentationLayer):
    """Rotation, shift, shear, zoom, mirroring and brightness in one resampling; in inference images pass unchanged.

    The ranges are those of Keras' ImageDataGenerator, and the defaults are the paper's. A loaded layer restarts its
    sequence of draws, as Keras' own layers do.

    Example:
        >>> layer = RandomAffineBrightness(rotation=10.0, seed=0)
        >>> layer(images)  # the n-th call draws from (seed, n)

    Args:
        rotation: largest angle in degrees, to both sides.
        shift: largest shift as a fraction of height and width.
        shear: largest shear angle in degrees; 0.05, the paper's, moves nothing visibly.
        zoom: largest relative change of scale, drawn for rows and columns independently.
        brightness: smallest and largest factor.
        flip: mirror half of the images left to right.
        seed: start of the sequence of draws; None for a random one.
        compiled: resample under XLA instead of by TensorFlow's kernel.
        **kwargs: of `keras.layers.Layer`.

    Call arguments:
        inputs: images [batch, height, width, channels] in 0..255, height equal to width; whole levels, or truncated
            to whole levels. Or a dict with `images` and `labels`.
        training: whether to augment; True by default.

    Returns:
        float32 images of the same shape, whole levels 0..255.
    """

    def __init__(
        self,
        rotation: float = AffineRanges.rotation,
        shift: float = AffineRanges.shift,
        shear: float = AffineRanges.shear,
        zoom: float = AffineRanges.zoom,
        brightness: tuple[float, float] = AffineRanges.brightness,
        flip: bool = AffineRanges.flip,
        *,
        seed: int | None = None,
        compiled: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=_UNUSED_SEED, **kwargs)
        low, high = brightness  # a list when it comes from JSON
        self.ranges = AffineRanges(rotation, shift, shear, zoom, (low, high), flip)
        self.seed = seed
        self.compiled = compiled
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = True) -> Any:
        """Augment `inputs` in training, and return them unchanged otherwise."""
        return super().call(inputs) if training else self._ensure_inputs_are_compute_dtype(inputs)

    def get_random_transformation_batch(self, batch_size: tf.Tensor, images: tf.Tensor, **_: Any) -> AffineParameters:
        """Draw the parameters of the next batch."""
        return draw_affine(self.seed_generator.next(), batch_size, images.shape[1], self.ranges)

    def augment_images(self, images: tf.Tensor, transformations: AffineParameters, **_: Any) -> tf.Tensor:
        """Apply `transformations` to images in whole levels 0..255; returns float32, whole levels too."""
        return apply_affine(tf.cast(images, tf.uint8), transformations, compiled=self.compiled)

    def augment_labels(self, labels: tf.Tensor, transformations: AffineParameters, **_: Any) -> tf.Tensor:
        """Return `labels`: no transformation changes a class."""
        return labels

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of the constructor."""
        return {**super().get_config(), **vars(self.ranges), "seed": self.seed, "compiled": self.compiled}
