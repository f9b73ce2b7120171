"""One step of one replica: forward, backward, update; and the evaluation of a batch. XLA compiles what is here.

On one device a step is one function, compiled as a whole. Under a strategy TensorFlow can synchronise replicas only
outside compiled functions: forward and backward are compiled up to the first BatchNormalization that trains (its
statistics are those of the whole batch), and gradients are summed and applied after them. With several replicas XLA
therefore compiles the frozen backbone, and nothing of a network trained from scratch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from fastmri_cls.augment.batch import WHOLE_BATCH, Batch, ReplicaSlice
from fastmri_cls.foundation.gpus import visible_gpus
from fastmri_cls.foundation.private_api import all_layers, skip_gradient_reduction
from fastmri_cls.training.drops import Drops, Factors, drop_seed
from fastmri_cls.training.replicas import Replicas

# If at least so many weights train, XLA compiles their update. That takes about a second; tens of steps save it again.
_MANY_WEIGHTS = 2_000_000


@dataclass(frozen=True)
class StepOptions:
    """What the compiled step depends on.

    Attributes:
        num_classes: outputs of the model.
        label_smoothing: of the loss, 0 to 1.
        seed: of all draws.
        xla: whether XLA compiles the step.
    """

    num_classes: int
    label_smoothing: float
    seed: int
    xla: bool


class Step:
    """The step of a model that is compiled with its optimizer.

    Args:
        model: the model.
        options: see there.
        replicas: the devices that share the batch.

    Attributes:
        train: images, targets, weights, seed (see `drop_seed`), slice of a replica -> this replica's part of
            the batch's loss, float32 [], and whether each prediction is correct, float32 [batch]; updates the model.
        evaluate: images, targets -> the loss of each example, regularisation included, float32 [batch], and the
            predicted classes, int64 [batch].
    """

    def __init__(self, model: keras.Model, options: StepOptions, replicas: Replicas) -> None:
        self._model = model
        self._optimizer = model.optimizer
        self._options = options
        self._replicas = replicas
        # Everything the graph uses is made before it is traced: trainable weights and the optimizer's slots.
        self._trainable = model.trainable_variables
        with replicas.strategy.scope():
            self._optimizer.build(self._trainable)
        self._apply: Callable[[list[tf.Tensor]], None] = self._apply_gradients
        self._drops = Drops(model)
        self._forward = self._drops.forward(model)
        self.train: Callable[..., tuple[tf.Tensor, tf.Tensor]]
        if replicas.count == 1:
            if not options.xla and (visible_gpus() or _num_weights(self._trainable) >= _MANY_WEIGHTS):
                # Adam alone is 20 kernels a variable, too small to fill a GPU and each a pass over memory on a CPU.
                self._apply = tf.function(self._apply_gradients, jit_compile=True, autograph=False)
            self.train = tf.function(self._train_alone, jit_compile=options.xla, autograph=False)
        else:
            _synchronize(model)
            # Keras' optimizer clips and looks for infinities before it sums: it gets gradients that are summed.
            skip_gradient_reduction(self._optimizer)
            if options.xla:
                self._forward = _compiled(model, self._drops)
            self.train = self._train_together
        self.evaluate = tf.function(self._evaluate, jit_compile=options.xla, autograph=False)

    def train_sums(self, batch: Batch, seed: tf.Tensor, part: ReplicaSlice = WHOLE_BATCH) -> tf.Tensor:
        """Train on one replica's rows; return its part of the loss, its correct predictions and rows, float32 [3].

        Args:
            batch: the rows, augmented.
            seed: of the step.
            part: which rows of the batch they are.
        """
        loss, correct = self.train(*batch, drop_seed(seed), part)
        return tf.stack([loss, tf.reduce_sum(correct), float(correct.shape[0])])

    def evaluate_sums(self, batch: Batch) -> tf.Tensor:
        """Return sums over one replica's rows, float32 [3 + classes^2]: loss, correct ones, weight, confusion."""
        images, targets, weights = batch
        losses, predicted = self.evaluate(tf.cast(images, tf.float32), targets)
        weighted, chosen = targets * weights[:, None], tf.one_hot(predicted, targets.shape[1])
        # A product of matrices, since tf.math.confusion_matrix checks its labels on the host.
        confusion = tf.matmul(weighted, chosen, transpose_a=True)
        sums = [tf.reduce_sum(losses * weights), tf.reduce_sum(weighted * chosen), tf.reduce_sum(weights)]
        return tf.concat([tf.stack(sums), tf.reshape(confusion, [-1])], axis=0)

    def _train_alone(self, *arguments: Any) -> tuple[tf.Tensor, tf.Tensor]:
        loss, correct, gradients = self._differentiate(*arguments)
        self._apply(gradients)
        return loss, correct

    def _apply_gradients(self, gradients: list[tf.Tensor]) -> None:
        self._optimizer.apply(gradients, self._trainable)

    def _train_together(self, *arguments: Any) -> tuple[tf.Tensor, tf.Tensor]:
        loss, correct, gradients = self._differentiate(*arguments)
        replica = tf.distribute.get_replica_context()
        self._apply(replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients))
        return loss, correct

    def _differentiate(
        self,
        images: tf.Tensor,
        targets: tf.Tensor,
        weights: tf.Tensor,
        seed: tf.Tensor,
        part: ReplicaSlice = WHOLE_BATCH,
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        factors = self._drops.draw(seed, images.shape[0], part)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([variable.value for variable in self._trainable])
            probabilities = self._forward(images, factors)
            # Like Keras, and so like the published code: divided by the batch size, not by the sum of the weights.
            loss = tf.reduce_mean(self._losses(probabilities, targets) * weights) + self._regularization()
            if self._replicas.count > 1:
                loss /= self._replicas.count  # the sum over replicas is the mean over the whole batch
            scaled = self._optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, [variable.value for variable in self._trainable])
        return loss, _is_correct(probabilities, targets), gradients

    def _evaluate(self, images: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        probabilities = self._model(images, training=False)
        return self._losses(probabilities, targets) + self._regularization(), tf.argmax(probabilities, axis=1)

    def _losses(self, probabilities: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        smoothing = self._options.label_smoothing
        return keras.losses.categorical_crossentropy(targets, probabilities, label_smoothing=smoothing)

    def _regularization(self) -> tf.Tensor:
        return tf.add_n(self._model.losses) if self._model.losses else tf.constant(0.0)


def _num_weights(variables: Sequence[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) for variable in variables)


def _is_correct(probabilities: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.argmax(probabilities, axis=1) == tf.argmax(targets, axis=1), tf.float32)


def _synchronize(model: keras.Model) -> None:
    """Let BatchNormalization take its statistics over all replicas' rows; a saved model is built anew without this."""
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _compiled(model: keras.Model, drops: Drops) -> Callable[[tf.Tensor, Factors], tf.Tensor]:
    """Return the forward pass in training, compiled up to the first layer that trains BatchNormalization."""
    first = next((layer for layer in model.layers if _trains_batch_normalization(layer)), None)
    if isinstance(first, keras.Model):  # the backbone itself
        return drops.forward(model)
    below = model if first is None else keras.Model(model.inputs, first.input)
    compiled = tf.function(drops.forward(below), jit_compile=True, autograph=False)
    if first is None:
        return compiled
    above = drops.forward(keras.Model(first.input, model.outputs[0]))
    return lambda images, factors: above(compiled(images, factors), factors)


def _trains_batch_normalization(layer: keras.Layer) -> bool:
    return any(isinstance(part, keras.layers.BatchNormalization) and part.trainable for part in all_layers(layer))
