"""Heat maps of models that were not trained here: the same as ours for our own model, and for every kind of graph."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.inference.gradcam import make_explain
from fastmri_cls.referee.classes import ClassOrder
from fastmri_cls.referee.heat_maps import explain_model
from fastmri_cls.referee.preprocessing import NAMED
from fastmri_cls.runs.run import Run

ORDER = ClassOrder(("a", "b", "c"), [0, 1, 2], "test")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


def convolutions(dtype: str = "float32") -> list[keras.Layer]:
    return [
        keras.Input((32, 32, 3), dtype=dtype),
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(8, 3, strides=4, padding="same", activation="relu"),
        keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
    ]


def head(activation: str | None) -> list[keras.Layer]:
    return [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation=activation)]


@pytest.mark.slow
def test_our_own_model_has_the_heat_that_its_run_has(trained_run: Path) -> None:
    model = Run(trained_run).model()
    size, channels = model.input_shape[1], model.input_shape[3]
    drawn = np.random.default_rng(1).integers(0, 256, (6, size, size, channels), np.uint8)
    labels = np.array([0, 1, 2, 3, 0, 1])
    ours = make_explain(model)(drawn, labels)
    names = tuple(Run(trained_run).config.classes)
    for columns in ([0, 1, 2, 3], [1, 2, 3, 0]):
        explain = explain_model(model, NAMED["0..255"], ClassOrder(names, columns, "test"))
        assert explain is not None
        theirs = explain(drawn, np.argsort(columns)[labels])
        assert ours.max() == 1
        np.testing.assert_allclose(theirs, ours, atol=1e-3)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_a_nested_graph_has_the_heat_of_the_flat_one(images: np.ndarray, activation: str | None) -> None:
    keras.utils.set_random_seed(3)
    flat = keras.Sequential([*convolutions(), *head(activation)])
    backbone = keras.Sequential(convolutions())
    functional = keras.Model(backbone.inputs[0], backbone.outputs[0])
    nested = keras.Sequential([keras.Input((32, 32, 3)), functional, *head(activation)])
    twice = keras.Sequential([keras.Input((32, 32, 3)), keras.Sequential([nested])])
    for model in (nested, twice):
        model.set_weights(flat.get_weights())
    heats = [explain_model(model, NAMED["0..255"], ORDER) for model in (flat, nested, twice)]
    maps = [heat(images, np.array([0, 1, 2, 0, 1])) for heat in heats if heat]
    assert [heat.shape for heat in maps] == [(5, 32, 32)] * 3
    assert maps[0].max() == 1
    for heat in maps[1:]:
        np.testing.assert_allclose(heat, maps[0], atol=1e-4)


def test_a_nested_layer_may_have_the_name_of_one_around_it(images: np.ndarray) -> None:
    keras.utils.set_random_seed(6)
    backbone = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Conv2D(8, 3, strides=4, name="same")])
    last = [keras.layers.Conv2D(8, 3, name="same_too"), *head("softmax")]
    model = keras.Sequential([keras.Input((32, 32, 3)), backbone, *last])
    classes = np.array([0, 1, 2, 0, 1])
    expected = explain_model(model, NAMED["0..255"], ORDER)(images, classes)
    last[0].name = "same"
    explain = explain_model(model, NAMED["0..255"], ORDER)
    np.testing.assert_array_equal(explain(images, classes), expected)
    assert last[0].name == "same"


@pytest.mark.parametrize("packed", [lambda tensor: [tensor], lambda tensor: {"only": tensor}])
def test_a_model_that_packs_its_input_and_output_has_the_same_heat(images: np.ndarray, packed: Any) -> None:
    keras.utils.set_random_seed(3)
    flat = keras.Sequential([*convolutions(), *head("softmax")])
    inside = keras.Model(packed(flat.inputs[0]), packed(flat.outputs[0]))
    again = keras.Input((32, 32, 3), name="again")
    result = tf.nest.flatten(inside(packed(again)))[0]
    nested = keras.Model(packed(again), packed(keras.layers.Activation("linear")(result)))
    expected, *found = (explain_model(model, NAMED["0..255"], ORDER) for model in (flat, inside, nested))
    for explain in found:
        classes = np.array([0, 1, 2, 0, 1])
        np.testing.assert_allclose(explain(images, classes), expected(images, classes), atol=1e-4)


def test_a_softmax_and_its_logits_have_the_same_heat(images: np.ndarray) -> None:
    keras.utils.set_random_seed(4)
    logits = keras.Sequential([*convolutions(), *head(None)])
    softmax = keras.Sequential([logits, keras.layers.Softmax()])
    heats = [explain_model(model, NAMED["0..255"], ORDER) for model in (logits, softmax)]
    first, second = (heat(images, np.array([2, 1, 0, 1, 2])) for heat in heats if heat)
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_integers_have_the_heat_of_floats(images: np.ndarray) -> None:
    keras.utils.set_random_seed(5)
    floats = keras.Sequential([*convolutions(), *head("softmax")])
    integers = keras.Sequential([*convolutions("uint8"), *head("softmax")])
    integers.set_weights(floats.get_weights())
    heats = [explain_model(model, NAMED["0..255"], ORDER) for model in (floats, integers)]
    first, second = (heat(images, np.array([0, 1, 2, 0, 1])) for heat in heats if heat)
    np.testing.assert_allclose(first, second, atol=0.15)  # the blurred images are rounded down


def test_a_model_without_a_feature_map_has_no_heat() -> None:
    dense = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    assert explain_model(dense, NAMED["0..255"], ORDER) is None
