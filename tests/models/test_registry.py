"""Models by name: which there are, what an unknown name is answered with, and an ordinary model of one."""

import keras
import numpy as np
import pytest

from fastmri_cls.api.models import create_model
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import names
from fastmri_cls.models.registry import BACKBONES, find_backbone, find_model, list_models
from tests.tiny_backbone import HYBRID, tiny

__all__ = ["tiny"]  # a fixture


def test_a_hybrid_is_named_by_its_pair(tiny):
    assert find_model("hybrid").name == "hybrid:densenet121-radimagenet+efficientnetv2s"
    assert find_model(HYBRID).name == HYBRID
    assert find_model("small-cnn").branches == (find_model("small-cnn"),)
    for wrong in ("hybrid:small-cnn", "hybrid:small-cnn+small-cnn", "hybrid:a+b+c"):
        with pytest.raises(UserError, match="two different backbones"):
            find_model(wrong)
    with pytest.raises(UserError, match=r"--model resnet: unknown.*small-cnn"):
        find_model("hybrid:small-cnn+resnet")
    with pytest.raises(UserError, match=r"--model resnet: unknown.*hybrid:A\+B"):
        find_model("resnet")


def test_models_are_listed_with_and_without_pretrained_weights(tiny):
    assert list_models() == list(BACKBONES)
    assert (*names.BACKBONES, "tiny") == tuple(BACKBONES)
    assert set(list_models()) - set(list_models(pretrained=True)) == {"small-cnn", "tiny"}


@pytest.mark.slow
def test_create_model_gives_a_model_of_keras_layers_with_the_weights_of_a_file(tmp_path):
    keras.utils.set_random_seed(4)
    trained = find_backbone("small-cnn").build((64, 64, 1))
    trained.save_weights(tmp_path / "small.weights.h5")
    model = create_model("small-cnn", 5, image_size=64, weights=str(tmp_path / "small.weights.h5"))
    assert model.input_shape == (None, 64, 64, 1)
    assert model.output_shape == (None, 5)
    base = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    for ours, its in zip(base.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, its)
    assert {type(layer).__module__.split(".")[0] for layer in (*model.layers, *base.layers)} == {"keras"}
    model.compile("sgd", "sparse_categorical_crossentropy")
    images = np.random.default_rng(0).uniform(0, 255, (8, 64, 64, 1)).astype(np.float32)
    model.fit(images, np.arange(8) % 5, verbose=0)
    assert not np.array_equal(base.get_weights()[0], trained.get_weights()[0])


def test_create_model_names_what_it_does_not_know():
    with pytest.raises(UserError, match=r"--model resnet: unknown.*small-cnn"):
        create_model("resnet", 4)
    with pytest.raises(UserError, match=r"--weights imagenet: no such file or RUN; for small-cnn give default, none"):
        create_model("small-cnn", 4, 64, weights="imagenet")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"num_classes": 1}, "num_classes 1: give at least 2"),
        ({"channels": 2}, "channels 2: choose one of 1, 3"),
        ({"preprocessing": "torch"}, "preprocessing torch: choose one of own, keras, densenet"),
    ],
)
def test_create_model_refuses_what_no_model_can_be(arguments, says):
    with pytest.raises(UserError, match=says):
        create_model(**{"name": "small-cnn", "num_classes": 4} | arguments)
