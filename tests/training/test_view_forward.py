"""A view by OpenVINO is the one by Keras up to rounding, and is taken only where it is that and faster."""

from itertools import combinations
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.models.surgery import cut_classifier
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training import feature_store, view_forward
from fastmri_cls.training.data import load_training_data, training_selection
from fastmri_cls.training.feature_store import FeatureStore, Source
from fastmri_cls.training.phases import _stages
from fastmri_cls.training.view_forward import ViewBatch, ViewForward
from tests.tiny_backbone import tiny

pytestmark = pytest.mark.slow

__all__ = ["tiny"]  # a fixture

BATCH, KEY = 4, tf.constant([3, 1])


def forward(name: str, size: int = 64, *, frozen_mode: str = "training", unfreeze: float | str = 0.2) -> ViewForward:
    keras.utils.set_random_seed(0)
    classifier = build_classifier(find_backbone(name), ClassifierOptions(4, size, 3))
    freeze_for_phase(classifier, 1, unfreeze, from_scratch=False, frozen_mode=frozen_mode)
    parts = cut_classifier(classifier, unfreeze)
    return ViewForward(classifier, parts, make_augmentation("paper"), BATCH, tf.float16)


def images(size: int = 64) -> tf.Tensor:
    return tf.constant(np.random.default_rng(0).integers(0, 256, (BATCH, size, size, 3), np.uint8))


def numbers(found: ViewBatch) -> tuple[np.ndarray, np.ndarray]:
    assert bool(found.finite)
    return found.cut.numpy().view(np.float16).astype(np.float32), found.pooled.numpy()


@pytest.fixture
def with_openvino(monkeypatch) -> None:
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    monkeypatch.setattr(view_forward, "_MIN_SPEEDUP", 0.0)  # however slow it is


@pytest.mark.parametrize(
    ("name", "size", "unfreeze", "mode"),
    [
        ("small-cnn", 64, 0.2, "training"),
        ("tiny", 64, "tiny_3", "training"),
        ("tiny", 64, "tiny_3", "inference"),
        ("convnext-tiny", 32, 0.2, "training"),
        ("efficientnetv2s", 32, 0.2, "training"),
    ],
)
def test_openvino_computes_the_same_view(name, size, unfreeze, mode, tiny, with_openvino, caplog):
    """With drop-connect in `tiny` and EfficientNetV2S, and ConvNeXt's LayerNormalization."""
    one, draws = forward(name, size, unfreeze=unfreeze, frozen_mode=mode), ((5, True), (6, True), (5, False))

    def views() -> list[np.ndarray]:
        found = [one(images(size), number, KEY, augmented=augmented) for number, augmented in draws]
        return [array for batch in found for array in numbers(batch)]

    expected = views()
    with caplog.at_level("INFO"):
        one.try_openvino(images(size), KEY)
    assert "feature views by OpenVINO in float32" in caplog.text
    assert one.engine == "openvino"
    for found, exact in zip(views(), expected, strict=True):
        np.testing.assert_allclose(found, exact, atol=2e-3 * np.abs(exact).max())  # float16, and sums in another order
    cuts = expected[::2]
    for a, b in combinations(cuts, 2):  # what is drawn matters
        assert np.abs(a - b).max() > 0.01 * np.abs(a).max()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "_TOLERANCES",
            {"float32": -1.0},
            "note: OpenVINO is not used; in float32: features, scaled to length 1, differ by at most",
        ),
        ("_MIN_SPEEDUP", 1e9, "OpenVINO was tried: "),
        ("read_frozen", None, "note: OpenVINO cannot read the network (Model wasn't fully converted)"),
        ("fast_precisions", lambda core: ("bfloat16",), ""),
    ],
)
def test_keras_goes_on_where_openvino_is_no_better(name, value, said, with_openvino, monkeypatch, caplog):
    def fail(core, frozen):
        raise RuntimeError("Model wasn't\n fully converted")

    monkeypatch.setattr(view_forward, name, fail if value is None else value)
    one = forward("small-cnn")
    expected = numbers(one(images(), 5, KEY, augmented=True))
    with caplog.at_level("INFO"):
        one.try_openvino(images(), KEY)
    assert caplog.text.count("OpenVINO") == bool(said)
    assert said in caplog.text
    assert one.engine == "keras"
    for found, exact in zip(numbers(one(images(), 5, KEY, augmented=True)), expected, strict=True):
        np.testing.assert_array_equal(found, exact)


@pytest.mark.parametrize(
    ("changed", "is_tried"),
    [
        ({}, True),
        ({"_WORTHWHILE": 10**9}, False),
        ({"is_installed": lambda: False}, False),
        ({"deterministic": 1}, False),
    ],
)
def test_it_is_tried_where_it_is_installed_and_pays(changed, is_tried, dataset, cache, tmp_path, monkeypatch):
    tried: list[tf.Tensor] = []
    monkeypatch.setattr(ViewForward, "try_openvino", lambda self, images, key: tried.append(images))
    for name, value in ({"_WORTHWHILE": 1e-9, "is_installed": lambda: True} | changed).items():
        monkeypatch.setattr(feature_store, name, value, raising=False)
    opened, protocol = Dataset(dataset), resolve_protocol("strict", {})
    keras.utils.set_random_seed(0)
    classifier = build_classifier(find_backbone("small-cnn"), ClassifierOptions.for_dataset(opened))
    options = TrainOptions(
        dataset, "small-cnn", tmp_path, protocol, feature_views=1, deterministic="deterministic" in changed
    )
    data = load_training_data(opened, protocol, "none", 0, None)
    _stages(classifier, data, options, opened, 1)
    assert len(tried) == is_tried
    _stages(classifier, data, options, opened, 1)  # all views are in the cache now
    assert len(tried) == is_tried


def test_a_training_to_be_repeated_bit_for_bit_uses_no_view_of_openvino(dataset, cache):
    opened = Dataset(dataset)
    selected = training_selection(opened.manifest, resolve_protocol("strict", {}), None)
    keras.utils.set_random_seed(0)
    classifier = build_classifier(find_backbone("small-cnn"), ClassifierOptions.for_dataset(opened))
    freeze_for_phase(classifier, 1, 0.2, from_scratch=False)
    made = (
        classifier,
        cut_classifier(classifier, 0.2),
        Source(opened, selected, selected),
        make_augmentation("paper"),
        {},
    )

    def facts(*, keras_alone: bool) -> Path:
        FeatureStore(*made, keras_alone=keras_alone).provide([(selected, 0)])
        (found,) = cache.glob("*/facts.json")
        return found

    by_keras = facts(keras_alone=False).read_text()
    by_openvino = by_keras.replace('"engine": "keras"', '"engine": "openvino"')
    assert by_openvino != by_keras
    facts(keras_alone=True).write_text(by_openvino)
    assert facts(keras_alone=False).read_text() == by_openvino
    assert facts(keras_alone=True).read_text() == by_keras
