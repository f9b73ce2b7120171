"""Which engine answers: an export that still is the RUN's model, else Keras, and never in silence."""

from pathlib import Path

import pytest

from fastmri_cls.foundation.checksums import file_sha256
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference import engines
from fastmri_cls.inference.engines import Engine, open_engine
from fastmri_cls.runs.exports import ExportRecord, export_folder, write_record


class FakeRun:
    """What open_engine reads of a RUN, with a model that nobody opens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "model.keras").write_bytes(b"a model")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    monkeypatch.setattr(engines, "_open_keras", lambda *_, **__: Engine("keras", "", lambda images: images))
    monkeypatch.setattr(engines, "has_nvidia_device", lambda: False)
    openers = {name: lambda file: lambda images: images for name in ("onnx", "litert")}
    monkeypatch.setattr(engines, "_OPENERS", openers)
    return FakeRun(tmp_path)


def export(run: FakeRun, format_: str) -> Path:
    folder = export_folder(run.path, format_)
    folder.mkdir(parents=True)
    file = folder / "exported"
    file.write_bytes(b"an exported model")
    of_model = file_sha256(run.path / "model.keras")
    write_record(folder, ExportRecord(format_, file.name, file_sha256(file), of_model, 64, 3e-7))
    return file


def opened(run: FakeRun, requested: str = "auto", device: str = "auto", *, explain: bool = False) -> str:
    return open_engine(run, requested, device, 32, explain=explain).name


def test_auto_takes_onnx_then_litert_then_keras(run: FakeRun) -> None:
    assert opened(run) == "keras"
    export(run, "litert")
    assert opened(run) == "litert"
    export(run, "onnx")
    assert opened(run) == "onnx"
    assert opened(run, "keras") == "keras"
    assert opened(run, "litert") == "litert"


def test_heat_maps_and_gpus_are_keras_matter(run: FakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    export(run, "onnx")
    assert opened(run, explain=True) == "keras"
    with pytest.raises(UserError, match=r"--engine onnx: --gradcam needs gradients; choose --engine keras"):
        opened(run, "onnx", explain=True)
    assert opened(run, device="gpu") == "keras"
    with pytest.raises(UserError, match="--engine onnx: computes on the CPU; for --device gpu choose --engine keras"):
        opened(run, "onnx", device="gpu")
    monkeypatch.setattr(engines, "has_nvidia_device", lambda: True)
    assert opened(run) == "keras"
    assert opened(run, device="cpu") == "onnx"


def test_an_export_of_another_model_is_not_used_and_said(run: FakeRun, caplog: pytest.LogCaptureFixture) -> None:
    export(run, "onnx")
    (run.path / "model.keras").write_bytes(b"trained again")
    assert opened(run) == "keras"
    assert "exports/onnx: was made from another model.keras than the RUN has now; run fastmri-cls export" in caplog.text
    with pytest.raises(UserError, match="was made from another model"):
        opened(run, "onnx")


def test_a_damaged_export_is_not_used_and_said(run: FakeRun, caplog: pytest.LogCaptureFixture) -> None:
    export(run, "onnx").write_bytes(b"an exported modem")
    assert opened(run) == "keras"
    assert "exported: is missing or has changed since it was written" in caplog.text


def test_a_missing_export_and_an_unknown_engine_are_refused_with_the_cure(run: FakeRun) -> None:
    with pytest.raises(UserError, match=r"exports/onnx: is not there; run fastmri-cls export .* --format onnx"):
        opened(run, "onnx")
    with pytest.raises(UserError, match="--engine tensorrt: unknown; choose one of auto, keras, onnx, litert"):
        opened(run, "tensorrt")
