"""Weights files of every kind, good and bad: loaded whole and checked, or refused in one line."""

import hashlib
import http.server
import threading
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.models import backbones
from fastmri_cls.models.head import Classifier, ClassifierOptions, build_classifier
from fastmri_cls.models.registry import find_backbone
from fastmri_cls.models.weights import download, load_weights


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
    assert loaded["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


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
    with pytest.raises(UserError, match=r"RadImageNet-DenseNet121_notop\.h5 has to be fetched by hand.*--weights PATH"):
        load_weights(classifier("densenet121-radimagenet"), "default")


@pytest.fixture
def server(tmp_path):
    """An HTTP server on loopback; `answers` maps a path to (content, length it claims)."""
    answers: dict[str, tuple[bytes, int]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in answers:
                self.send_error(404)
                return
            content, claimed = answers[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(claimed))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}", answers
    httpd.shutdown()
    httpd.server_close()


def test_downloads_are_whole_and_checked_or_leave_nothing(server, tmp_path):
    url, answers = server
    content = bytes(range(256)) * 5000
    answers["/good"] = (content, len(content))
    answers["/cut"] = (content[:1000], len(content))
    path = tmp_path / "cache" / "file.h5"
    for digest in (hashlib.md5(content).hexdigest(), hashlib.sha256(content).hexdigest()):
        download(f"{url}/good", path, digest)
        assert path.read_bytes() == content
        path.unlink()
    for address, digest, message in (
        ("/good", "0" * 64, "sha256 is"),
        ("/cut", None, "ended after|cannot be"),
        ("/absent", None, "cannot be downloaded"),
    ):
        with pytest.raises(UserError, match=message):
            download(url + address, path, digest)
        assert not list(path.parent.iterdir())


def test_no_connection_says_what_to_do():
    with pytest.raises(UserError, match="give it as --weights PATH"):
        download("http://127.0.0.1:9/file.h5", Path("never-written.h5"), None)
    assert not Path("never-written.h5").exists()
