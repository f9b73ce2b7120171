"""Some training steps under TensorFlow's profiler, and the time of each step's parts.

The parts are run one after the other, each waited for, so that their times add up; TensorBoard's profile page shows
the same steps op by op (extra `profile`).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
from fastmri_cls.models.hybrid import find_model
from fastmri_cls.pipeline.batches import prefetch_to_accelerator
from fastmri_cls.pipeline.examples import Element, Examples
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.training.data import load_training_data
from fastmri_cls.training.engine import Engine, StepOptions
from fastmri_cls.training.optimizers import make_optimizer

PARTS = ("input", "augmentation", "forward and backward")
_WARM_UP = 3  # steps that trace, compile and fill the prefetch


@dataclass(frozen=True)
class StepTimes:
    """`seconds`: float64 [steps, parts], in the order of PARTS. `batch_size`: images a step."""

    seconds: np.ndarray
    batch_size: int

    @property
    def shares(self) -> dict[str, float]:
        """The share of all time that each part took."""
        return dict(zip(PARTS, (self.seconds.sum(axis=0) / self.seconds.sum()).tolist(), strict=True))

    @property
    def images_per_second(self) -> float:
        """At the median step."""
        return float(self.batch_size / np.median(self.seconds.sum(axis=1)))


def profile_steps(options: TrainOptions, dataset: Dataset, phase: int, steps: int) -> StepTimes:
    """Run `steps` steps of `phase` under the profiler, which writes its trace into `options.out`.

    `options` are resolved. Weights are as initialised: they make no difference to the time.

    Raises:
        UserError: a shard is missing or changed, or there is no such model.
    """
    engine, batches, examples = _prepare(options, dataset, phase, _WARM_UP + steps)
    parts = engine.step_parts(examples, epoch=0)
    seconds = np.zeros((steps, len(PARTS)))
    for step in range(-_WARM_UP, steps):
        if step == 0:
            tf.profiler.experimental.start(str(options.out))
        marks = [time.perf_counter()]
        with tf.profiler.experimental.Trace("train", step_num=max(step, 0), _r=1):
            with _part(PARTS[0], marks):
                batch = parts.fetch(next(batches))
                _wait(batch.images)
            with _part(PARTS[1], marks):
                batch = parts.augment(batch, tf.constant(step + _WARM_UP))
                _wait(batch.images)
            with _part(PARTS[2], marks):
                _wait(parts.learn(batch))
        if step >= 0:
            seconds[step] = np.diff(marks)
    tf.profiler.experimental.stop()
    return StepTimes(seconds, options.protocol.batch_size)


def _prepare(
    options: TrainOptions, dataset: Dataset, phase: int, steps: int
) -> tuple[Engine, Iterator[Element], Examples]:
    backbone, protocol = find_model(options.model), options.protocol
    keras.utils.set_random_seed(options.seed)
    classifier = build_classifier(
        backbone,
        ClassifierOptions(
            len(dataset.classes), dataset.image_size, dataset.channels, protocol.preprocessing, options.precision
        ),
    )
    freeze_for_phase(classifier, phase, protocol.unfreeze, from_scratch=backbone.default_weights == "none")
    classifier.model.compile(make_optimizer(protocol.phase1.learning_rate, options.precision))
    step = StepOptions(len(dataset.classes), protocol.label_smoothing, options.seed, options.xla == "on")
    engine = Engine(classifier.model, make_augmentation(protocol.augment, contrast=protocol.contrast), step)
    training = load_training_data(dataset, protocol, options.cache, options.seed).training
    passes = -(-steps // training.steps_per_epoch)
    batches = (element for number in range(passes) for element in prefetch_to_accelerator(training.epoch(number)))
    return engine, batches, training.examples


@contextmanager
def _part(name: str, marks: list[float]) -> Iterator[None]:
    with tf.profiler.experimental.Trace(name):
        yield
    marks.append(time.perf_counter())


def _wait(tensor: tf.Tensor) -> None:
    """Devices work ahead of Python: reading one value waits for all that it depends on."""
    tf.reshape(tensor, [-1])[0].numpy()
