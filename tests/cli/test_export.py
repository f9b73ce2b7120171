"""export from the command line: what lies in the folder, and that it is there whole or not at all."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from fastmri_cls.api.runs import export_model
from fastmri_cls.dataset import Dataset
from fastmri_cls.export import run as exporting
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.agreement import Agreement
from fastmri_cls.inference.engines import ENGINES
from fastmri_cls.inference.predictor import PredictOptions, Predictor, find_images
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.runs.predictions import read_predictions
from fastmri_cls.runs.run import Run
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def own_run(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the trained RUN, which tests may add exports to."""
    skipped = shutil.ignore_patterns("checkpoints", "tensorboard", "figures")
    return shutil.copytree(trained_run, tmp_path_factory.mktemp("own") / "run", ignore=skipped)


def test_a_served_model_takes_image_files_as_they_are(cli, trained_run, phantom_dataset, tmp_path):
    out = tmp_path / "served"
    result = cli("export", trained_run, "--format", "saved_model", "--out", out, "--data", phantom_dataset, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["changed"] == 0
    assert (out / "labels.txt").read_text().splitlines() == ["glioma", "meningioma", "notumor", "pituitary"]
    card = (out / "README.md").read_text()
    assert "Not a medical device" in card
    assert "image_bytes" in card
    assert f"over the test images of\ndataset (fingerprint `{Dataset(phantom_dataset).fingerprint}`):\non " in card

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
def test_a_trained_run_passes_the_round_trip(own_run, phantom_dataset, format_, modules, taken):
    for module in modules:
        pytest.importorskip(module, reason=f"an extra of {format_} is not installed")
    agreement = export_model(own_run, format_, dataset=phantom_dataset)
    out = own_run / "exports" / format_
    assert agreement.holds
    assert agreement.images > 30
    assert f"`image`, {taken} [" in (out / "README.md").read_text()
    assert (out / "labels.txt").exists()
    if format_ in ENGINES:
        assert agreement.feature_difference <= 1e-4
        files = find_images([phantom_dataset.parent / "sources" / "alpha" / "Testing"])
        predicts_as_keras(own_run, format_, files)
        predicts_without_tensorflow(own_run, format_, files[0])


def predicts_as_keras(run: Path, engine: str, files: list[Path]) -> None:
    options = PredictOptions(batch_size=7, calibrated=True, flips=True)
    found, expected = (
        list(Predictor(Run(run), replace(options, engine=name)).predict(files)) for name in (engine, "keras")
    )
    assert len(found) == len(files)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-4)
        assert ours.ood_score == pytest.approx(theirs.ood_score, abs=2e-3)


def predicts_without_tensorflow(run: Path, engine: str, file: Path) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('tensorflow', 'keras', 'sklearn', 'matplotlib'))\n"
        "from fastmri_cls.cli.app import main\nmain()"
    )
    command = [sys.executable, "-c", code, "predict", run, file, "--engine", engine, "--json"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["engine"] == engine
    assert document["predictions"][0]["ood_score"] > 0


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


def test_images_of_a_fold_that_was_validated_on_do_not_calibrate(trained_run):
    run = Run(trained_run)
    folds = SimpleNamespace(splits=["fold-0", "fold-1", "fold-2", "test.alpha"])
    assert exporting._training_split(run, SimpleNamespace(splits=["train", "val", "test.alpha"])) == ["train"]
    for fold, calibrated in ((0, "fold-1"), (1, "fold-0")):
        run.config = replace(run.config, fold=fold)
        assert exporting._training_split(run, folds) == [calibrated]


def test_test_images_alone_cannot_calibrate_int8(trained_run, phantom_dataset, tmp_path):
    shutil.copytree(phantom_dataset.parent / "sources" / "alpha" / "Testing", tmp_path / "alpha" / "Testing")
    options = BuildOptions(image_size=128, resize="lanczos", splitting=SplitOptions("published"))
    build_dataset(parse_sources([f"alpha={tmp_path / 'alpha'}"]), ClassNames(), options, tmp_path / "tests", workers=1)
    with pytest.raises(UserError, match=r"tests: has no training images to calibrate int8 on; give the RUN's dataset"):
        export_model(trained_run, "litert-int8", tmp_path / "served", dataset=tmp_path / "tests")
    assert not (tmp_path / "served").exists()
    export_model(trained_run, "saved_model", tmp_path / "served", dataset=tmp_path / "tests")
    assert "resizes them (bilinear)" in (tmp_path / "served" / "README.md").read_text()  # as the RUN's images were


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
