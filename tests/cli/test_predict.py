"""predict: the same numbers as evaluate, every file accounted for, and a score for what the model never saw."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.inference.ood import OodReference, fit_reference, read_reference
from fastmri_cls.inference.predictor import Prediction, PredictOptions, Predictor, UnusableFile, find_images
from fastmri_cls.runs.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sources(phantom_dataset: Path) -> Path:
    return phantom_dataset.parent / "sources"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_folder_gives_the_probabilities_that_evaluate_gave(cli, trained_run, sources, tmp_path):
    out = tmp_path / "predictions.csv"
    result = cli("predict", trained_run, sources, "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    rows = {row["path"]: row for row in rows_of(out)}
    evaluated = Run(trained_run).predictions
    assert len(evaluated) > 50
    for i, (source, name) in enumerate(zip(evaluated.sources, evaluated.filenames, strict=True)):
        row = rows[str(sources / source / name)]
        found = [float(row[label]) for label in evaluated.classes]
        np.testing.assert_allclose(found, evaluated.probabilities[i], atol=1e-4)
        assert row["prediction"] == evaluated.classes[evaluated.predicted[i]]
    summary = json.loads(result.stdout)
    assert summary["images"] + summary["failed"] == len(rows)


def test_bad_files_are_named_and_do_not_stop_the_rest(cli, trained_run, sources, tmp_path):
    good = next((sources / "alpha" / "Testing" / "glioma").iterdir())
    broken = tmp_path / "cut off.jpg"
    broken.write_bytes((sources / "beta" / "Testing" / "no_tumor" / "0000.jpg").read_bytes()[:900])
    result = cli("predict", trained_run, broken, good, tmp_path / "missing.png", "--format", "jsonl")
    assert result.returncode == 0
    first, second, third = (json.loads(line) for line in result.stdout.splitlines())
    assert "error" in first
    assert sum(second["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert "No such file" in third["error"]
    assert "cut off.jpg" in result.stderr


def test_nothing_usable_is_an_error_and_leaves_nothing(cli, trained_run, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("no image")
    out, heat = tmp_path / "out.csv", tmp_path / "heat"
    result = cli("predict", trained_run, tmp_path / "in", "--out", out, "--gradcam", heat)
    assert result.returncode == 1
    assert "notes.txt" in result.stderr.splitlines()[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


@pytest.mark.parametrize("name", ["heat", "heat/predictions.csv"])
def test_predictions_are_not_written_into_the_folder_that_the_overlays_replace(cli, trained_run, tmp_path, name):
    result = cli("predict", trained_run, tmp_path, "--out", tmp_path / name, "--gradcam", tmp_path / "heat")
    assert result.returncode == 1
    assert "lies in --gradcam" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_overlays_are_written_one_an_image(trained_run, sources, tmp_path):
    files = find_images([sources / "alpha" / "Testing" / "meningioma"])
    results = list(Predictor(Run(trained_run), PredictOptions(batch_size=4, gradcam=tmp_path)).predict(files))
    for file, result in zip(files, results, strict=True):
        assert isinstance(result, Prediction)
        with Image.open(tmp_path / str(result.overlay)) as image:
            assert image.size == (128, 128)
        assert file.stem in str(result.overlay)


def test_the_batch_size_changes_no_probability(trained_run, sources):
    files = find_images([sources / "beta" / "Testing"])
    by_size = [
        [r.probabilities for r in Predictor(Run(trained_run), PredictOptions(batch_size=size)).predict(files)
         if isinstance(r, Prediction)]
        for size in (3, 64)
    ]  # fmt: skip
    np.testing.assert_allclose(*by_size, atol=1e-5)


def test_flips_give_the_mean_over_the_mirror_image(trained_run, sources, tmp_path):
    original = next((sources / "alpha" / "Testing" / "glioma").iterdir())
    mirrored = tmp_path / "mirrored.png"
    with Image.open(original) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    plain = [r.probabilities for r in Predictor(Run(trained_run), PredictOptions()).predict([original, mirrored])]
    (both,) = Predictor(Run(trained_run), PredictOptions(flips=True)).predict([original])
    # Resized and then mirrored, or mirrored and then resized: Pillow's rounding differs in a level here and there.
    np.testing.assert_allclose(both.probabilities, np.mean(plain, axis=0), atol=5e-3)


def test_calibrated_divides_the_logits_by_the_temperature_of_validation(trained_run, sources):
    files = find_images([sources / "alpha" / "Testing" / "pituitary"])
    plain, scaled = (
        np.stack([r.probabilities for r in Predictor(Run(trained_run), PredictOptions(calibrated=c)).predict(files)])
        for c in (False, True)
    )
    temperature = json.loads((trained_run / "calibration.json").read_text())["temperature"]
    np.testing.assert_allclose(scaled, softmax(np.log(plain) / temperature, axis=1), atol=1e-5)


def test_a_run_without_calibration_says_how_to_get_it(trained_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    (run / "calibration.json").unlink()
    with pytest.raises(UserError, match="run evaluate"):
        Predictor(Run(run), PredictOptions(calibrated=True))


def test_images_unlike_the_training_images_score_higher(trained_run, sources, tmp_path):
    rng = np.random.default_rng(0)
    strange = []
    for number in range(12):
        noise = rng.integers(0, 256, (128, 128), dtype=np.uint8)
        stripes = np.tile((np.arange(128) // (number + 2) % 2 * 255).astype(np.uint8), (128, 1))
        for name, pixels in (("noise", noise), ("stripes", stripes)):
            strange.append(tmp_path / f"{name}-{number}.png")
            Image.fromarray(pixels).save(strange[-1])
    predictor = Predictor(Run(trained_run), PredictOptions())
    usual = find_images([sources / "alpha" / "Testing"])
    scores = {
        name: np.array([r.ood_score for r in predictor.predict(files)])
        for name, files in (("usual", usual), ("strange", strange))
    }
    assert (scores["usual"] <= 1).mean() > 0.9
    assert (scores["strange"] > 1).mean() > 0.9


def test_the_score_is_the_distance_to_the_tenth_neighbour_by_direct_computation(trained_run):
    rng = np.random.default_rng(1)
    training, held_out, new = (rng.normal(size=(n, 5)) + 1 for n in (60, 40, 7))
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (training, held_out, new)]
    distances = [np.sort(np.linalg.norm(u[:, None] - unit[0][None], axis=-1), axis=1)[:, 9] for u in unit[1:]]
    expected = distances[1] / np.quantile(distances[0], 0.99)
    np.testing.assert_allclose(fit_reference(training, held_out).score(new), expected, rtol=1e-4)
    kept = read_reference(Run(trained_run).ood_reference)
    assert isinstance(kept, OodReference)
    np.testing.assert_allclose(np.linalg.norm(kept.features, axis=1), 1, atol=1e-5)


def test_a_hidden_file_is_passed_over_and_an_empty_folder_refused(tmp_path):
    (tmp_path / ".hidden.png").write_bytes(b"")
    with pytest.raises(UserError, match="no files"):
        find_images([tmp_path])


def test_memory_holds_a_few_batches_whatever_the_number_of_files(trained_run, sources, monkeypatch):
    """Decoding stays at most three batches ahead of what was taken."""
    file = next((sources / "alpha" / "Testing" / "glioma").iterdir())
    predictor = Predictor(Run(trained_run), PredictOptions(batch_size=4))
    decoded = []
    plain = predictor._decode
    monkeypatch.setattr(predictor, "_decode", lambda path: decoded.append(path) or plain(path))
    results = predictor.predict([file] * 400)
    for taken in range(1, 101):
        assert not isinstance(next(results), UnusableFile)
        assert len(decoded) <= (taken + 3) // 4 * 4 + 3 * 4
    results.close()
