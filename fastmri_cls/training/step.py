"""One step of one replica: forward, backward, update; and the judgement of a batch. Here is what XLA compiles.

On one device a step is one function, compiled as a whole. Under a strategy TensorFlow can synchronise replicas only
outside of a compiled function: forward and backward are compiled up to the first BatchNormalization that trains (its
statistics are the whole batch's), gradients are summed and applied behind. So with several replicas XLA takes the
frozen backbone, and leaves a network trained from scratch alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import tensorflow as tf

from fastmri_cls.training.replicas import Replicas


@dataclass(frozen=True)
class StepOptions:
    """What the compiled step depends on: classes, label smoothing, the seed of its draws, XLA or not."""

    num_classes: int
    label_smoothing: float
    seed: int
    xla: bool


class Step:
    """The step of `model`, which is compiled with its optimizer.

    Attributes:
        learn: images, targets, weights -> this replica's part of the batch's loss, and per example whether the
            prediction was right; updates the model.
        judge: images, targets -> per example the loss, regularisation included, and the predicted class.
    """

    def __init__(self, model: keras.Model, options: StepOptions, replicas: Replicas) -> None:
        self._model = model
        self._options = options
        self._replicas = replicas
        # Everything the graph uses is made before it is traced: trainable weights and the optimizer's slots.
        self._trainable = model.trainable_variables
        with replicas.strategy.scope():
            model.optimizer.build(self._trainable)
        self._forward: Callable[[tf.Tensor], tf.Tensor] = lambda images: model(images, training=True)
        self.learn: Callable[..., tuple[tf.Tensor, tf.Tensor]]
        if replicas.count == 1:
            self.learn = tf.function(self._learn_alone, jit_compile=options.xla)
        else:
            _synchronize(model)
            _sum_gradients_once(model.optimizer)
            if options.xla:
                self._forward = _compiled(model)
            self.learn = self._learn_together
        self.judge = tf.function(self._judge, jit_compile=options.xla)

    def _learn_alone(self, images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss, correct, gradients = self._differentiate(images, targets, weights)
        self._model.optimizer.apply(gradients, self._trainable)
        return loss, correct

    def _learn_together(self, images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        loss, correct, gradients = self._differentiate(images, targets, weights)
        replica = tf.distribute.get_replica_context()
        gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        self._model.optimizer.apply(gradients, self._trainable)
        return loss, correct

    def _differentiate(
        self, images: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in self._trainable])
            probabilities = self._forward(images)
            # Keras divides by the batch size, not by the sum of the weights: so does the published code.
            loss = tf.reduce_mean(self._losses(probabilities, targets) * weights) + self._regularization()
            if self._replicas.count > 1:
                loss /= self._replicas.count  # of the whole batch: the sum over replicas is its mean
            scaled = self._model.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in self._trainable])
        return loss, _is_correct(probabilities, targets), gradients

    def _judge(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probabilities = self._model(images, training=False)
        return self._losses(probabilities, targets) + self._regularization(), tf.argmax(probabilities, axis=1)

    def _losses(self, probabilities: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        smoothing = self._options.label_smoothing
        return keras.losses.categorical_crossentropy(targets, probabilities, label_smoothing=smoothing)

    def _regularization(self) -> tf.Tensor:
        return tf.add_n(self._model.losses) if self._model.losses else tf.constant(0.0)


def _is_correct(probabilities: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(probabilities, axis=1) == tf.argmax(targets, axis=1), tf.float32)


def _synchronize(model: keras.Model) -> None:
    """Let BatchNormalization take its statistics over all replicas' rows; a saved model is built anew without it."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _sum_gradients_once(optimizer: keras.optimizers.Optimizer) -> None:
    """Give Keras' optimizer gradients that are summed already, since it clips and looks for infinities before it sums.

    Its own sum is private, and becomes the identity; were it renamed, test_distribution would fail.
    """
    for one in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        if one is not None:
            one._all_reduce_sum_gradients = lambda pairs: pairs


def _compiled(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the forward pass in training, compiled up to the first layer that trains BatchNormalization."""
    first = next((layer for layer in model.layers if _trains_batch_normalization(layer)), None)
    if isinstance(first, keras.Model):  # the backbone itself
        return lambda images: model(images, training=True)
    below = model if first is None else keras.Model(model.inputs, first.input)
    compiled = tf.function(lambda images: below(images, training=True), jit_compile=True)
    if first is None:
        return compiled
    above = keras.Model(first.input, model.outputs[0])
    return lambda images: above(compiled(images), training=True)


def _trains_batch_normalization(layer: keras.Layer) -> bool:
    return any(isinstance(one, keras.layers.BatchNormalization) and one.trainable for one in layer._flatten_layers())
