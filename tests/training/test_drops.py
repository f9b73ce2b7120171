"""The numbers of dropout: a function of seed, epoch and step alone, as many as they should be, the same everywhere."""

from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmri_cls.augment.batch import ReplicaSlice
from fastmri_cls.augment.policies import make_augmentation, step_seed
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.keyed_dropout import KeyedDropout
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.training.drops import Drops, drop_seed
from fastmri_cls.training.engine import Engine, StepOptions
from fastmri_cls.training.optimizers import make_optimizer
from tests.training.test_engine import CLASSES, batches

pytestmark = pytest.mark.slow

BATCH = 6


def blocks(*rates: float) -> keras.Model:
    """Drop-connect at each rate, then dropout of four units at the first one."""
    x = inputs = keras.Input((2, 2, 4))
    for rate in rates:
        x = KeyedDropout(rate, noise_shape=(None, 1, 1, 1))(x)
    return keras.Model(inputs, KeyedDropout(rates[0])(keras.layers.GlobalAveragePooling2D()(x)))


def drawn(model: keras.Model, seed: int = 0, epoch: int = 0, step: int = 0, batch: int = BATCH, **more) -> np.ndarray:
    """The factors of all layers, [batch, numbers of an example]."""
    return np.concatenate(Drops(model).draw(drop_seed(step_seed(seed, epoch, step)), batch, **more), axis=1)


def test_the_draws_of_a_step_are_those_of_its_seed_epoch_and_number():
    model, other = blocks(0.5, 0.5, 0.5), blocks(0.5, 0.5, 0.5)
    steps = {key: drawn(model, *key, batch=32) for key in product(range(2), repeat=3)}
    for key, factors in steps.items():
        np.testing.assert_array_equal(drawn(other, *key, batch=32), factors)
    assert len({factors.tobytes() for factors in steps.values()}) == len(steps)
    numbers = next(iter(steps.values()))
    for table in (numbers, numbers.T):  # of images, of blocks and units
        assert len({row.tobytes() for row in table}) > 0.9 * len(table)  # seven numbers of a coin may be alike


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.01, 0.9), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_as_many_are_dropped_as_the_rate_says_and_the_mean_stays(rates, seed):
    count = 4096
    factors = drawn(blocks(*rates), seed, batch=count)
    for rate, column in zip([*rates, *rates[:1] * 4], factors.T, strict=True):
        np.testing.assert_allclose(np.unique(column), [0, 1 / (1 - rate)], rtol=1e-6)
        error = np.sqrt(rate * (1 - rate) / count)
        assert abs((column == 0).mean() - rate) < 6 * error
        assert column.mean() == pytest.approx(1, abs=6 * error / (1 - rate))


def test_replicas_take_their_rows_of_one_draw_and_xla_draws_the_same():
    model, seed = blocks(0.2, 0.7), drop_seed(step_seed(3, 1, 4))
    whole = drawn(model, 3, 1, 4)
    parts = [drawn(model, 3, 1, 4, batch=2, part=ReplicaSlice(tf.constant(r), 3)) for r in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    compiled = tf.function(lambda key: Drops(model).draw(key, BATCH), jit_compile=True)
    np.testing.assert_array_equal(np.concatenate(compiled(seed), axis=1), whole)


def test_a_layer_multiplies_by_what_was_drawn_for_it():
    model = blocks(0.3, 0.6)
    drops = Drops(model)
    factors = drops.draw(drop_seed(step_seed(0, 0, 0)), BATCH)
    images = np.random.default_rng(0).normal(size=(BATCH, 2, 2, 4)).astype(np.float32)
    expected = images.mean((1, 2)) * factors[0] * factors[1] * factors[2]
    np.testing.assert_allclose(drops.forward(model)(images, factors), expected, rtol=1e-5)
    np.testing.assert_array_equal(model(images, training=False), model(images))


def test_only_layers_that_drop_draw_and_a_saved_model_has_keras_own():
    model = blocks(0.5, 0.0, 0.25)
    assert [layer.rate for layer in Drops(model).layers] == [0.5, 0.25, 0.5]
    model.layers[1].rests_when_frozen = True
    model.trainable = False
    assert [layer.rate for layer in Drops(model).layers] == [0.25, 0.5]
    options = ClassifierOptions(4, 32, 1)
    kinds = {
        fast: {type(layer) for layer in build_classifier(find_backbone("small-cnn"), options, fast=fast).model.layers}
        for fast in (True, False)
    }
    assert KeyedDropout in kinds[True]
    assert keras.layers.Dropout in kinds[False]
    assert KeyedDropout not in kinds[False]


def test_training_does_not_depend_on_the_random_state_of_keras_layers():
    """Those of the second model are others, as after a resume that restored none."""
    results = []
    for layers_seed in (1, 2):
        inputs = keras.Input((8, 8, 1))
        x = KeyedDropout(0.5, seed=layers_seed)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs)))
        model = keras.Model(inputs, keras.layers.Dense(CLASSES, "softmax", kernel_initializer="ones")(x))
        model.compile(make_optimizer(1e-2, "float32"))
        engine = Engine(model, make_augmentation("none"), StepOptions(CLASSES, 0.1, 0, xla=False))
        engine.fit(batches(0), batches(1), 1, [])
        results.append(model.get_weights())
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
        assert not (one == 1).all()
