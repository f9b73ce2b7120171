"""Two backbones under one head: what it computes, trains, stores as features, saves and explains."""

import keras
import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.gradcam import make_explain
from fastmri_cls.models.backbones import unfrozen_layers
from fastmri_cls.models.head import Classifier, ClassifierOptions, build_classifier, float32_copy, freeze_for_phase
from fastmri_cls.models.registry import Backbone, find_model
from fastmri_cls.models.surgery import cut_classifier, find_cut, split_classifier
from tests.tiny_backbone import HYBRID, tiny

__all__ = ["tiny"]  # a fixture

SIZE = 64


@pytest.fixture(scope="module")
def classifier(tiny: Backbone) -> Classifier:
    keras.utils.set_random_seed(0)
    return build_classifier(find_model(HYBRID), ClassifierOptions(4, SIZE, 1))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, (3, SIZE, SIZE, 1)).astype(np.float32)


def pooled_by_hand(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    small, other = classifier.bases
    rgb = keras.applications.densenet.preprocess_input(np.repeat(images, 3, axis=3))
    maps = small(images / 127.5 - 1).numpy(), other(rgb).numpy()
    return np.concatenate([one.mean(axis=(1, 2)) for one in maps], axis=1)


def test_the_head_sees_both_backbones_pooled_features_each_with_its_own_preprocessing(classifier, images):
    pooled, probabilities = split_classifier(classifier.model).forward(images)
    expected = pooled_by_hand(classifier, images)
    np.testing.assert_allclose(pooled, expected, rtol=1e-4, atol=1e-5)
    x = expected
    for layer in classifier.model.layers[-6:]:  # batch normalisation, then dense layers and dropouts
        x = layer(x)
    np.testing.assert_allclose(probabilities, x, atol=1e-5)


def test_phase_2_unfreezes_the_same_share_of_each_backbone(classifier):
    freeze_for_phase(classifier, 1, 0.2, from_scratch=False)
    assert len(classifier.model.trainable_variables) == 8
    freeze_for_phase(classifier, 2, 0.2, from_scratch=False)
    for base in classifier.bases:
        trained = [layer for layer in base.layers if layer.trainable and layer.weights]
        assert trained == [layer for layer in unfrozen_layers(base, 0.2) if layer.weights]


def test_a_layer_by_name_unfreezes_the_backbone_that_has_it(classifier):
    small, other = classifier.bases
    freeze_for_phase(classifier, 2, "tiny_2", from_scratch=False)
    assert not small.trainable_variables
    assert len(other.trainable_variables) == 4  # two convolutions; BatchNormalization stays frozen
    with pytest.raises(UserError, match=r"--unfreeze tiny_9: small_cnn \+ tiny_2 has no such layer; the nearest names"):
        freeze_for_phase(classifier, 1, "tiny_9", from_scratch=False)


@pytest.mark.parametrize("unfreeze", [0.4, "tiny_3"])
def test_trunk_tail_and_head_are_the_whole_and_the_last_two_train_what_phase_2_trains(classifier, images, unfreeze):
    freeze_for_phase(classifier, 2, unfreeze, from_scratch=False)
    parts = cut_classifier(classifier, unfreeze)
    shares = [unfreeze if unfreeze == 0.4 else 0.0, unfreeze]
    cuts = [
        find_cut(base, share)._keras_history.operation.name
        for base, share in zip(classifier.bases, shares, strict=True)
    ]
    assert parts.cut == " + ".join(cuts)
    features, whole = parts.trunk(images), classifier.model(images)
    assert features.shape.rank == 2
    np.testing.assert_allclose(parts.tail_and_head(features), whole, atol=1e-5)
    np.testing.assert_allclose(parts.tail(features), pooled_by_hand(classifier, images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(parts.head(parts.tail(features)), whole, atol=1e-5)
    assert {id(v) for v in parts.tail_and_head.trainable_variables} == {
        id(v) for v in classifier.model.trainable_variables
    }
    assert not parts.trunk.trainable_variables


def test_a_saved_hybrid_is_one_ordinary_model_that_explains_itself(classifier, images, tmp_path):
    float32_copy(classifier).model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), classifier.model(images), atol=1e-5)
    parts = split_classifier(loaded)
    fine_maps, output_maps = parts.backbone(parts.preprocessing(images))
    assert [one.shape[1:3] for one in fine_maps] == [(16, 16), (16, 16)]
    logits = parts.head(output_maps).numpy() @ parts.last.kernel.numpy() + parts.last.bias.numpy()
    np.testing.assert_allclose(keras.ops.softmax(logits), loaded(images), atol=1e-5)
    heat = make_explain(loaded)(images, np.array([0, 1, 2]))
    assert heat.shape == (3, SIZE, SIZE)
    assert np.isfinite(heat).all()


def test_the_heat_of_a_hybrid_is_what_both_backbones_say(classifier, images):
    """With the head deaf to one backbone, the heat is that of the other alone."""
    model = float32_copy(classifier).model
    first_dense = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    units = classifier.bases[0].output_shape[-1]
    kernel, bias = first_dense.get_weights()
    labels = np.array([0, 1, 2])
    explain = make_explain(model)
    both = explain(images, labels)
    heats = []
    for deaf in (slice(None, units), slice(units, None)):
        changed = kernel.copy()
        changed[deaf] = 0
        first_dense.set_weights([changed, bias])
        heats.append(explain(images, labels))
    assert np.abs(heats[0] - heats[1]).max() > 0.1
    assert np.abs(both - heats[0]).max() > 0.01


@pytest.mark.slow
def test_two_backbones_of_one_architecture_can_stand_side_by_side():
    pair = "hybrid:densenet121-radimagenet+densenet121-imagenet"
    classifier = build_classifier(find_model(pair), ClassifierOptions(4, 32, 1))
    assert classifier.model(np.zeros((1, 32, 32, 1), np.float32)).shape == (1, 4)
