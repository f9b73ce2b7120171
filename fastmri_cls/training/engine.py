"""The training loop: batches go to the replicas, are augmented there, trained on, and counted; with Keras' callbacks.

A loop instead of `fit`, because a step must know (seed, epoch, step) for its draws, must be resumable in the middle of
an epoch, and must run where `fit` does not (several workers). The gradient tape watches only trainable weights, so
nothing is differentiated below the first of them. Under a strategy every worker runs this loop. Metrics are sums over
all replicas, so all workers see the same numbers and their callbacks decide the same.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from fastmri_cls.augment.batch import Augmentation, Batch
from fastmri_cls.augment.policies import make_augmentation, step_seed
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.frozen_values import precompute
from fastmri_cls.models.head import Classifier, freeze_for_phase
from fastmri_cls.pipeline.batches import TrainingBatches
from fastmri_cls.pipeline.examples import Element, Examples
from fastmri_cls.runs.protocol import Protocol
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints, Progress, assign, recall, remember, values
from fastmri_cls.training.data import ValidationBatches
from fastmri_cls.training.loops import Loops, StepsPerCall
from fastmri_cls.training.optimizers import make_optimizer
from fastmri_cls.training.precision import ComputePolicy
from fastmri_cls.training.replicas import Replicas
from fastmri_cls.training.step import Step, StepOptions

_BEGINNING = Checkpoint()
_TIMED_SECONDS, _MOST_TIMED = 0.3, 64  # of a call that is timed: its length, and its largest number of steps

Logs = dict[str, float]


class StepParts(NamedTuple):
    """A training step in parts that can be timed.

    Attributes:
        fetch: element of the input -> batch.
        augment: batch and number of the step -> augmented batch.
        train: augmented batch -> loss.
    """

    fetch: Callable[[Element], Batch]
    augment: Callable[[Batch, tf.Tensor], Batch]
    train: Callable[[Batch], tf.Tensor]


class Engine:
    """Trains a model in one phase; see `make_engine`.

    Args:
        model: compiled with its optimizer.
        augment: of training batches.
        options: of the step.
        whole: the model that `model` is a part of, if it is one; checkpoints hold all of it.
        strategy: in whose scope both models and the optimizer were made.
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
        self._replicas = Replicas(strategy or tf.distribute.get_strategy())
        self._precompute()
        self._step = Step(model, options, self._replicas)
        self._loops = Loops(self._step, augment, options, self._replicas)
        self._steps_per_call = StepsPerCall(is_fixed=self._replicas.span_workers)

    def fit(
        self,
        training: TrainingBatches,
        validation: ValidationBatches,
        max_epochs: int,
        callbacks: list[keras.callbacks.Callback],
        start: Checkpoint = _BEGINNING,
        checkpoints: Checkpoints | None = None,
    ) -> int:
        """Train for at most `max_epochs`; callbacks are called as by Keras' fit, with a call of some steps as a batch.

        Orders and draws are keyed by the epoch counted from the run's first. The logs of an epoch hold loss, accuracy,
        val_loss, val_accuracy, seconds and images_per_second. After each call the state goes to `checkpoints`; from
        such a state, training continues as if it had never been interrupted.

        Args:
            training: the training batches.
            validation: the validation batches.
            max_epochs: largest number of epochs, those before `start` included.
            callbacks: Keras' callbacks.
            start: where to continue.
            checkpoints: where to save the state.

        Returns:
            The number of epochs done, those before `start` included.

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

        first_epoch = begin.epochs_before + begin.epoch
        # One iterator for all epochs: to make one costs 20 ms, and .3 s where it copies to a GPU.
        batches = self._replicas.iterate(training.stream(first_epoch, begin.step), training.examples)
        validated = self._replicas.iterate(validation.stream(begin.epoch), validation.examples)
        epochs_done = begin.epoch
        for epoch in range(begin.epoch, begin.epoch if begin.stop else max_epochs):
            first_step, earlier = (begin.step, begin.seconds) if epoch == begin.epoch else (0, 0.0)
            calls.on_epoch_begin(epoch)
            started = time.perf_counter() - earlier
            if first_step == 0:
                self._loops.reset()
            for done in self._train_epoch(training, batches, begin.epochs_before + epoch, first_step, calls):
                save(epoch=epoch, step=done, seconds=time.perf_counter() - started)
            trained = time.perf_counter() - started
            logs = self._loops.logs()
            calls.on_test_begin()
            logs |= {f"val_{name}": value for name, value in self._evaluate(validation, validated).items()}
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

    def evaluate(self, batches: ValidationBatches, epoch: int = 0) -> Logs:
        """Return loss (label smoothing and regularisation included, as Keras' val_loss) and accuracy."""
        return self._evaluate(batches, self._replicas.iterate(batches.stream(epoch), batches.examples))

    def _evaluate(self, batches: ValidationBatches, iterator: Iterator[Element]) -> Logs:
        self._loops.reset()
        self._loops.evaluate(batches.examples, iterator, tf.constant(batches.count))
        return self._loops.logs()

    def confusion(self) -> np.ndarray:
        """Return the counts of the last evaluation, float32 [classes, classes], rows are the true classes."""
        return self._loops.confusion()

    def step_parts(self, examples: Examples, epoch: int) -> StepParts:
        """Return a training step of `epoch` in parts that can be timed."""

        def augment(batch: Batch, step: tf.Tensor) -> Batch:
            return self._augment(batch, step_seed(self._options.seed, epoch, step))

        return StepParts(
            fetch=tf.function(lambda element: self._loops.as_batch(examples.fetch(element))),
            augment=tf.function(augment),
            train=lambda batch: self._step.train(*batch, tf.constant([0, 0]))[0],
        )

    def step_seconds(self, examples: Examples, batches: Iterator[Element]) -> Iterator[float]:
        """Train on, and yield the seconds of a step in each call: first one step, which is traced and compiled."""
        steps, zero = 1, tf.constant(0)
        for number in itertools.count():
            started = time.perf_counter()
            float(self._loops.train(examples, batches, zero, zero, tf.constant(steps))[0])
            seconds = (time.perf_counter() - started) / steps
            yield seconds
            if number == 1:
                steps = max(1, min(_MOST_TIMED, int(_TIMED_SECONDS / seconds)))

    def _precompute(self) -> None:
        if self._replicas.count == 1:
            precompute(self.model)

    def _restore(self, start: Checkpoint) -> None:
        if start.model:
            assign(self._whole.variables, start.model)
            self._precompute()
        if start.optimizer:
            assign(self._phase_state, start.optimizer)

    def _state(self, progress: Progress, callbacks: list[keras.callbacks.Callback]) -> Checkpoint:
        memory, best = remember(callbacks)
        return Checkpoint(progress, memory, values(self._whole.variables), values(self._phase_state), best)

    @property
    def _phase_state(self) -> list[keras.Variable]:
        """The state that ends with the phase: the optimizer's variables and the running metrics."""
        return [*self.model.optimizer.variables, *self._loops.loss.variables, *self._loops.accuracy.variables]

    def _train_epoch(
        self,
        training: TrainingBatches,
        batches: Iterator[Element],
        epoch: int,
        first_step: int,
        calls: keras.callbacks.CallbackList,
    ) -> Iterator[int]:
        """Train from `first_step` to the epoch's end; yield the steps done after each call."""
        done = first_step
        while done < training.steps_per_epoch:
            calls.on_train_batch_begin(done)
            started = time.perf_counter()
            count = min(self._steps_per_call.count, training.steps_per_epoch - done)
            span = tf.constant(epoch), tf.constant(done), tf.constant(count)
            bad, loss, accuracy = map(float, self._loops.train(training.examples, batches, *span))
            if count == self._steps_per_call.count:
                self._steps_per_call.took(time.perf_counter() - started)
            if bad >= 0:
                raise UserError(
                    f"epoch {epoch + 1}, step {int(bad) + 1}: the loss is not finite; choose --precision float32 "
                    "or a smaller --learning-rate, or look for damaged images: "
                    + ", ".join(training.files(epoch, int(bad)))
                )
            done += count
            calls.on_train_batch_end(done - 1, {"loss": loss, "accuracy": accuracy})
            yield done


def make_engine(
    classifier: Classifier,
    protocol: Protocol,
    phase: int,
    policy: ComputePolicy,
    *,
    seed: int,
    from_scratch: bool,
    augment: Augmentation | None = None,
    model: keras.Model | None = None,
    steps_per_epoch: int = 1,
    strategy: tf.distribute.Strategy | None = None,
) -> Engine:
    """Freeze a classifier for a phase, give it the phase's optimizer, and return the engine that trains it.

    Args:
        classifier: the whole classifier, built in the precision of `policy`.
        protocol: the recipe.
        phase: 1 or 2.
        policy: precision and XLA.
        seed: of the draws of augmentation and dropout.
        from_scratch: whether the backbones have no pretrained weights.
        augment: None for the protocol's.
        model: the part of the classifier to train; None for all of it.
        steps_per_epoch: for schedules over the whole phase.
        strategy: in whose scope the classifier was built.
    """
    freeze_for_phase(classifier, phase, protocol.unfreeze, from_scratch=from_scratch, frozen_mode=protocol.frozen_mode)
    plan = protocol.phase1 if phase == 1 else protocol.phase2
    rate = plan.learning_rate * (protocol.scratch_factor if from_scratch else 1.0)
    model, strategy = model or classifier.model, strategy or tf.distribute.get_strategy()
    with strategy.scope():
        model.compile(make_optimizer(rate, policy.precision, protocol, plan.max_epochs * steps_per_epoch))
    step = StepOptions(classifier.options.num_classes, protocol.label_smoothing, seed, policy.xla)
    augment = augment or make_augmentation(protocol.augment, contrast=protocol.contrast)
    return Engine(model, augment, step, classifier.model, strategy)
