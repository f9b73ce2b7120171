"""Grad-CAM: it finds what was put there, it depends on the weights, and it works on every backbone."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from fastmri_cls.inference.gradcam import make_explain, overlay
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import BACKBONES
from fastmri_cls.models.surgery import split_classifier
from fastmri_cls.runs.run import Run
from fastmri_cls.sources.decode import resize
from fastmri_cls.sources.phantom import CLASSES, draw_phantom

pytestmark = pytest.mark.slow

SIZE = 128
TUMOURS = [label for label in CLASSES if label != "notumor"]


@pytest.fixture(scope="module")
def model(trained_run: Path) -> keras.Model:
    return Run(trained_run).model()


@pytest.fixture(scope="module")
def tumours() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Phantoms no training has seen: images, where each lesion is, labels."""
    rng = np.random.default_rng(2026)
    labels = [label for label in TUMOURS for _ in range(30)]
    drawn = [draw_phantom(label, rng, 160) for label in labels]
    images = [resize(image, SIZE, "bilinear") for image, _ in drawn]
    lesions = [resize(lesion.astype(np.uint8) * 255, SIZE, "bilinear") > 127 for _, lesion in drawn]
    return np.stack(images)[..., None], np.stack(lesions), np.array([CLASSES.index(label) for label in labels])


def test_the_heat_is_on_the_lesion_of_most_tumours(model, tumours):
    images, lesions, labels = tumours
    correct = model.predict(images, verbose=0).argmax(axis=1) == labels
    assert correct.mean() > 0.8
    assert hits(make_explain(model)(images[correct], labels[correct]), lesions[correct]) >= 0.8


def test_the_heat_depends_on_the_weights(model, tumours):
    """Adebayo et al. 2018: shuffle the weights from the top down, and an explanation has to change."""
    images, lesions, labels = (part[::3] for part in tumours)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    before = make_explain(copy)(images, labels)
    assert hits(before, lesions) >= 0.8
    rng = np.random.default_rng(0)
    base = next(layer for layer in copy.layers if isinstance(layer, keras.Model))
    head = [layer for layer in copy.layers if isinstance(layer, keras.layers.Dense)]
    convolutions = [layer for layer in base.layers if isinstance(layer, keras.layers.Conv2D)]
    for shuffled, most_hits in ((head, 0.8), (convolutions, 0.5)):  # shuffled heads alone: .4 to .67, before 1
        for layer in shuffled:
            layer.kernel.assign(rng.permutation(layer.kernel.numpy().ravel()).reshape(layer.kernel.shape))
        after = make_explain(copy)(images, labels)
        assert hits(after, lesions) < most_hits
        assert similarity(before, after) < 0.7


def test_another_class_has_another_heat(model, tumours):
    images, lesions, labels = tumours
    explain = make_explain(model)
    own, other = (explain(images, (labels + shift) % len(CLASSES)) for shift in (0, 2))
    assert similarity(own, other) < 0.8
    assert hits(other, lesions) < hits(own, lesions) - 0.2


def hits(heat: np.ndarray, lesions: np.ndarray) -> float:
    """The share of images whose hottest pixel is on the lesion."""
    hottest = heat.reshape(len(heat), -1).argmax(axis=1)
    return float(lesions.reshape(len(heat), -1)[np.arange(len(heat)), hottest].mean())


def similarity(one: np.ndarray, other: np.ndarray) -> float:
    """The median correlation of two heats of an image."""
    pairs = zip(one, other, strict=True)
    return float(np.nanmedian([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))


def test_the_parts_together_are_the_model(model, tumours):
    parts = split_classifier(model)
    images = tumours[0][::9].astype(np.float32)
    _, (output_map,) = parts.backbone(parts.preprocessing(images))
    logits = parts.head([output_map]).numpy() @ parts.last.kernel.numpy() + parts.last.bias.numpy()
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(softmax(logits, axis=1), expected, atol=1e-5)
    features, probabilities = parts.forward(images)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(features, output_map.numpy().mean(axis=(1, 2)), atol=1e-4)


def test_the_heat_is_where_covering_changes_the_logit_most(model, tumours):
    """Another way to ask: the pixels below the hottest quarter matter more than as many below the coldest."""
    images, _, labels = (part[::6] for part in tumours)
    heat = make_explain(model)(images, labels)
    order = heat.reshape(len(heat), -1).argsort(axis=1)
    count = order.shape[1] // 4
    brain = int(np.median(images))

    def loss_without(pixels: np.ndarray) -> float:
        covered = images.reshape(len(images), -1).copy()
        np.put_along_axis(covered, pixels, brain, axis=1)
        probabilities = model.predict(covered.reshape(images.shape), verbose=0)
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())

    assert loss_without(order[:, -count:]) > loss_without(order[:, :count])


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "densenet121-imagenet"])  # built as the other
def test_every_backbone_has_heat_at_a_quarter_of_the_size(name):
    keras.utils.set_random_seed(0)
    classifier = build_classifier(BACKBONES[name], ClassifierOptions(4, 32, 1))
    images = np.stack([draw_phantom(label, np.random.default_rng(1), 32)[0] for label in TUMOURS])[..., None]
    heat = make_explain(classifier.model)(images, np.array([0, 1, 3]))
    assert heat.shape == (3, 32, 32)
    assert np.isfinite(heat).all()
    assert (heat.max(axis=(1, 2)) == 1).any()
    assert split_classifier(classifier.model).backbone.outputs[0].shape[1:3] == (8, 8)


def test_an_overlay_leaves_cold_places_as_they_are(tmp_path):
    image = np.full((8, 8, 1), 100, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[2, 3] = 1
    drawn = overlay(image, heat)
    Image.fromarray(drawn).save(tmp_path / "drawn.png")
    changed = (drawn != 100).any(axis=-1)
    assert changed.sum() == 1
    assert changed[2, 3]
