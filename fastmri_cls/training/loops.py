"""Loops over batches that run as one call of a graph: some training steps, or one validation. Nothing in a loop is
decided on the host by a result of the device, which would stop both in every step.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation, Batch
from fastmri_cls.augment.policies import step_seed
from fastmri_cls.pipeline.examples import Element, Examples
from fastmri_cls.training.replicas import Replicas, RunningMean
from fastmri_cls.training.step import Step, StepOptions

STEPS_PER_CALL = 1, 1024  # fewest and most
_OF_SEVERAL_WORKERS = 16, 16  # they must agree, and their clocks do not
_SHORT, _LONG = 0.5, 2.0  # seconds of a call: reading the result costs .1 % of it, and Ctrl-C and a bar wait no longer


class StepsPerCall:
    """How many training steps go into one call: twice as many after a short call, half as many after a long one.

    The number changes no result, since all that a step draws is keyed by its own number.
    """

    def __init__(self, *, is_fixed: bool) -> None:
        self._fewest, self._most = _OF_SEVERAL_WORKERS if is_fixed else STEPS_PER_CALL
        self.count = self._fewest
        self._is_traced = False

    def took(self, seconds: float) -> None:
        """Note how long a call of `count` steps took; the first one, which traces and compiles, says nothing."""
        if self._is_traced and seconds < _SHORT:
            self.count = min(2 * self.count, self._most)
        elif self._is_traced and seconds > _LONG:
            self.count = max(self.count // 2, self._fewest)
        self._is_traced = True


class Loops:
    """The loops over the steps of a model, and the metrics that they add to.

    Args:
        step: of the model.
        augment: of training batches.
        options: of the step.
        replicas: the devices that share a batch.

    Attributes:
        loss: of the batches since the last reset.
        accuracy: likewise.
    """

    def __init__(self, step: Step, augment: Augmentation, options: StepOptions, replicas: Replicas) -> None:
        self.loss = RunningMean("loss")
        self.accuracy = RunningMean("accuracy")
        self._confusion = tf.Variable(tf.zeros([options.num_classes] * 2), trainable=False)
        self._step = step
        self._augment = augment
        self._options = options
        self._replicas = replicas

    def reset(self) -> None:
        """Begin new means."""
        self.loss.reset_state()
        self.accuracy.reset_state()

    def logs(self) -> dict[str, float]:
        """Return the means."""
        return {"loss": float(self.loss.result()), "accuracy": float(self.accuracy.result())}

    def confusion(self) -> np.ndarray:
        """Return the counts of the last evaluation, float32 [classes, classes], rows are the true classes."""
        return np.asarray(self._confusion)

    @tf.function(reduce_retracing=True)
    def train(
        self, examples: Examples, batches: Iterator[Element], epoch: tf.Tensor, first: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Run `count` training steps of `epoch` from `first` on.

        Returns:
            The first step whose loss is not finite, or -1, int64 []; the means of loss and accuracy, float32 [].
        """
        bad = tf.constant(-1, tf.int64)
        for step in tf.range(first, first + count):
            seed = step_seed(self._options.seed, epoch, step)
            sums = self._replicas.sum(partial(self._train_replica, examples), next(batches), seed)
            loss, correct, rows = tf.unstack(sums)
            self.loss.add(loss, 1.0)
            self.accuracy.add(correct, rows)
            is_first_bad = (bad < 0) & ~tf.math.is_finite(loss)
            bad = tf.where(is_first_bad, tf.cast(step, tf.int64), bad)
        return bad, self.loss.result(), self.accuracy.result()

    @tf.function(reduce_retracing=True)
    def evaluate(self, examples: Examples, batches: Iterator[Element], count: tf.Tensor) -> None:
        """Evaluate the next `count` batches: their means, and their confusion matrix."""
        self._confusion.assign(tf.zeros_like(self._confusion))
        # A loop over the dataset itself would build its function anew in every call: .8 s with a DenseNet121.
        for _ in tf.range(count):
            sums = self._replicas.sum(partial(self._eval_replica, examples), next(batches))
            self.loss.add(sums[0], sums[2])
            self.accuracy.add(sums[1], sums[2])
            self._confusion.assign_add(tf.reshape(sums[3:], self._confusion.shape))

    def as_batch(self, element: Element) -> Batch:
        """Return an element of the input, once fetched, as the step takes it."""
        targets = tf.one_hot(element["label"], self._options.num_classes)
        return Batch(element["image"], targets, element["weight"])

    def _train_replica(self, examples: Examples, element: Element, seed: tf.Tensor) -> tf.Tensor:
        batch = self.as_batch(examples.fetch(self._replicas.rows(element)))
        part = self._replicas.slice()
        return self._step.train_sums(self._augment(batch, seed, part), seed, part)

    def _eval_replica(self, examples: Examples, element: Element) -> tf.Tensor:
        return self._step.evaluate_sums(self.as_batch(examples.fetch(self._replicas.rows(element))))
