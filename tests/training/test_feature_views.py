"""Feature views: what they hold, and when they are found again."""

import shutil
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.models.surgery import cut_classifier
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
from fastmri_cls.training import feature_store, feature_views
from fastmri_cls.training.data import load_training_data, training_selection, validation_selection
from fastmri_cls.training.feature_store import Joined, Source
from fastmri_cls.training.feature_views import make_feature_data
from tests.tiny_backbone import tiny

pytestmark = pytest.mark.slow

__all__ = ["tiny"]  # a fixture

VIEWS = 3


def make(
    dataset: Path,
    name: str = "small-cnn",
    precision: str = "float32",
    seed: int = 0,
    *,
    fold: int | None = None,
    views: int = VIEWS,
):
    keras.utils.set_random_seed(0)
    classifier = build_classifier(find_backbone(name), ClassifierOptions(4, 64, 1, precision=precision))
    freeze_for_phase(classifier, 1, 0.2, from_scratch=False)
    parts = cut_classifier(classifier, 0.2)
    protocol = resolve_protocol("strict", {})
    opened = Dataset(dataset)
    manifest = opened.manifest
    data = load_training_data(opened, protocol, "none", seed, fold)
    selected = training_selection(manifest, protocol, fold), validation_selection(manifest, protocol, fold)
    source = Source(opened, *selected)
    augment = make_augmentation("paper")
    features = make_feature_data(classifier, parts, data, source, augment, views, {"dataset": manifest.fingerprint})
    return classifier, parts, data, features


@pytest.fixture(scope="module")
def made(dataset, tmp_path_factory) -> Path:
    """The cache that `make(dataset)` fills."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTMRI_CLS_CACHE", str(folder))
        make(dataset)
    return folder / "features"


@pytest.fixture
def filled(made, cache) -> Path:
    """The cache with the features of `make(dataset)`."""
    return Path(shutil.copytree(made, cache))


def test_a_view_is_the_trunk_on_an_augmented_image_and_every_epoch_sees_the_next(dataset, filled):
    _, parts, data, features = make(dataset)
    count = data.training.examples.count
    images = np.concatenate([b["image"] for b in data.training.examples.in_order(32).as_numpy_iterator()])
    labels = np.concatenate([b["label"] for b in data.training.examples.in_order(32).as_numpy_iterator()])

    def augmented(view: int) -> np.ndarray:
        padded = np.concatenate([images, np.zeros((-count % 32, *images.shape[1:]), np.uint8)])
        rows = []
        for number in range(len(padded) // 32):
            key = tf.constant([zlib.crc32(b"train") >> 1, view])
            seed = tf.random.experimental.stateless_fold_in(key, number)
            batch = Batch(tf.constant(padded[number * 32 :][:32]), tf.zeros([32, 4]), tf.ones([32]))
            rows.append(make_augmentation("paper")(batch, seed).images.numpy())
        return np.concatenate(rows)[:count]

    expected = [parts.trunk.predict(augmented(view), verbose=0) for view in range(VIEWS)]
    scale = np.abs(expected[0]).max()
    for epoch in range(VIEWS + 1):
        seen = set()
        for element in features.phase2.training.epoch(epoch).as_numpy_iterator():
            for row, label in zip(element["image"], element["label"], strict=True):
                # Which example is it? The one whose view of this epoch is nearest.
                gaps = [np.abs(expected[(i + epoch) % VIEWS][i] - row).max() for i in range(count)]
                nearest = int(np.argmin(gaps))
                assert gaps[nearest] < 2e-3 * scale  # float16
                assert labels[nearest] == label
                seen.add(nearest)
        assert len(seen) == data.training.steps_per_epoch * 32


def test_pooled_features_and_the_head_give_the_classifiers_probabilities(dataset, filled):
    classifier, parts, data, features = make(dataset)
    elements = list(features.phase1.validation.epoch(0).as_numpy_iterator())
    images = np.concatenate([b["image"] for b in data.validation.epoch(0).as_numpy_iterator()])
    pooled = np.concatenate([element["image"] for element in elements])
    weights = np.concatenate([element["weight"] for element in elements])
    assert weights.sum() == data.validation.examples.count
    ours, whole = parts.head(pooled).numpy(), classifier.model(images.astype(np.float32)).numpy()
    np.testing.assert_allclose(ours[weights == 1], whole[weights == 1], atol=1e-5)


def test_views_are_found_again_and_made_anew_when_what_they_depend_on_changes(dataset, filled):
    times = {path: path.stat().st_mtime_ns for path in filled.rglob("*.npy")}
    assert len(times) == 3 * (VIEWS + 1)
    make(dataset, seed=7)  # another seed of the run: nothing new
    assert {path: path.stat().st_mtime_ns for path in filled.rglob("*.npy")} == times
    make(dataset, precision="mixed_bfloat16")
    assert len(list(filled.rglob("*.npy"))) == 2 * len(times)


def test_a_flipped_byte_in_a_view_is_noticed_and_the_view_made_again(dataset, filled):
    path = next(filled.glob("*train-view1*/cut.npy"))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(damaged)
    make(dataset)
    assert next(filled.glob("*train-view1*/cut.npy")).read_bytes() == whole


def test_drop_connect_is_drawn_by_the_view_and_off_in_validation(dataset, cache):
    _, parts, data, features = make(dataset, "efficientnetv2s", views=1)
    images = np.concatenate([b["image"] for b in data.validation.epoch(0).as_numpy_iterator()])
    clean = np.concatenate([b["image"] for b in features.phase2.validation.epoch(0).as_numpy_iterator()])
    expected = parts.trunk(images.astype(np.float32), training=False).numpy()
    real = slice(data.validation.examples.count)  # what follows is padding
    np.testing.assert_allclose(clean[real], expected[real], atol=2e-3 * np.abs(expected).max())
    first = {path.parent.name: path.read_bytes() for path in cache.glob("*train*/cut.npy")}
    for path in sorted(cache.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    make(dataset, "efficientnetv2s", views=1)
    assert {path.parent.name: path.read_bytes() for path in cache.glob("*train*/cut.npy")} == first


def test_features_that_are_in_the_cache_need_no_disk_space(dataset, filled, monkeypatch):
    def full_disk(_path):
        return shutil._ntuple_diskusage(total=1 << 40, used=1 << 40, free=0)

    monkeypatch.setattr(feature_store.shutil, "disk_usage", full_disk)
    make(dataset, seed=1)
    with pytest.raises(UserError, match=r"--feature-views: the missing features take .* GiB, 0.0 GiB are free in"):
        make(dataset, views=VIEWS + 1)
    damaged = next(filled.glob("*train-view1*/labels.npy"))
    damaged.chmod(0o644)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(UserError, match="fastmri-cls cache clear"):
        make(dataset)


def features_of(element_batches: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([element["image"] for element in element_batches.as_numpy_iterator()])


def test_another_fold_finds_what_was_computed_for_the_splits_it_shares(phantom_sources, cache, tmp_path):
    sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
    options = BuildOptions(image_size=64, splitting=SplitOptions(folds=3))
    build_dataset(sources, ClassNames(), options, tmp_path / "folds", workers=1)
    make(tmp_path / "folds", fold=0)
    first = {path.name for path in cache.iterdir()}
    assert len(first) == 2 * VIEWS + 1
    *_, features = make(tmp_path / "folds", fold=1)
    added = sorted(path.name.rsplit("-", 1)[0] for path in cache.iterdir() if path.name not in first)
    assert added == [*(f"small-cnn-fold-0-view{view}" for view in range(VIEWS)), "small-cnn-fold-1-clean"]
    # The folds stand one after the other; in pass 0 example i meets view i mod K.
    views = [
        np.concatenate([np.load(next(cache.glob(f"small-cnn-fold-{k}-view{v}-*/pooled.npy"))) for k in (0, 2)])
        for v in range(VIEWS)
    ]
    rows = features_of(features.phase1.training.examples.in_order(32))
    np.testing.assert_array_equal(rows, [views[i % VIEWS][i] for i in range(len(rows))])


def test_views_draw_nothing_from_the_state_of_keras_layers(dataset, cache, tiny, monkeypatch):
    """Such layers are in the trunk, or above it in phase 2, as EfficientNetV2S has: a cold cache changes no run."""
    monkeypatch.setattr(keras.random.SeedGenerator, "next", lambda *_, **__: pytest.fail("draws from a state"))
    make(dataset, "tiny")


def test_features_on_a_gpu_are_those_of_the_files(monkeypatch):
    rng = np.random.default_rng(0)
    stored = [rng.normal(size=(7, 2, 3)).astype(np.float16).view(np.uint16) for _ in range(2)]
    views = [{"cut": Joined([array[:4], array[4:]]), "labels": Joined([np.arange(7)])} for array in stored]
    files = feature_views.open_features(views, "cut", tf.float16, list)
    monkeypatch.setattr(feature_views, "accelerator_names", lambda: ["/cpu:0"])
    monkeypatch.setattr(feature_views, "free_gpu_memory", lambda: 2 * 2 * 84 / 0.4 - 1)
    assert not feature_views.open_features(views, "cut", tf.float16, list).is_resident
    monkeypatch.setattr(feature_views, "free_gpu_memory", lambda: 2 * 2 * 84 / 0.4)
    resident = feature_views.open_features(views, "cut", tf.float16, list)
    assert resident.is_resident
    epochs = tf.data.Dataset.range(3)
    batches = [list(examples.epochs(epochs, 3, seed=1)) for examples in (files, resident)]
    assert len(batches[0]) == 9
    for one, other in zip(*batches, strict=True):
        fetched = resident.fetch(other)
        assert set(other) == {"index", "label"}
        for name in ("image", "label"):
            np.testing.assert_array_equal(one[name], fetched[name])


def test_arrays_one_after_the_other_are_read_as_one():
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, 2, 3)).astype(np.float32) for n in (4, 1, 7)]
    joined, indices = Joined(parts), rng.permutation(12)
    assert len(joined) == 12
    np.testing.assert_array_equal(joined[indices], np.concatenate(parts)[indices])
