"""The tiers inside the engine's step, where `device` gathers and the batches may come ahead onto an accelerator."""

import keras
import numpy as np
import pytest

from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.pipeline import batches as pipeline_batches
from fastmri_cls.pipeline.batches import EvaluationBatches, TrainingBatches, prefetch_to_accelerator
from fastmri_cls.pipeline.examples import Selection
from fastmri_cls.pipeline.tiers import open_examples
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.training import replicas
from fastmri_cls.training.engine import Engine, StepOptions


def small_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((64, 64, 1)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.AveragePooling2D(8),
            keras.layers.Flatten(),
            keras.layers.Dense(4, "softmax"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1))
    return model


def fit(dataset, tier: str, augment) -> list[np.ndarray]:
    manifest = read_manifest(dataset)
    training, validation = (open_examples(dataset, manifest, Selection((split,)), tier) for split in ("train", "val"))
    model = small_model()
    trained = Engine(model, augment, StepOptions(num_classes=4, label_smoothing=0.1, seed=3, xla=False))
    steps = training.count // 8
    trained.fit(
        TrainingBatches(training, 8, steps, [1.0, 2.0, 1.0, 0.5], seed=3), EvaluationBatches(validation, 8), 2, []
    )
    return model.get_weights()


@pytest.mark.slow
def test_ram_and_device_train_to_the_same_weights(dataset):
    for ram, device in zip(
        fit(dataset, "ram", make_augmentation("paper")), fit(dataset, "device", make_augmentation("paper")), strict=True
    ):
        np.testing.assert_array_equal(ram, device)


def test_evaluation_is_never_augmented(dataset):
    def forbidden(batch, seed):
        raise AssertionError("augmented in evaluation")

    manifest = read_manifest(dataset)
    examples = open_examples(dataset, manifest, Selection(("val",)), "none")
    model = small_model()
    evaluated = Engine(model, forbidden, StepOptions(num_classes=4, label_smoothing=0.0, seed=0, xla=False))
    logs = evaluated.evaluate(EvaluationBatches(examples, 8))

    elements = list(examples.in_order(8).as_numpy_iterator())
    images, labels = (np.concatenate([element[name] for element in elements]) for name in ("image", "label"))
    probabilities = model.predict(images.astype(np.float32), verbose=0)
    assert logs["accuracy"] == pytest.approx(np.mean(probabilities.argmax(axis=1) == labels))
    assert logs["loss"] == pytest.approx(-np.log(probabilities[np.arange(len(labels)), labels]).mean(), rel=1e-4)


def test_batches_that_come_ahead_are_the_same_ones(dataset, monkeypatch):
    manifest = read_manifest(dataset)
    training = TrainingBatches(
        open_examples(dataset, manifest, Selection(("train",)), "ram"), 8, 3, [1.0, 2.0, 1.0, 0.5], seed=0
    )
    plain = list(training.epoch(0).as_numpy_iterator())
    monkeypatch.setattr(pipeline_batches, "accelerator_names", lambda: ["/cpu:0"])
    ahead = list(prefetch_to_accelerator(training.epoch(0), training.examples).as_numpy_iterator())
    assert len(ahead) == 3
    for one, other in zip(plain, ahead, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        np.testing.assert_array_equal(one["weight"], other["weight"])


def test_the_images_of_the_device_need_no_copying(dataset, monkeypatch):
    examples = open_examples(dataset, read_manifest(dataset), Selection(("train",)), "device")
    monkeypatch.setattr(pipeline_batches, "accelerator_names", lambda: ["/cpu:0"])
    batches = TrainingBatches(examples, 8, 3, [1.0, 2.0, 1.0, 0.5], seed=0).stream(0)
    assert prefetch_to_accelerator(batches, examples) is batches


def test_one_iterator_serves_all_epochs(dataset, monkeypatch):
    """To make an iterator that copies to a GPU takes .3 s; two an epoch took longer than an epoch on features."""
    made = []

    def counted(batches, examples):
        made.append(examples)
        return batches

    monkeypatch.setattr(replicas, "prefetch_to_accelerator", counted)
    fit(dataset, "ram", make_augmentation("none"))  # two epochs
    assert len(made) == 2  # of training and of validation
