"""The engine against Keras' own fit: the same batches give the same weights, losses and learning rates."""

import signal
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.foundation.errors import Stopped, UserError
from fastmri_cls.models.keyed_dropout import KeyedDropout
from fastmri_cls.training import loops, step
from fastmri_cls.training.checkpoint import Checkpoint, Checkpoints
from fastmri_cls.training.engine import Engine, StepOptions
from fastmri_cls.training.optimizers import make_optimizer

STEPS, BATCH, CLASSES = 5, 8, 3


@dataclass(eq=False)
class FixedBatches:
    """The same batches in every epoch, from arrays."""

    images: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    batch_size: int = BATCH
    steps_per_epoch: int = STEPS
    count: int = STEPS

    @property
    def examples(self) -> "FixedBatches":
        return self

    def fetch(self, element: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return element

    def stream(self, epoch: int, first_step: int = 0) -> tf.data.Dataset:
        columns = {"image": self.images, "label": self.labels, "weight": self.weights}
        return tf.data.Dataset.from_tensor_slices(columns).batch(BATCH, drop_remainder=True).repeat().skip(first_step)

    def files(self, epoch: int, step: int) -> list[str]:
        return [f"drawn/{step * BATCH + row}.png" for row in range(BATCH)]


def batches(seed: int, weights: tuple[float, ...] = (0.5, 1.0, 2.0)) -> FixedBatches:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, STEPS * BATCH)
    images = rng.integers(0, 255, (STEPS * BATCH, 8, 8, 1)).astype(np.uint8)
    return FixedBatches(images, labels, np.array(weights, np.float32)[labels])


def small_model(dropout: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(x))
    x = KeyedDropout(dropout)(keras.layers.Flatten()(x))
    x = keras.layers.Dense(CLASSES, "softmax", kernel_regularizer=keras.regularizers.L2(1e-2))(x)
    return keras.Model(inputs, x)


class Logs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.rows = []

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append(dict(logs))


def callbacks() -> list[keras.callbacks.Callback]:
    return [
        keras.callbacks.EarlyStopping("val_accuracy", mode="max", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", mode="min", factor=0.2, patience=1, min_lr=1e-7),
    ]


@pytest.mark.slow
def test_the_engine_trains_as_keras_fit_does():
    training, validation = batches(0), batches(1, weights=(1.0, 1.0, 1.0))

    theirs = small_model()
    smoothed = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    theirs.compile(keras.optimizers.Adam(1e-2), smoothed, metrics=["accuracy"])
    one_hot = [keras.utils.to_categorical(b.labels, CLASSES) for b in (training, validation)]
    history = theirs.fit(
        training.images.astype(np.float32), one_hot[0], batch_size=BATCH, sample_weight=training.weights, shuffle=False,
        validation_data=(validation.images.astype(np.float32), one_hot[1]), epochs=8, verbose=0, callbacks=callbacks(),
    )  # fmt: skip

    ours, logs = small_model(), Logs()
    ours.compile(make_optimizer(1e-2, "float32"))
    engine = Engine(ours, make_augmentation("none"), StepOptions(CLASSES, 0.1, 0, xla=False))
    engine.fit(training, validation, 8, [*callbacks(), logs])

    assert len(logs.rows) == len(history.epoch)
    # Keras' own running loss is weighted, its accuracy is not; ours are the same numbers.
    for name in ("loss", "val_loss", "val_accuracy"):
        np.testing.assert_allclose([row[name] for row in logs.rows], history.history[name], rtol=1e-4, err_msg=name)
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert float(ours.optimizer.learning_rate) == pytest.approx(float(theirs.optimizer.learning_rate))


@pytest.mark.slow
def test_a_compiled_update_of_many_weights_is_the_same_update(monkeypatch):
    """By momentum, since Adam's first steps amplify another rounding where a gradient is nearly 0."""
    weights, is_compiled = [], []
    for many in (10**9, 0):
        monkeypatch.setattr(step, "_MANY_WEIGHTS", many)
        model = small_model()
        model.compile(keras.optimizers.SGD(1e-2, momentum=0.9, clipnorm=1.0))
        engine = Engine(model, make_augmentation("none"), StepOptions(CLASSES, 0.1, 0, xla=False))
        engine.fit(batches(0), batches(1), 4, [])
        weights.append(model.get_weights())
        is_compiled.append(isinstance(engine._step._apply, type(engine._step.train)))
    assert is_compiled == [False, True]
    for a, b in zip(*weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_loss_that_is_not_finite_ends_the_training_with_its_step_and_files():
    training = batches(0)
    training.weights[3 * BATCH] = np.nan
    model = small_model()
    model.compile(make_optimizer(1e-3, "float32"))
    engine = Engine(model, make_augmentation("none"), StepOptions(CLASSES, 0.1, 0, xla=False))
    with pytest.raises(UserError, match=r"epoch 1, step 4: the loss is not finite.*: drawn/24.png, .*, drawn/31.png$"):
        engine.fit(training, batches(1), 2, [])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("after", [2, 7])  # calls of the graph: in the first epoch, in the second
def test_a_stopped_training_is_saved_and_ends_in_the_same_weights(tmp_path, monkeypatch, number, code, after):
    monkeypatch.setattr(loops, "STEPS_PER_CALL", (1, 1))

    def fit(checkpoints, start, *more):
        model, logs = small_model(dropout=0.5), Logs()
        model.compile(make_optimizer(1e-2, "float32"))
        engine = Engine(model, make_augmentation("none"), StepOptions(CLASSES, 0.1, 0, xla=False))
        with checkpoints.stopping_on_signals():
            engine.fit(batches(0), batches(1), 3, [*callbacks(), logs, *more], start, checkpoints)
        return model.get_weights()

    class Interrupt(keras.callbacks.Callback):
        calls = 0

        def on_train_batch_end(self, batch, logs=None):
            self.calls += 1
            if self.calls == after:
                signal.raise_signal(number)

    expected = fit(Checkpoints(tmp_path / "alone"), Checkpoint())
    with pytest.raises(Stopped, match="go on with train --resume") as stopped:
        fit(Checkpoints(tmp_path / "stopped"), Checkpoint(), Interrupt())
    assert stopped.value.exit_code == code
    saved = Checkpoints(tmp_path / "stopped").latest()
    assert (saved.progress.epoch, saved.progress.step) == divmod(after, STEPS)
    for ours, its in zip(fit(Checkpoints(tmp_path / "stopped"), saved), expected, strict=True):
        np.testing.assert_array_equal(ours, its)


def test_nothing_below_the_first_trainable_weight_is_differentiated():
    """The gradient graph of a frozen base holds no gradient of its convolution."""
    model = small_model()
    for layer in model.layers[:-1]:
        layer.trainable = False
    model.compile(make_optimizer(1e-3, "float32"))
    engine = Engine(model, make_augmentation("none"), StepOptions(CLASSES, 0.1, 0, xla=False))
    training = batches(0)
    batch, seed = engine._loops.as_batch(next(iter(training.stream(0)))), tf.constant([0, 0])
    graph = engine._step.train.get_concrete_function(*engine._augment(batch, seed), seed).graph
    assert not [op.type for op in graph.get_operations() if "Conv2DBackprop" in op.type]


def test_calls_grow_while_they_are_short_and_shrink_when_they_are_long():
    pace = loops.StepsPerCall(is_fixed=False)
    counts = []
    for seconds in (60.0, 0.1, 0.2, 0.4, 1.0, 5.0, 1.0):  # the first call traces
        pace.took(seconds)
        counts.append(pace.count)
    assert counts == [1, 2, 4, 8, 8, 4, 4]
    for _ in range(20):
        pace.took(1e-3)
    assert pace.count == loops.STEPS_PER_CALL[1]


def test_several_workers_never_differ_in_the_steps_of_a_call():
    pace = loops.StepsPerCall(is_fixed=True)
    for seconds in (60.0, 1e-3, 60.0):
        pace.took(seconds)
        assert pace.count == 16
