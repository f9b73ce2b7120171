"""Feature views: what they hold, when they are found again, and that training on them ends in an ordinary model."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from fastmri_cls.augment.batch import Batch
from fastmri_cls.augment.policies import make_augmentation
from fastmri_cls.models import backbones
from fastmri_cls.models.cut import cut_classifier
from fastmri_cls.models.head import ClassifierOptions, build_classifier, freeze_for_phase
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.training.data import load_training_data
from fastmri_cls.training.feature_views import make_feature_data
from fastmri_cls.training.protocol import resolve_protocol

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


def make(dataset: Path, name: str = "densenet121-imagenet", precision: str = "float32", seed: int = 0):
    keras.utils.set_random_seed(0)
    classifier = build_classifier(find_backbone(name), ClassifierOptions(4, 64, 1, precision=precision))
    freeze_for_phase(classifier, 1, 0.2, from_scratch=False)
    parts = cut_classifier(classifier, 0.2)
    protocol = resolve_protocol("strict", {})
    data = load_training_data(dataset, read_manifest(dataset), protocol, "none", seed)
    features = make_feature_data(classifier, parts, data, make_augmentation("paper"), VIEWS, {"dataset": "x"})
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
            seed = tf.random.experimental.stateless_fold_in(tf.constant([0, view]), number)
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


def test_train_with_feature_views_ends_in_an_ordinary_model(cli, dataset, legacy_weights, cache, tmp_path):
    run = tmp_path / "run"
    arguments = (
        "train", "--data", dataset, "--model", "densenet121-imagenet", "--weights", legacy_weights, "--out", run,
        "--feature-views", 2, "--phase1-epochs", 2, "--phase2-epochs", 1, "--precision", "float32",
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


def test_what_cannot_be_done_on_features_is_refused(cli, dataset, legacy_weights, tmp_path):
    base = ("train", "--data", dataset, "--feature-views", 2, "--out", tmp_path / "run")
    scratch = cli(*base, "--model", "small-cnn")
    assert scratch.returncode == 1
    assert "--feature-views: needs pretrained weights" in scratch.stderr
    mixed = cli(*base, "--model", "densenet121-imagenet", "--weights", legacy_weights, "--augment", "mixup")
    assert mixed.returncode == 1
    assert "--augment mixup" in mixed.stderr
    assert not (tmp_path / "run").exists()
