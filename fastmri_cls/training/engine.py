"""The step and the loop: augment on the device, forward and backward, metrics; Keras' own callbacks around them.

A loop of our own in place of `fit`, because a step must know (seed, epoch, step) for its draws, be resumable in the
middle of an epoch, and run where `fit` does not (several workers). The gradient tape watches the trainable weights
alone, so nothing is computed backwards through what lies below the first of them.
"""

import time
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from fastmri_cls.augment.policies import Augmentation, Batch
from fastmri_cls.pipeline.batches import EvaluationBatches, SlidingWindowBatches, TrainingBatches

_STEPS_PER_CALL = 16  # steps run in one graph call, with no Python in between

Logs = dict[str, float]


@dataclass(frozen=True)
class StepOptions:
    """What the compiled step depends on: classes, label smoothing, the seed of its draws, XLA or not."""

    num_classes: int
    label_smoothing: float
    seed: int
    xla: bool


class Engine:
    """One phase's training of `model` (compiled with its optimizer) on 0..255 images."""

    def __init__(self, model: keras.Model, augment: Augmentation, options: StepOptions) -> None:
        self.model = model
        self._augment = augment
        self._options = options
        self._loss = keras.metrics.Mean("loss")
        self._accuracy = keras.metrics.Mean("accuracy")
        # Everything the graph uses is made before it is traced: trainable weights and the optimizer's slots.
        self._trainable = model.trainable_variables
        model.optimizer.build(self._trainable)
        self._learn = tf.function(self._learn_eagerly, jit_compile=options.xla)
        self._judge = tf.function(self._judge_eagerly, jit_compile=options.xla)

    def fit(
        self,
        training: TrainingBatches,
        validation: EvaluationBatches | SlidingWindowBatches,
        max_epochs: int,
        callbacks: list[keras.callbacks.Callback],
        epochs_before: int = 0,
    ) -> None:
        """Train for at most `max_epochs`, calling `callbacks` as Keras' fit does (a batch there is a call of 16 steps).

        Orders and draws are keyed by the epoch counted from the run's first, so `epochs_before` is what earlier phases
        had. The logs of an epoch hold loss, accuracy, val_loss, val_accuracy, seconds and images_per_second.
        """
        calls = keras.callbacks.CallbackList(callbacks, model=self.model, epochs=max_epochs)
        self.model.stop_training = False
        calls.on_train_begin()
        for epoch in range(max_epochs):
            calls.on_epoch_begin(epoch)
            started = time.perf_counter()
            logs = self._train_epoch(training, epochs_before + epoch, calls)
            trained = time.perf_counter() - started
            logs |= {f"val_{name}": value for name, value in self.evaluate(validation, epoch).items()}
            logs["seconds"] = time.perf_counter() - started
            logs["images_per_second"] = training.steps_per_epoch * training.batch_size / trained
            calls.on_epoch_end(epoch, logs)
            if self.model.stop_training:
                break
        calls.on_train_end()

    def _train_epoch(self, training: TrainingBatches, epoch: int, calls: keras.callbacks.CallbackList) -> Logs:
        self._reset_metrics()
        batches = iter(training.epoch(epoch))
        for first in range(0, training.steps_per_epoch, _STEPS_PER_CALL):
            calls.on_train_batch_begin(first)
            count = min(_STEPS_PER_CALL, training.steps_per_epoch - first)
            self._train_steps(batches, tf.constant(epoch), tf.constant(first), tf.constant(count))
            calls.on_train_batch_end(first + count - 1, self._logs())
        return self._logs()

    def evaluate(self, batches: EvaluationBatches | SlidingWindowBatches, epoch: int = 0) -> Logs:
        """Return loss (label smoothing and regularisation included, as Keras' val_loss) and accuracy."""
        self._reset_metrics()
        self._judge_batches(batches.epoch(epoch))
        return self._logs()

    @tf.function(reduce_retracing=True)
    def _train_steps(self, batches: Any, epoch: tf.Tensor, first: tf.Tensor, count: tf.Tensor) -> None:
        for step in tf.range(first, first + count):
            batch = self._as_batch(next(batches))
            seed = tf.random.experimental.stateless_fold_in([self._options.seed, epoch], step)
            loss, correct = self._learn(*self._augment(batch, seed))
            self._loss.update_state(loss)
            self._accuracy.update_state(correct)

    @tf.function(reduce_retracing=True)
    def _judge_batches(self, batches: tf.data.Dataset) -> None:
        for element in batches:
            batch = self._as_batch(element)
            losses, correct = self._judge(tf.cast(batch.images, tf.float32), batch.targets)
            self._loss.update_state(losses, batch.weights)
            self._accuracy.update_state(correct, batch.weights)

    def _learn_eagerly(self, images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """One step of the optimizer; returns the batch's loss and, per example, whether the prediction was right."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in self._trainable])
            probabilities = self.model(images, training=True)
            # Keras divides by the batch size, not by the sum of the weights: so does the published code.
            loss = tf.reduce_mean(self._losses(probabilities, targets) * weights) + self._regularization()
            scaled = self.model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in self._trainable])
        self.model.optimizer.apply(gradients, self._trainable)
        return loss, _is_correct(probabilities, targets)

    def _judge_eagerly(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probabilities = self.model(images, training=False)
        return self._losses(probabilities, targets) + self._regularization(), _is_correct(probabilities, targets)

    def _losses(self, probabilities: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        smoothing = self._options.label_smoothing
        return keras.losses.categorical_crossentropy(targets, probabilities, label_smoothing=smoothing)

    def _regularization(self) -> tf.Tensor:
        return tf.add_n(self.model.losses) if self.model.losses else tf.constant(0.0)

    def _as_batch(self, element: dict[str, tf.Tensor]) -> Batch:
        targets = tf.one_hot(element["label"], self._options.num_classes)
        return Batch(element["image"], targets, element["weight"])

    def _reset_metrics(self) -> None:
        self._loss.reset_state()
        self._accuracy.reset_state()

    def _logs(self) -> Logs:
        return {"loss": float(self._loss.result()), "accuracy": float(self._accuracy.result())}


def _is_correct(probabilities: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(probabilities, axis=1) == tf.argmax(targets, axis=1), tf.float32)
