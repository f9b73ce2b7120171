"""export from the command line: what lies in the folder, and that it is there whole or not at all."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.api.runs import export_model
from fastmri_cls.export import run as exporting
from fastmri_cls.export.check import Agreement
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.predictions import read_predictions
from fastmri_cls.runs.run import Run

pytestmark = pytest.mark.slow


def test_a_served_model_takes_image_files_as_they_are(cli, trained_run, phantom_dataset, tmp_path):
    out = tmp_path / "served"
    result = cli("export", trained_run, "--format", "saved_model", "--out", out, "--data", phantom_dataset, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["changed"] == 0
    assert (out / "labels.txt").read_text().splitlines() == ["glioma", "meningioma", "notumor", "pituitary"]
    card = (out / "README.md").read_text()
    assert "Not a medical device" in card
    assert "image_bytes" in card

    # What TensorFlow Serving does with a request, on the very files: JPEG of source beta, PNG of source alpha.
    evaluated = read_predictions(trained_run / "predictions.csv")
    sources = phantom_dataset.parent / "sources"
    files = [(sources / s / n).read_bytes() for s, n in zip(evaluated.sources, evaluated.filenames, strict=True)]
    served = tf.saved_model.load(str(out / "1"))
    found = served.signatures["serving_default"](image_bytes=tf.constant(files))["probabilities"].numpy()
    # Resized by TensorFlow in place of Pillow: a pixel may differ by one level.
    np.testing.assert_allclose(found, evaluated.probabilities, atol=0.02)
    assert (found.argmax(axis=1) == evaluated.predicted).mean() > 0.98


@pytest.mark.parametrize(
    ("format_", "modules", "taken"),
    [
        ("onnx", ("tf2onnx", "onnxruntime"), "float32"),
        ("litert", ("ai_edge_litert",), "float32"),
        ("litert-dynamic", ("ai_edge_litert",), "float32"),
        ("litert-int8", ("ai_edge_litert",), "uint8"),
    ],
)
def test_a_trained_run_passes_the_round_trip(trained_run, phantom_dataset, tmp_path, format_, modules, taken):
    for module in modules:
        pytest.importorskip(module, reason=f"an extra of {format_} is not installed")
    agreement = export_model(trained_run, format_, tmp_path / "out", dataset=phantom_dataset)
    assert agreement.holds
    assert agreement.images > 30
    assert f"`image`, {taken} [" in (tmp_path / "out" / "README.md").read_text()
    assert (tmp_path / "out" / "labels.txt").exists()


def test_a_failed_check_leaves_nothing(trained_run, phantom_dataset, tmp_path, monkeypatch):
    def refuse(*_: object) -> Agreement:
        raise UserError("--format saved_model: 3 of 64 images change their class")

    monkeypatch.setattr(exporting, "check_export", refuse)
    with pytest.raises(UserError, match="change their class"):
        export_model(trained_run, "saved_model", tmp_path / "served", dataset=phantom_dataset)
    assert not list(tmp_path.iterdir())


def test_another_dataset_is_refused_with_what_differs(trained_run, dataset, tmp_path):
    with pytest.raises(UserError, match="image_size is 64"):
        export_model(trained_run, "saved_model", tmp_path / "served", dataset=dataset)


def test_a_dataset_that_moved_is_asked_for(trained_run, tmp_path):
    run = Run(trained_run)
    run.config = replace(run.config, data=tmp_path / "gone")
    with pytest.raises(UserError, match=r"gone: the dataset of .* is not there any more; say where with --data"):
        export_model(run, "saved_model", tmp_path / "served")


def test_an_unknown_format_is_named_with_the_known_ones(trained_run, tmp_path):
    with pytest.raises(UserError, match="--format coreml: unknown; choose one of saved_model, onnx"):
        export_model(trained_run, "coreml", tmp_path / "served")


@pytest.mark.parametrize(
    ("format_", "module"), [("onnx", "tf2onnx"), ("onnx", "onnxruntime"), ("litert", "ai_edge_litert.interpreter")]
)
def test_a_missing_extra_is_named(trained_run, phantom_dataset, tmp_path, monkeypatch, format_, module):
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    with pytest.raises(UserError, match=rf"needs the extra {format_}: pip install"):
        export_model(trained_run, format_, tmp_path / "x", dataset=phantom_dataset)
    assert not list(tmp_path.iterdir())
