"""Weights files of every kind, good and bad: loaded whole and checked, or refused in one line."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.head import Classifier, ClassifierOptions, build_classifier
from fastmri_cls.models.registry import BACKBONES, Weights, find_backbone
from fastmri_cls.models.weights import load_weights
from tests.loopback import gives, serving

pytestmark = pytest.mark.slow


def classifier(name: str = "densenet121-imagenet", channels: int = 1) -> Classifier:
    return build_classifier(find_backbone(name), ClassifierOptions(num_classes=3, image_size=32, channels=channels))


def randomised(model: keras.Model, seed: int = 5) -> keras.Model:
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.1, 0.5, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def save_legacy(model: keras.Model, path: Path) -> Path:
    """The format of the files keras.applications publishes."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path


@pytest.fixture(scope="module")
def densenet() -> keras.Model:
    return randomised(backbones.densenet121((32, 32, 3)))


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_a_file_of_each_format_is_loaded(densenet, suffix, tmp_path):
    path = tmp_path / f"backbone{suffix}"
    if suffix == ".h5":
        save_legacy(densenet, path)
    elif suffix == ".keras":
        densenet.save(path)
    else:
        densenet.save_weights(path)
    target = classifier()
    loaded = load_weights(target, str(path))
    for ours, theirs in zip(target.base.get_weights(), densenet.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert loaded is not None
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_convnext_takes_kerass_file_and_gives_kerass_features(tmp_path):
    upstream = randomised(backbones.convnext_tiny_upstream((32, 32, 3)))
    target = classifier("convnext-tiny")
    load_weights(target, str(save_legacy(upstream, tmp_path / "convnext.h5")))
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    np.testing.assert_allclose(target.base(images), upstream(images), rtol=1e-4, atol=1e-5)


def refused(target: Classifier, path: Path) -> str:
    """Loading fails with one line and leaves the backbone as it was."""
    before = [w.copy() for w in target.base.get_weights()]
    with pytest.raises(UserError) as caught:
        load_weights(target, str(path))
    for ours, theirs in zip(target.base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


def test_another_architectures_file_is_refused_with_both_sizes(tmp_path):
    other = save_legacy(randomised(backbones.small_cnn((32, 32, 3))), tmp_path / "small.h5")
    assert "427 layers" in refused(classifier(), other)


def test_a_file_of_the_same_layers_but_other_shapes_is_refused(densenet, tmp_path):
    path = save_legacy(densenet, tmp_path / "bent.h5")
    with h5py.File(path, "r+") as file:
        group = file["conv1_conv"]
        name = next(n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"])
        shape = group[name].shape
        del group[name]
        group[name] = np.zeros((*shape[:-1], shape[-1] + 1), np.float32)
    refused(classifier(), path)


def test_damaged_files_are_refused(densenet, tmp_path):
    whole = save_legacy(densenet, tmp_path / "whole.h5").read_bytes()
    cases = {
        "cut.h5": whole[: len(whole) // 2],
        "empty.h5": b"",
        "page.h5": b"<html>404</html>",
        "pickle.pkl": b"\x80\x04.",
        "zip.keras": b"PK\x03\x04 and then nothing",
    }
    target = classifier()
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        refused(target, tmp_path / name)


def test_values_that_are_not_finite_are_refused(tmp_path):
    broken = backbones.densenet121((32, 32, 3))
    weights = broken.get_weights()
    weights[7][0] = np.nan
    broken.set_weights(weights)
    assert "not finite" in refused(classifier(), save_legacy(broken, tmp_path / "nan.h5"))


def test_a_missing_file_and_a_missing_set_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no such file or RUN.*imagenet"):
        load_weights(classifier(), str(tmp_path / "none.h5"))


def test_radimagenet_asks_for_the_file_its_authors_publish(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"RadImageNet-DenseNet121_notop\.h5 must be fetched by hand.*--weights PATH"):
        load_weights(classifier("densenet121-radimagenet"), "default")


def hdf5(path: Path, bend) -> Path:
    """A legacy file of one layer `conv1_conv`, bent."""
    with h5py.File(path, "w") as file:
        group = file.create_group("conv1_conv")
        group.attrs["weight_names"] = [b"kernel"]
        bend(file, group)
    return path


def external_link(file, group):
    group["kernel"] = h5py.ExternalLink("/etc/hostname", "/kernel")


def soft_link(file, group):
    group["kernel"] = h5py.SoftLink("/somewhere")


def external_storage(file, group):
    group.create_dataset("kernel", (16,), np.uint8, external=[("/etc/hostname", 0, 16)])


def virtual_dataset(file, group):
    layout = h5py.VirtualLayout((4,), np.float32)
    layout[:] = h5py.VirtualSource("/etc/hostname", "kernel", (4,))
    group.create_virtual_dataset("kernel", layout)


def absurd_shape(file, group):
    group.create_dataset("kernel", (1 << 40,), np.float32, chunks=(1 << 16,))


def many_shapes(file, group):
    for number in range(2000):
        group.create_dataset(f"kernel{number}", (1 << 20,), np.float32, chunks=(1 << 16,))


def objects(file, group):
    group.create_dataset("kernel", data=["text"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("bend", "message"),
    [
        (external_link, "is a link"),
        (soft_link, "is a link"),
        (external_storage, "from another file"),
        (virtual_dataset, "from another file"),
        (absurd_shape, "claims"),
        (many_shapes, "claims"),
        (objects, "not numbers"),
    ],
)
def test_hdf5_that_reaches_out_or_claims_too_much_is_refused_before_keras_opens_it(
    bend, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(keras.Model, "load_weights", lambda *_: pytest.fail("Keras opened it"))
    path = hdf5(tmp_path / "bent.h5", bend)
    target = classifier("small-cnn")
    assert message in refused(target, path)
    with zipfile.ZipFile(tmp_path / "bent.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", path.read_bytes())
    assert message in refused(target, tmp_path / "bent.keras")


def test_hdf5_whose_group_is_its_own_child_is_walked_once(tmp_path):
    def circle(file, group):
        group["again"] = file["/"]

    refused(classifier("small-cnn"), hdf5(tmp_path / "circle.h5", circle))


@pytest.mark.parametrize(
    "name", ["../outside.txt", "/absolute.txt", "assets/../../outside.txt", "..\\outside.txt", "run.py"]
)
def test_a_keras_archive_with_a_member_that_has_no_business_there_is_refused(name, tmp_path):
    path = tmp_path / "bent.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr(name, "x")
    assert "member" in refused(classifier("small-cnn"), path)
    assert [p.name for p in tmp_path.iterdir()] == ["bent.keras"]


def test_a_keras_archive_that_inflates_without_end_is_refused(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(64 << 20))
    assert path.stat().st_size < 100_000
    assert "inflates" in refused(classifier("small-cnn"), path)


def test_code_in_a_keras_archive_is_never_run(tmp_path):
    """Only weights are read: what config.json would build, a Lambda or a class from anywhere, is not looked at."""
    source = randomised(backbones.small_cnn((32, 32, 1)))
    source.save(tmp_path / "plain.keras")
    trap = {"module": "builtins", "class_name": "exec", "config": {"code": f"open({str(tmp_path / 'owned')!r}, 'w')"}}
    with zipfile.ZipFile(tmp_path / "plain.keras") as whole, zipfile.ZipFile(tmp_path / "trap.keras", "w") as bent:
        for member in whole.namelist():
            bent.writestr(member, json.dumps(trap) if member == "config.json" else whole.read(member))
    target = classifier("small-cnn")
    load_weights(target, str(tmp_path / "trap.keras"))
    for ours, theirs in zip(target.base.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not (tmp_path / "owned").exists()


@pytest.fixture
def published(tmp_path, monkeypatch):
    """`small-cnn` as if a set of it were published on loopback; gives the server and the file's path in the cache."""
    content = save_legacy(randomised(backbones.small_cnn((32, 32, 1))), tmp_path / "upstream.h5").read_bytes()
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    with serving() as server:
        server.behaves["/small.h5"] = gives(content)
        weights = Weights(
            "small.h5", hashlib.sha256(content).hexdigest(), f"{server.address}/small.h5", "a test", len(content)
        )
        entry = replace(find_backbone("small-cnn"), weights={"test": weights}, default_weights="test")
        monkeypatch.setitem(BACKBONES, "small-cnn", entry)
        yield server, tmp_path / "cache" / "small.h5"


def test_the_default_weights_are_downloaded_once_and_checked_on_every_use(published):
    server, path = published
    for _ in range(2):
        loaded = load_weights(classifier("small-cnn"), "default")
    assert loaded is not None
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(server.requests) == 1
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert "the file is damaged or another one" in refused_by_name(classifier("small-cnn"), path)


def refused_by_name(target: Classifier, path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_weights(target, "default")
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_without_a_network_the_cache_still_serves_and_an_empty_one_says_what_to_do(published, monkeypatch):
    server, path = published
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "1")
    message = refused_by_name(classifier("small-cnn"), path.parent)
    assert "FASTMRI_CLS_OFFLINE is set" in message
    assert "--weights PATH" in message
    monkeypatch.delenv("FASTMRI_CLS_OFFLINE")
    load_weights(classifier("small-cnn"), "default")
    monkeypatch.setenv("FASTMRI_CLS_OFFLINE", "1")
    load_weights(classifier("small-cnn"), "default")
    assert len(server.requests) == 1


def test_a_run_that_has_changed_is_no_source_of_weights(trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    target = classifier("small-cnn")
    assert load_weights(target, str(run)).tensors == len(target.base.weights)
    content = bytearray((run / "model.keras").read_bytes())
    content[len(content) // 2] ^= 1
    (run / "model.keras").write_bytes(content)
    with pytest.raises(UserError, match=r"model.keras: has changed since it was written"):
        load_weights(target, str(run))
