"""The policies: pure functions of (batch, seed), right labels and weights where images are mixed."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.mixing import make_mixing
from fastmri_cls.augment.policies import POLICIES, make_augmentation, step_seed
from fastmri_cls.foundation.errors import UserError

pytestmark = pytest.mark.slow

SIZE, COUNT, CLASSES = 48, 8, 4
CHANGING = [name for name in POLICIES if name != "none"]


augmentation = cache(make_augmentation)  # traced once for each shape


def make_batch(channels: int = 1) -> Batch:
    rng = np.random.default_rng(5)
    coarse = rng.uniform(30, 220, (COUNT, 6, 6, channels)).astype(np.float32)
    images = tf.cast(tf.image.resize(coarse, (SIZE, SIZE), "bicubic"), tf.uint8)
    labels = np.arange(COUNT) % CLASSES
    weights = np.array([0.5, 1.0, 2.0, 3.0], np.float32)[labels]
    return Batch(images, tf.one_hot(labels, CLASSES), tf.constant(weights))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", CHANGING)
def test_a_policy_is_a_pure_function_of_the_seed(policy, channels):
    batch = make_batch(channels)
    first, again = (make(policy)(batch, tf.constant([3, 4])) for make in (augmentation, make_augmentation))
    other = augmentation(policy)(batch, tf.constant([3, 5]))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(first.images, other.images)
    assert first.images.dtype == tf.float32
    assert first.images.shape == batch.images.shape
    assert np.min(first.images) >= 0
    assert np.max(first.images) <= 255


def test_a_function_traced_once_draws_anew_for_each_seed():
    for policy in CHANGING:
        augment = augmentation(policy)
        drawn = {augment(make_batch(), tf.constant([0, step])).images.numpy().tobytes() for step in range(6)}
        assert len(drawn) == 6, policy


def test_none_leaves_the_batch_as_it_is():
    batch = make_batch()
    unchanged = make_augmentation("none")(batch, tf.constant([0, 0]))
    np.testing.assert_array_equal(unchanged.images, tf.cast(batch.images, tf.float32))


def test_policies_that_move_pixels_alone_keep_targets_and_weights():
    batch = make_batch()
    for policy in ("paper", "paper+flip", "randaugment", "augmix"):
        augmented = augmentation(policy)(batch, tf.constant([0, 1]))
        np.testing.assert_array_equal(augmented.targets, batch.targets)
        np.testing.assert_array_equal(augmented.weights, batch.weights)


@pytest.mark.parametrize("policy", ["cutmix", "mixup"])
def test_a_mixed_example_costs_both_its_images_losses_by_share_and_class_weight(policy):
    # Images of one level a class: what share of which image an example holds can be read off its mean.
    labels = np.array([0, 1, 0, 1, 0, 1])
    images = np.broadcast_to((labels * 200)[:, None, None, None], (6, SIZE, SIZE, 1)).astype(np.uint8)
    class_weights = np.array([0.5, 3.0], np.float32)
    batch = Batch(tf.constant(images), tf.one_hot(labels, 2), tf.constant(class_weights[labels]))
    mixed = make_mixing(policy)(batch, tf.constant([1, 7]))
    share_of_one = np.mean(mixed.images, axis=(1, 2, 3)) / 200
    assert np.ptp(share_of_one) > 0.05
    probabilities = tf.constant([[0.7, 0.3]] * 6)
    loss = keras.losses.categorical_crossentropy(mixed.targets, probabilities, label_smoothing=0.1) * mixed.weights
    pure = keras.losses.categorical_crossentropy(tf.eye(2), probabilities[:2], label_smoothing=0.1).numpy()
    expected = (1 - share_of_one) * class_weights[0] * pure[0] + share_of_one * class_weights[1] * pure[1]
    np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(np.sum(mixed.targets, axis=1), 1, rtol=1e-5)


def test_contrast_comes_after_the_policy():
    batch, seed = make_batch(), tf.constant([0, 2])
    plain, stretched = (make_augmentation("paper", contrast=c)(batch, seed).images.numpy() for c in (1.0, 1.5))
    np.testing.assert_allclose(stretched, tf.image.adjust_contrast(plain, 1.5), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("seed", [0, 2**31 - 1, 2**31, 2**32 - 1])
def test_the_seed_of_a_step_is_the_same_in_a_graph_and_for_every_seed_of_a_run(seed):
    in_a_graph = tf.function(lambda epoch, step: step_seed(seed, epoch, step))
    eager = step_seed(seed, 3, 4)
    np.testing.assert_array_equal(eager, in_a_graph(tf.constant(3), tf.constant(4)))
    assert eager.shape == (2,)
    assert not np.array_equal(eager, step_seed(seed, 3, 5))


def test_an_unknown_policy_is_named_with_the_known_ones():
    with pytest.raises(UserError, match="--augment cutout: unknown; choose one of none, paper"):
        make_augmentation("cutout")
