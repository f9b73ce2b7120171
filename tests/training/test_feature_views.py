"""Feature views: what they hold, when they are found again, and that training on them ends in an ordinary model."""

import json
import shutil
import zlib
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
from fastmri_cls.models.registry import find_backbone, find_model
from fastmri_cls.models.surgery import branches_of, cut_classifier
from fastmri_cls.models.weights import load_weights
from fastmri_cls.pipeline import tiers
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
from fastmri_cls.training import feature_store, feature_views
from fastmri_cls.training.data import load_training_data, training_selection, validation_selection
from fastmri_cls.training.feature_store import Joined, Source
from fastmri_cls.training.feature_views import make_feature_data
from fastmri_cls.training.run import train
from tests.tiny_backbone import HYBRID, tiny

pytestmark = pytest.mark.slow

__all__ = ["tiny"]  # a fixture

VIEWS = 3


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@pytest.fixture(scope="module")
def legacy_weights(tmp_path_factory) -> Path:
    """DenseNet121 with seeded random weights, in the format of the published files."""
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("weights") / "densenet.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, backbones.densenet121((64, 64, 3)))
    return path


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


def test_a_view_is_the_trunk_on_an_augmented_image_and_every_epoch_sees_the_next(dataset, cache):
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


def test_pooled_features_and_the_head_give_the_classifiers_probabilities(dataset, cache):
    classifier, parts, data, features = make(dataset)
    elements = list(features.phase1.validation.epoch(0).as_numpy_iterator())
    images = np.concatenate([b["image"] for b in data.validation.epoch(0).as_numpy_iterator()])
    pooled = np.concatenate([element["image"] for element in elements])
    weights = np.concatenate([element["weight"] for element in elements])
    assert weights.sum() == data.validation.examples.count
    ours, whole = parts.head(pooled).numpy(), classifier.model(images.astype(np.float32)).numpy()
    np.testing.assert_allclose(ours[weights == 1], whole[weights == 1], atol=1e-5)


def test_views_are_found_again_and_made_anew_when_what_they_depend_on_changes(dataset, cache):
    make(dataset)
    times = {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")}
    assert len(times) == 3 * (VIEWS + 1)
    make(dataset, seed=7)  # another seed of the run: nothing new
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.npy")} == times
    make(dataset, precision="mixed_bfloat16")
    assert len(list(cache.rglob("*.npy"))) == 2 * len(times)


def test_a_flipped_byte_in_a_view_is_noticed_and_the_view_made_again(dataset, cache):
    make(dataset)
    path = next(cache.glob("*train-view1*/cut.npy"))
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(damaged) // 2] ^= 4
    path.chmod(0o644)
    path.write_bytes(damaged)
    make(dataset)
    assert next(cache.glob("*train-view1*/cut.npy")).read_bytes() == whole


def test_drop_connect_is_drawn_by_the_view_and_off_in_validation(dataset, cache):
    _, parts, data, features = make(dataset, "efficientnetv2s")
    images = np.concatenate([b["image"] for b in data.validation.epoch(0).as_numpy_iterator()])
    clean = np.concatenate([b["image"] for b in features.phase2.validation.epoch(0).as_numpy_iterator()])
    expected = parts.trunk(images.astype(np.float32), training=False).numpy()
    real = slice(data.validation.examples.count)  # what follows is padding
    np.testing.assert_allclose(clean[real], expected[real], atol=2e-3 * np.abs(expected).max())
    first = {path.parent.name: path.read_bytes() for path in cache.glob("*train*/cut.npy")}
    for path in sorted(cache.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    make(dataset, "efficientnetv2s")
    assert {path.parent.name: path.read_bytes() for path in cache.glob("*train*/cut.npy")} == first


def test_features_that_are_in_the_cache_need_no_disk_space(dataset, cache, monkeypatch):
    make(dataset)

    def full_disk(_path):
        return shutil._ntuple_diskusage(total=1 << 40, used=1 << 40, free=0)

    monkeypatch.setattr(feature_store.shutil, "disk_usage", full_disk)
    make(dataset, seed=1)
    with pytest.raises(UserError, match=r"--feature-views: the missing features take .* GiB, 0.0 GiB are free in"):
        make(dataset, views=VIEWS + 1)
    damaged = next(cache.glob("*train-view1*/labels.npy"))
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


def test_computing_views_leaves_the_random_state_as_finding_them_does(dataset, cache, tiny):
    """Layers that draw in the trunk, or above it in phase 2, as EfficientNetV2S has: a cold cache changes no run."""
    states = []
    for _ in range(2):
        classifier, *_ = make(dataset, "tiny")
        states.append([np.array(v) for v in classifier.model.variables if v.name == "seed_generator_state"])
    assert states[0]
    for cold, warm in zip(*states, strict=True):
        np.testing.assert_array_equal(cold, warm)


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


def test_a_hybrid_trains_on_the_features_of_both_and_ends_in_an_ordinary_model(dataset, cache, tmp_path, tiny):
    keras.utils.set_random_seed(5)
    starts = {}
    for name, shape in (("small-cnn", (64, 64, 1)), ("tiny", (64, 64, 3))):
        starts[name] = find_backbone(name).build(shape)
        starts[name].save_weights(tmp_path / f"{name}.weights.h5")
    protocol = resolve_protocol("strict", {"phase1_epochs": 1, "phase2_epochs": 1, "unfreeze": 0.4})
    options = TrainOptions(
        dataset, HYBRID, tmp_path / "run", protocol, precision="float32", xla="off",
        weights="+".join(str(tmp_path / f"{name}.weights.h5") for name in starts), feature_views=2,
    )  # fmt: skip
    train(options)
    model = keras.models.load_model(tmp_path / "run" / "model.keras")
    assert model.input_shape == (None, 64, 64, 1)
    bases = [branch.base for branch in branches_of(model)]
    for base, start in zip(bases, starts.values(), strict=True):
        trunk = len(base.layers) - int(len(base.layers) * 0.4)
        same = [
            all(np.array_equal(a, b) for a, b in zip(mine.get_weights(), its.get_weights(), strict=True))
            for mine, its in zip(base.layers, start.layers, strict=True)
        ]
        assert all(same[:trunk])
        assert not all(same)
    # What an earlier RUN has of a backbone is taken, by a model of one as by a hybrid.
    for name, own in ((HYBRID, bases), ("tiny", bases[1:])):
        again = build_classifier(find_model(name), ClassifierOptions(4, 64, 1))
        load_weights(again, str(tmp_path / "run"))
        for base, its in zip(again.bases, own, strict=True):
            for a, b in zip(base.get_weights(), its.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    hybrid = build_classifier(find_model(HYBRID), ClassifierOptions(4, 64, 1))
    with pytest.raises(UserError, match="small-cnn would stay frozen as initialised; give weights for both, or none"):
        load_weights(hybrid, f"none+{tmp_path / 'tiny.weights.h5'}")
    with pytest.raises(UserError, match=r"takes one specification for both backbones, or SPEC\+SPEC"):
        load_weights(hybrid, "none+none+none")
    assert load_weights(hybrid, "default") is None


def test_train_with_feature_views_ends_in_an_ordinary_model(cli, dataset, legacy_weights, cache, tmp_path):
    run = tmp_path / "run"
    arguments = (
        "train", "--data", dataset, "--model", "densenet121-imagenet", "--weights", legacy_weights, "--out", run,
        "--feature-views", 2, "--phase1-epochs", 2, "--phase2-epochs", 1, "--precision", "float32", "--xla", "off",
    )  # fmt: skip
    result = cli(*arguments)
    assert result.returncode == 0, result.stderr
    assert json.loads((run / "config.json").read_text())["feature_views"] == 2
    model = keras.models.load_model(run / "model.keras")
    assert model.input_shape == (None, 64, 64, 1)
    frozen = [layer.name for layer in model.layers if isinstance(layer, keras.Model)]
    assert frozen
    # The trunk is the file's, the top has moved.
    base = model.get_layer(frozen[0])
    start = backbones.densenet121((64, 64, 3))
    start.load_weights(legacy_weights)
    same = [
        np.array_equal(a, b)
        for mine, theirs in zip(base.layers, start.layers, strict=True)
        for a, b in zip(mine.get_weights(), theirs.get_weights(), strict=True)
    ]
    assert not all(same)
    assert all(same[: sum(len(layer.weights) for layer in base.layers[:-85])])


@pytest.mark.parametrize("asked", ["auto", "ram", "device"])
def test_training_on_features_decodes_no_image_into_a_cache(dataset, cache, tmp_path, tiny, monkeypatch, asked):
    opened = []
    original = tiers.open_examples

    def record(*arguments):
        opened.append(arguments[3])
        return original(*arguments)

    monkeypatch.setattr(tiers, "open_examples", record)
    keras.utils.set_random_seed(1)
    find_backbone("small-cnn").build((64, 64, 1)).save_weights(tmp_path / "small.weights.h5")
    protocol = resolve_protocol("strict", {"phase1_epochs": 1, "phase2_epochs": 0})
    options = TrainOptions(
        dataset, "small-cnn", tmp_path / "run", protocol, precision="float32", xla="off", cache=asked, resume=True,
        weights=str(tmp_path / "small.weights.h5"), feature_views=1,
    )  # fmt: skip
    train(options)
    assert opened
    assert set(opened) == {"none"}
    assert json.loads((tmp_path / "run" / "config.json").read_text())["cache"] == "none"
    train(options)  # the same command again is no other run


def test_what_cannot_be_done_on_features_is_refused(cli, dataset, legacy_weights, tmp_path):
    base = ("train", "--data", dataset, "--feature-views", 2, "--out", tmp_path / "run")
    scratch = cli(*base, "--model", "small-cnn")
    assert scratch.returncode == 1
    assert "--feature-views: needs pretrained weights" in scratch.stderr
    mixed = cli(*base, "--model", "densenet121-imagenet", "--weights", legacy_weights, "--augment", "mixup")
    assert mixed.returncode == 1
    assert "--augment mixup" in mixed.stderr
    assert not (tmp_path / "run").exists()
