"""`Dataset.batches`: what Keras' fit, evaluate and predict get, beside the stored records and the engine's batches."""

from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.batches import TrainingBatches

pytestmark = pytest.mark.slow

Epoch = list[tuple[np.ndarray, np.ndarray]]


@pytest.fixture(scope="module")
def opened(dataset) -> Dataset:
    return Dataset(dataset)


def epoch_of(batches: tf.data.Dataset) -> Epoch:
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def assert_same(one: Epoch, other: Epoch) -> None:
    assert len(one) == len(other)
    for (images, labels), (other_images, other_labels) in zip(one, other, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


class Recorder(keras.layers.Layer):
    """Hands its input on and keeps it, by `training`."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[bool, list[np.ndarray]] = {True: [], False: []}

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        if tf.executing_eagerly():  # not when Keras infers shapes
            self.seen[training].append(images.numpy())
        return images

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape


def small_model(recorder: Recorder) -> keras.Model:
    keras.utils.set_random_seed(0)
    layers = [recorder, keras.layers.AveragePooling2D(8), keras.layers.Flatten(), keras.layers.Dense(4, "softmax")]
    model = keras.Sequential([keras.layers.Rescaling(1 / 255), *layers])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    return model


def test_fit_sees_a_new_epoch_of_all_images_in_every_epoch(opened):
    recorder = Recorder()
    batches = opened.batches("train", 16, augment="paper", seed=3)
    history = small_model(recorder).fit(batches, validation_data=opened.batches("val"), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    seen = np.concatenate(recorder.seen[True]) * 255
    again = opened.batches("train", 16, augment="paper", seed=3)
    expected = [np.concatenate([images for images, _ in epoch_of(again)]) for _ in range(2)]
    assert len(seen) == 2 * opened.count("train")
    np.testing.assert_allclose(seen, np.concatenate(expected), atol=1e-3)
    validated = np.concatenate(recorder.seen[False]) * 255
    stored = np.concatenate([images for images, _ in opened.records("val")])
    np.testing.assert_allclose(validated, np.concatenate([stored, stored]), atol=1e-3)


def test_evaluate_and_predict_keep_the_order_written(opened):
    model = small_model(Recorder())
    batches = opened.batches("val", 16)
    predicted = model.predict(batches, verbose=0)
    right = predicted.argmax(axis=1) == opened.facts("val").labels
    assert model.evaluate(batches, verbose=0, return_dict=True)["accuracy"] == pytest.approx(right.mean())


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_every_epoch_holds_every_image_once_in_its_own_order(opened, cache):
    stored = [image.tobytes() for images, _ in opened.records("train") for image in images]
    labels = dict(zip(stored, opened.facts("train").labels.tolist(), strict=True))
    batches = opened.batches("train", 16, cache=cache)
    assert len(batches) == -(-len(stored) // 16)
    orders = []
    for _ in range(3):
        epoch = epoch_of(batches)
        shown = [image.astype(np.uint8).tobytes() for images, _ in epoch for image in images]
        assert sorted(shown) == sorted(stored)
        hot = np.concatenate([labels for _, labels in epoch])
        assert hot.dtype == np.float32
        np.testing.assert_array_equal(hot, np.eye(4)[[labels[image] for image in shown]])
        orders.append(shown)
    assert all(one != other for one, other in pairwise([stored, *orders]))


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_equal_seeds_give_equal_epochs_whatever_tensorflows_own_seed_is(opened, cache):
    def epochs(seed: int, global_seed: int) -> Epoch:
        tf.random.set_seed(global_seed)
        batches = opened.batches("train", 16, augment="paper", seed=seed, cache=cache)
        return epoch_of(batches) + epoch_of(batches)

    first = epochs(1, 5)
    assert_same(epochs(1, 6), first)
    assert not np.array_equal(epochs(2, 5)[0][0], first[0][0])


def test_a_later_first_epoch_continues_and_an_unused_iterator_counts_for_nothing(opened):
    batches = opened.batches("train", 16, augment="paper")
    epoch_of(batches)
    iter(batches)
    second = epoch_of(batches)
    assert_same(epoch_of(opened.batches("train", 16, augment="paper", first_epoch=1)), second)
    repeated = opened.batches("train", 16, augment="paper").repeat().take(2 * len(batches))
    assert_same(epoch_of(repeated)[len(batches) :], second)


@pytest.mark.parametrize("cache", ["ram", "none"])
def test_full_batches_are_those_of_the_training_engine(opened, cache):
    size = 16 if opened.count("train") % 16 else 15
    steps = opened.count("train") // size
    examples = opened.examples("train", cache)
    augment = make_augmentation("paper")
    batches = opened.batches("train", size, augment="paper", seed=7, cache=cache)
    for epoch in range(2):
        elements = TrainingBatches(examples, size, steps, [1.0] * 4, seed=7).epoch(epoch)
        expected = []
        for step, element in enumerate(elements):
            seeds = tf.random.experimental.stateless_fold_in([7, epoch], step)
            batch = augment(Batch(element["image"], tf.one_hot(element["label"], 4), element["weight"]), seeds)
            expected.append((batch.images.numpy(), batch.targets.numpy()))
        found = epoch_of(batches)
        assert len(found) == steps + 1
        assert_same(found[:-1], expected)


def test_mixed_labels_come_with_mixed_images(opened):
    (images, labels), *_ = epoch_of(opened.batches("train", 16, augment="mixup").take(1))
    assert images.shape == (16, 64, 64, 1)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-5)
    assert ((labels > 0) & (labels < 1)).any()


def test_grey_images_become_rgb_on_request(opened):
    grey, rgb = (epoch_of(opened.batches("val", 16, rgb=rgb)) for rgb in (False, True))
    for (one, labels), (three, same_labels) in zip(grey, rgb, strict=True):
        np.testing.assert_array_equal(three, np.repeat(one, 3, axis=3))
        np.testing.assert_array_equal(labels, same_labels)


def test_a_split_smaller_than_a_batch_is_one_batch(opened):
    ((images, _),) = epoch_of(opened.batches("val", 1000, augment="paper"))
    assert len(images) == opened.count("val")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"splits": "trian"}, "has no split trian"),
        ({"splits": []}, "has no images in"),
        ({"splits": "train", "augment": "cutout"}, "cutout: unknown"),
        ({"splits": "train", "cache": "device"}, "cache device: is for the training of fastmri-cls itself"),
        ({"splits": "train", "cache": "disk"}, "cache disk: choose one of auto, none, ram"),
        ({"splits": "train", "batch_size": 0}, "batch_size 0: give at least 1"),
        ({"splits": "train", "seed": -1}, "seed -1: give a number from 0 to 2147483647"),
    ],
)
def test_impossible_batches_are_refused(opened, arguments, message):
    with pytest.raises(UserError, match=message):
        opened.batches(**arguments)
