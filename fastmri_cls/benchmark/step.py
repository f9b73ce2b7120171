"""`benchmark step`: overhead of the input pipeline per training step, relative to steps on one constant batch.

The other candidates read (by cache tier) and augment; the constant batch is in memory and is not augmented. Phase 1 is
measured, since its steps are the shortest and hide the least of the input pipeline's time.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.benchmark.inputs import prepare
from fastmri_cls.benchmark.measure import Result, make_row
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.environment import describe
from fastmri_cls.foundation.progress import log
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import find_model
from fastmri_cls.pipeline.batches import EvaluationBatches, TrainingBatches
from fastmri_cls.pipeline.examples import Examples
from fastmri_cls.pipeline.tiers import TIERS
from fastmri_cls.runs.protocol import PROTOCOLS, resolve_protocol
from fastmri_cls.training.engine import make_engine
from fastmri_cls.training.precision import ComputePolicy, default_policy

_PROTOCOL = PROTOCOLS["strict"]
_BATCH_SIZE = _PROTOCOL.batch_size
_CLASSES = 4  # of the random images, as many as the public sets have
_INPUTS = {
    "constant": "one batch, as it is",
    "none": "streamed from JPEG shards, augmented",
    "ram": "from memory, augmented",
    "device": "from the device's memory, augmented",
}


class ConstantExamples(Examples):
    """One batch, repeated, with the interface of a cache tier."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.count = len(labels)
        self._element = {"image": tf.constant(images), "label": tf.constant(labels)}

    def files(self) -> list[str]:
        return ["constant"] * self.count

    def _written(self) -> tf.data.Dataset:
        return tf.data.Dataset.range(self.count)

    def _shuffled(self, epoch: tf.Tensor, seed: int) -> tf.data.Dataset:
        return self._written()

    def _read(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        return batches.map(lambda _: self._element)

    def _names(self, batches: tf.data.Dataset) -> list[str]:
        return self.files()


class Rate(keras.callbacks.Callback):
    """The images per second of the last epoch."""

    images_per_second = 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note it."""
        self.images_per_second = (logs or {})["images_per_second"]


def benchmark_step(source: Path, model: str, steps: int, rounds: int) -> Result:
    """Measure `steps` training steps of `model` on JPEG shards of `source`; ratios are to the constant batch.

    Args:
        source: a folder of class folders, or one with Training.
        model: a model of `train`.
        steps: training steps per measurement.
        rounds: number of rounds, in which the inputs take turns.

    Raises:
        UserError: `source` has no class folders, or there is no such model.
    """
    backbone = find_model(model)
    with prepare(source, "jpeg") as material:
        dataset = material.dataset
        policy = default_policy("auto", "auto")
        classifier = build_classifier(backbone, ClassifierOptions.for_dataset(dataset, precision=policy.precision))
        constant = _constant_examples(dataset)
        opened = {name: dataset.examples("train", name) for name in TIERS}
        weights = [1.0] * len(dataset.classes)
        inputs = {
            name: TrainingBatches(examples, _BATCH_SIZE, steps, weights, seed=0, endless=True)
            for name, examples in {"constant": constant, **opened}.items()
        }
        validation = EvaluationBatches(constant, _BATCH_SIZE)
        make = partial(make_engine, classifier, _PROTOCOL, 1, policy, seed=0, from_scratch=False)
        augmented = {name: make_augmentation("none" if name == "constant" else "paper") for name in inputs}
        engines = {name: make(augment=augment) for name, augment in augmented.items()}

        rates: dict[str, list[float]] = {name: [] for name in inputs}
        for number in range(rounds + 1):  # the first one compiles
            for name, batches in inputs.items():
                rate = Rate()
                engines[name].fit(batches, validation, 1, [rate])
                if number:
                    rates[name].append(rate.images_per_second)
                    log.info(f"round {number}/{rounds}  {name:10} {rate.images_per_second:8,.1f} images/s")
    title = f"Step: {model}, {policy.precision}, batches of {_BATCH_SIZE}, fits of {steps} steps"
    rows = tuple(make_row(name, _INPUTS[name], found, rates["constant"], "ours") for name, found in rates.items())
    return Result(title, rows, "constant", describe())


def constant_step(
    model: str, phase: int, policy: ComputePolicy, size: int = 224, batch_size: int = _BATCH_SIZE, **changes: object
) -> Callable[[], float]:
    """Return a training step on one constant batch of random grey images that are not augmented.

    Args:
        model: a model of `train`.
        phase: 1 or 2.
        policy: precision and XLA.
        size: height and width of the images in pixels.
        batch_size: number of images.
        changes: to the protocol `strict`.

    Returns:
        A function that trains the step and returns its loss.
    """
    images, labels = _random_images((batch_size, size, size, 1), _CLASSES)
    batch = Batch(tf.constant(images, tf.float32), tf.one_hot(labels, _CLASSES), tf.ones(batch_size))
    classifier = build_classifier(find_model(model), ClassifierOptions(_CLASSES, size, 1, precision=policy.precision))
    protocol = resolve_protocol("strict", changes)
    engine = make_engine(classifier, protocol, phase, policy, seed=0, from_scratch=False)
    train = engine.step_parts(ConstantExamples(images, labels), 0).train
    return lambda: float(train(batch))


def _constant_examples(dataset: Dataset) -> ConstantExamples:
    shape = (_BATCH_SIZE, dataset.image_size, dataset.image_size, dataset.channels)
    return ConstantExamples(*_random_images(shape, len(dataset.classes)))


def _random_images(shape: tuple[int, ...], num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 of `shape`, and their labels."""
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8), np.arange(shape[0]) % num_classes
