"""Where backbones are cut, and that the parts together are the whole."""

import keras
import numpy as np
import pytest

from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
from fastmri_cls.models.registry import BACKBONES, find_backbone
from fastmri_cls.models.surgery import cut_classifier, find_cut

pytestmark = pytest.mark.slow

CUTS = {
    "densenet121-radimagenet": "conv5_block4_concat",
    "densenet121-imagenet": "conv5_block4_concat",
    "efficientnetv2s": "block6h_add",
    "convnext-tiny": "add",
    "efficientnet-lite0": "b12_add",
    "small-cnn": "activation",
}


@pytest.mark.parametrize("name", list(BACKBONES))
def test_trunk_tail_and_head_are_the_whole_and_the_last_two_train_what_phase_2_trains(name):
    keras.utils.set_random_seed(0)
    classifier = build_classifier(find_backbone(name), ClassifierOptions(4, 64, 1))
    freeze_for_phase(classifier, 2, 0.2, from_scratch=False)
    parts = cut_classifier(classifier, 0.2)
    assert parts.cut.rstrip("_0123456789") == CUTS[name].rstrip("_0123456789")
    images = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 1)).astype(np.float32)
    features, whole = parts.trunk(images), classifier.model(images)
    np.testing.assert_allclose(parts.tail_and_head(features), whole, atol=1e-5)
    np.testing.assert_allclose(parts.head(parts.tail(features)), whole, atol=1e-5)
    assert not parts.trunk.trainable_variables
    top, all_trained = parts.tail_and_head.trainable_variables, classifier.model.trainable_variables
    assert {id(v) for v in top} == {id(v) for v in all_trained}


def test_the_cut_follows_the_unfrozen_share():
    base = build_classifier(find_backbone("densenet121-imagenet"), ClassifierOptions(4, 32, 1)).base
    assert find_cut(base, 0.0) is base.outputs[0]
    places = [base.operations.index(find_cut(base, u)._keras_history.operation) for u in (0.05, 0.2, 0.5, 1.0)]
    assert places == sorted(places, reverse=True)


def test_two_frozen_branches_are_not_cut_apart():
    """Where two tensors cross below the first trained layer, the cut lies below both."""
    inputs = keras.Input((3,))
    lower = keras.layers.Dense(4)(inputs)
    beside = keras.layers.Dense(4)(inputs)
    base = keras.Model(inputs, keras.layers.Add()([beside, keras.layers.Dense(4)(lower)]))
    assert find_cut(base, 0.4) is base.inputs[0]
