"""The loop: batches to the replicas, augmented there, steps and metrics; Keras' own callbacks around them.

A loop of our own in place of `fit`, because a step must know (seed, epoch, step) for its draws, be resumable in the
middle of an epoch, and run where `fit` does not (several workers). The gradient tape watches the trainable weights
alone, so nothing is computed backwards through what lies below the first of them.

Under a strategy every worker runs this loop. Metrics are sums over all replicas, so that all workers see the same
numbers, and their callbacks decide the same.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.policies import Augmentation, Batch
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.pipeline.batches import (
    EvaluationBatches,
    SlidingWindowBatches,
    TrainingBatches,
    prefetch_to_accelerator,
)
from fastmri_cls.pipeline.examples import Examples
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints, Progress, assign, recall, remember, values
from fastmri_cls.training.replicas import Replicas
from fastmri_cls.training.step import Step, StepOptions

_STEPS_PER_CALL = 16  # steps run in one graph call, with no Python in between

_BEGINNING = Checkpoint()

Logs = dict[str, float]


class StepParts(NamedTuple):
    """A step in parts: element of the input -> batch; batch and number of the step -> augmented batch; that -> loss."""

    fetch: Callable[[Any], Batch]
    augment: Callable[[Batch, tf.Tensor], Batch]
    learn: Callable[[Batch], tf.Tensor]


class Engine:
    """One phase's training of `model`, compiled with its optimizer.

    Args:
        whole: the model that `model` is a part of, where it is one; checkpoints hold all of it.
        strategy: of the scope that both, and the optimizer, were made in.
    """

    def __init__(
        self,
        model: keras.Model,
        augment: Augmentation,
        options: StepOptions,
        whole: keras.Model | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self.model = model
        self._whole = whole or model
        self._augment = augment
        self._options = options
        self._loss = keras.metrics.Mean("loss")
        self._accuracy = keras.metrics.Mean("accuracy")
        self._confusion = tf.Variable(tf.zeros([options.num_classes] * 2), trainable=False)
        self._replicas = Replicas(strategy or tf.distribute.get_strategy())
        step = Step(model, options, self._replicas)
        self._learn, self._judge = step.learn, step.judge

    def fit(
        self,
        training: TrainingBatches,
        validation: EvaluationBatches | SlidingWindowBatches,
        max_epochs: int,
        callbacks: list[keras.callbacks.Callback],
        start: Checkpoint = _BEGINNING,
        checkpoints: Checkpoints | None = None,
    ) -> int:
        """Train for at most `max_epochs`, calling `callbacks` as Keras' fit does (a batch there is a call of 16 steps).

        Returns the epochs done, with those before `start`.

        Orders and draws are keyed by the epoch counted from the run's first. The logs of an epoch hold loss, accuracy,
        val_loss, val_accuracy, seconds and images_per_second. After each call the state goes to `checkpoints`; from
        such a state, `start`, the training goes on as if it had never been interrupted.

        Raises:
            UserError: the loss is no longer finite.
            Stopped: see `Checkpoints.save`.
        """
        calls = keras.callbacks.CallbackList(callbacks, model=self.model, epochs=max_epochs)
        self.model.stop_training = False
        calls.on_train_begin()
        self._restore(start)
        recall(start, callbacks)
        begin = start.progress

        def save(**progress: Any) -> None:
            if checkpoints:
                checkpoints.save(lambda: self._state(replace(begin, **progress), callbacks))

        epochs_done = begin.epoch
        for epoch in range(begin.epoch, begin.epoch if begin.stop else max_epochs):
            first_step, earlier = (begin.step, begin.seconds) if epoch == begin.epoch else (0, 0.0)
            calls.on_epoch_begin(epoch)
            started = time.perf_counter() - earlier
            if first_step == 0:
                self._reset_metrics()
            for done in self._train_epoch(training, begin.epochs_before + epoch, first_step, calls):
                save(epoch=epoch, step=done, seconds=time.perf_counter() - started)
            trained = time.perf_counter() - started
            logs = self._logs()
            calls.on_test_begin()
            logs |= {f"val_{name}": value for name, value in self.evaluate(validation, epoch).items()}
            calls.on_test_end()
            logs["seconds"] = time.perf_counter() - started
            logs["images_per_second"] = training.steps_per_epoch * training.batch_size / trained
            calls.on_epoch_end(epoch, logs)
            epochs_done = epoch + 1
            save(epoch=epochs_done, step=0, seconds=0.0, stop=self.model.stop_training)
            if self.model.stop_training:
                break
        calls.on_train_end()
        return epochs_done

    def _restore(self, start: Checkpoint) -> None:
        if start.model:
            assign(self._whole.variables, start.model)
        if start.optimizer:
            assign(self._fleeting, start.optimizer)

    def _state(self, progress: Progress, callbacks: list[keras.callbacks.Callback]) -> Checkpoint:
        memory, best = remember(callbacks)
        return Checkpoint(progress, memory, values(self._whole.variables), values(self._fleeting), best)

    def step_parts(self, examples: Examples, epoch: int) -> StepParts:
        """Return one step of `epoch` in parts that can be timed."""

        def augment(batch: Batch, step: tf.Tensor) -> Batch:
            return self._augment(batch, tf.random.experimental.stateless_fold_in([self._options.seed, epoch], step))

        return StepParts(
            fetch=tf.function(lambda element: self._as_batch(examples.fetch(element))),
            augment=tf.function(augment),
            learn=lambda batch: self._learn(*batch)[0],
        )

    def confusion(self) -> np.ndarray:
        """Return the last evaluation's counts, float32 [classes, classes], truth by prediction."""
        return np.asarray(self._confusion)

    @property
    def _fleeting(self) -> list[keras.Variable]:
        """What ends with the phase: the optimizer's variables and the running metrics."""
        return [*self.model.optimizer.variables, *self._loss.variables, *self._accuracy.variables]

    def _train_epoch(
        self, training: TrainingBatches, epoch: int, first_step: int, calls: keras.callbacks.CallbackList
    ) -> Iterator[int]:
        """Train from `first_step` to the epoch's end; yield the steps done after each call."""
        if first_step == training.steps_per_epoch:
            return
        batches = iter(prefetch_to_accelerator(training.epoch(epoch, first_step)))
        with self._replicas.own_draws(self._whole.variables):
            yield from self._train_calls(training, batches, epoch, first_step, calls)

    def _train_calls(
        self,
        training: TrainingBatches,
        batches: Iterator[Any],
        epoch: int,
        first_step: int,
        calls: keras.callbacks.CallbackList,
    ) -> Iterator[int]:
        for first in range(first_step, training.steps_per_epoch, _STEPS_PER_CALL):
            calls.on_train_batch_begin(first)
            count = min(_STEPS_PER_CALL, training.steps_per_epoch - first)
            span = tf.constant(epoch), tf.constant(first), tf.constant(count)
            bad = int(self._train_steps(training.examples, batches, *span))
            if bad >= 0:
                raise UserError(
                    f"epoch {epoch + 1}, step {bad + 1}: the loss is not finite; choose --precision float32 or a "
                    f"smaller --learning-rate, or look for damaged images: {', '.join(training.files(epoch, bad))}"
                )
            calls.on_train_batch_end(first + count - 1, self._logs())
            yield first + count

    def evaluate(self, batches: EvaluationBatches | SlidingWindowBatches, epoch: int = 0) -> Logs:
        """Return loss (label smoothing and regularisation included, as Keras' val_loss) and accuracy."""
        self._reset_metrics()
        self._confusion.assign(tf.zeros_like(self._confusion))
        iterator = iter(prefetch_to_accelerator(batches.epoch(epoch)))
        self._judge_batches(batches.examples, iterator, tf.constant(batches.count))
        return self._logs()

    @tf.function(reduce_retracing=True)
    def _train_steps(
        self, examples: Examples, batches: Any, epoch: tf.Tensor, first: tf.Tensor, count: tf.Tensor
    ) -> tf.Tensor:
        """Run `count` steps; return the first whose loss was not finite, or -1."""
        bad = tf.constant(-1)
        for step in tf.range(first, first + count):
            batch = self._as_batch(examples.fetch(next(batches)))
            seed = tf.random.experimental.stateless_fold_in([self._options.seed, epoch], step)
            part, placed = self._replicas.run(self._train_replica, batch, seed)
            loss = self._replicas.total(part)
            self._loss.update_state(loss)
            self._accuracy.update_state(*self._replicas.join(placed))
            if bad < 0 and not tf.math.is_finite(loss):
                bad = step
        return bad

    def _train_replica(self, batch: Batch, seed: tf.Tensor) -> tuple[tf.Tensor, Any]:
        replicas = self._replicas
        loss, correct = self._learn(*self._augment(replicas.part(batch), seed, replicas.rows()))
        return loss, replicas.place(correct)

    @tf.function(reduce_retracing=True)
    def _judge_batches(self, examples: Examples, batches: Any, count: tf.Tensor) -> None:
        # Not over a dataset, which TensorFlow reduces by a function that it builds anew in every call: .8 s of a
        # DenseNet121's.
        for _ in tf.range(count):
            batch = self._as_batch(examples.fetch(next(batches)))
            columns = self._replicas.join(self._replicas.run(self._judge_replica, batch))
            losses, predicted, labels, weights = columns
            self._loss.update_state(losses, weights)
            self._accuracy.update_state(tf.cast(predicted == labels, tf.float32), weights)
            shape = self._options.num_classes
            self._confusion.assign_add(tf.math.confusion_matrix(labels, predicted, shape, weights, tf.float32))

    def _judge_replica(self, batch: Batch) -> Any:
        own = self._replicas.part(batch)
        losses, predicted = self._judge(tf.cast(own.images, tf.float32), own.targets)
        return self._replicas.place(losses, predicted, tf.argmax(own.targets, axis=1), own.weights)

    def _as_batch(self, element: dict[str, tf.Tensor]) -> Batch:
        targets = tf.one_hot(element["label"], self._options.num_classes)
        return Batch(element["image"], targets, element["weight"])

    def _reset_metrics(self) -> None:
        self._loss.reset_state()
        self._accuracy.reset_state()

    def _logs(self) -> Logs:
        return {"loss": float(self._loss.result()), "accuracy": float(self._accuracy.result())}
