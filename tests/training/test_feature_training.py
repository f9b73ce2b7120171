"""Training on feature views ends in an ordinary model, and reads no images but for the views."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.head import ClassifierOptions, build_classifier
from fastmri_cls.models.registry import find_backbone, find_model
from fastmri_cls.models.surgery import branches_of
from fastmri_cls.models.weights import load_weights
from fastmri_cls.pipeline import tiers
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import resolve_protocol
from fastmri_cls.training.run import train
from tests.tiny_backbone import HYBRID, tiny

pytestmark = pytest.mark.slow

__all__ = ["tiny"]  # a fixture


@pytest.fixture(scope="module")
def legacy_weights(tmp_path_factory) -> Path:
    """DenseNet121 with seeded random weights, in the format of the published files."""
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("weights") / "densenet.h5"
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, backbones.densenet121((64, 64, 3)))
    return path


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
    assert "oneDNN" not in result.stderr  # which complains of float16 on processors without AVX-512
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
