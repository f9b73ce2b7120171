"""OpenVINO says what the model says, from Keras or from the RUN's ONNX file; a broken conversion is refused."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference import engines, openvino
from fastmri_cls.inference.engines import open_engine
from fastmri_cls.inference.openvino import OpenVino
from fastmri_cls.inference.runtimes import Outputs
from fastmri_cls.inference.trial import Preview

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 1), np.uint8)


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    import keras

    from fastmri_cls.models.head import ClassifierOptions, build_classifier
    from fastmri_cls.models.registry import find_backbone

    keras.utils.set_random_seed(0)
    return build_classifier(find_backbone("small-cnn"), ClassifierOptions(4, 64, 1), fast=False).model


@pytest.fixture(scope="module")
def expected(model) -> Outputs:
    from fastmri_cls.inference.keras_engine import make_forward

    found = make_forward(model, 5)(IMAGES)
    assert np.ptp(found.probabilities, axis=0).max() > 0.01  # else nothing would be compared
    return found


class FakeRun:
    """What open_engine reads of a RUN without exports."""

    config = SimpleNamespace(image_size=64)

    def __init__(self, path: Path, model: object) -> None:
        self.path = path
        self.model_file = path / "model.keras"
        self.model = lambda: model


def assert_same(found: Outputs, expected: Outputs) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


def test_it_reads_the_model_of_keras_and_pads_the_last_batch(model, expected):
    assert_same(OpenVino(model, 4).compile("float32")(IMAGES), expected)


def test_it_reads_the_onnx_export(model, expected, tmp_path):
    pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")
    from fastmri_cls.export.onnx import ONNX_FILE, write_onnx

    write_onnx(model, ("a", "b", "c", "d"), tmp_path)
    assert_same(OpenVino(tmp_path / ONNX_FILE, 4).compile("float32")(IMAGES), expected)


def test_engine_openvino_is_checked_on_the_images_and_says_its_precision(model, expected, tmp_path):
    found = open_engine(FakeRun(tmp_path, model), "openvino", "auto", 4, explain=False, preview=preview(5))
    assert found.name == "openvino"
    assert found.origin.startswith(f"{tmp_path / 'model.keras'}, {found.precision}; on 5 images the class is the same")
    np.testing.assert_allclose(found.forward(IMAGES).probabilities, expected.probabilities, atol=0.02)


def preview(total: int) -> Preview:
    return Preview(total, lambda: IMAGES)


def test_a_broken_conversion_is_refused_and_auto_falls_back_on_keras(model, expected, tmp_path, monkeypatch, caplog):
    plain = OpenVino.compile

    def broken(self: OpenVino, precision: str):
        forward = plain(self, precision)
        first = np.eye(4, dtype=np.float32)[[0]]
        return lambda images: forward(images)._replace(probabilities=np.repeat(first, len(images), axis=0))

    monkeypatch.setattr(OpenVino, "compile", broken)
    run = FakeRun(tmp_path, model)
    with pytest.raises(UserError, match=r"--engine openvino: in float32, beside keras, on 5 images .* choose --engine"):
        open_engine(run, "openvino", "auto", 4, explain=False, preview=preview(5))
    found = open_engine(run, "auto", "auto", 4, explain=False, preview=preview(100_000))
    assert found.name == "keras"
    assert "note: --engine openvino: in " in caplog.text


def test_a_file_that_it_cannot_read_is_named_with_the_cure(model, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match=r"--engine openvino: cannot read the model .*; choose --engine keras"):
        OpenVino(tmp_path / "model.onnx", 4)


def test_without_the_extra_the_cure_is_said_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(openvino, "is_installed", lambda: False)
    monkeypatch.setattr(engines, "_open_keras", lambda *_, **__: pytest.fail("Keras was opened"))
    with pytest.raises(UserError, match=r"--engine openvino: needs the extra openvino: pip install -e '.\[openvino\]'"):
        open_engine(FakeRun(tmp_path, None), "openvino", "auto", 4, explain=False, preview=preview(5))


def test_heat_maps_gpus_and_unknown_images_are_refused(tmp_path):
    pytest.importorskip("openvino", reason="the extra openvino is not installed")
    run = FakeRun(tmp_path, None)
    with pytest.raises(UserError, match="--engine openvino: --gradcam needs gradients"):
        open_engine(run, "openvino", "auto", 4, explain=True, preview=preview(5))
    with pytest.raises(UserError, match="--engine openvino: computes on the CPU"):
        open_engine(run, "openvino", "gpu", 4, explain=False, preview=preview(5))
    with pytest.raises(UserError, match="--engine openvino: there are no images to compare it on"):
        open_engine(run, "openvino", "auto", 4, explain=False)
