"""Scripts of benchmarks/ that no other test runs still run, on few images and the smallest network."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_backbone import tiny  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def last_line(script: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, BENCHMARKS / script, *map(str, arguments), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_predict_is_measured_beside_the_forward_pass():
    found = last_line("predict.py", "--model", "small-cnn", "--images", 40)
    assert found["images"] == 40
    assert [row["name"] for row in found["rows"]] == ["forward", "predict"]
    assert 0 < found["rows"][1]["ratio"] < 2


def test_exports_are_tried_on_untrained_models_and_on_every_test_image_of_a_run(trained_run):
    (untrained,) = last_line("exports.py", "--models", "small-cnn", "--formats", "saved_model", "--size", 32)["rows"]
    (trained,) = last_line("exports.py", "--run", trained_run, "--formats", "saved_model")["rows"]
    assert untrained["holds"]
    assert trained["holds"]
    assert trained["images"] > untrained["images"]


def test_a_step_of_phase_2_is_measured_beside_that_of_another_checkout():
    arguments = ("--before", BENCHMARKS.parent, "--models", "small-cnn", "--image-size", 32, "--rounds", 1)
    (row,) = last_line("phase2_step.py", *arguments)["rows"]
    assert 0 < row["seconds"] < 10
    assert row["ratio"] == pytest.approx(row["before"] / row["seconds"])


def test_a_large_build_is_drawn_with_duplicates_and_measured():
    (row,) = last_line("large_build.py", "--images", 400)["rows"]
    assert row["images"] == 400
    assert row["seconds"] > 0
    assert 0.05 < row["peak_gib"] < 2  # Python with NumPy alone, and far more than 400 small images need


def test_drawn_images_repeat_as_often_as_said(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    drawn = importlib.import_module("large_build").draw(2000, np.random.default_rng(0))
    different = len({image.tobytes() for image in drawn})
    assert 0.92 < different / len(drawn) < 0.97


def test_engines_take_turns_and_their_medians_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCHMARKS)
    start = importlib.import_module("start")
    taken = iter([(99, 99), (99, 99), (8, 9), (2, 1), (10, 9), (1, 1)])
    monkeypatch.setattr(start, "timed", lambda *_: next(taken))
    (tmp_path / "exports" / "onnx").mkdir(parents=True)
    monkeypatch.setattr("sys.argv", ["start.py", "--run", str(tmp_path), "--image", "scan.png", "--json"])
    start.main()
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [(row["name"], row["seconds"], row["ratio"]) for row in rows] == [("keras", 10, 1), ("onnx", 2, 0.2)]


@pytest.mark.usefixtures("tiny")
def test_a_whole_study_goes_to_its_last_epoch(dataset, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setenv("FASTMRI_CLS_CACHE", str(tmp_path / "cache"))
    seconds = importlib.import_module("whole_study").seconds_of("tiny", dataset, tmp_path / "tiny", 1)
    rows = (tmp_path / "tiny" / "history.csv").read_text().splitlines()
    assert len(rows) == 1 + 50 + 10
    assert seconds > 0
    assert (tmp_path / "tiny" / "model.keras").exists()


def test_a_part_of_the_gpu_benchmark_runs_on_a_cpu_and_writes_what_it_measured(tmp_path):
    printed = last_line("gpu.py", "--part", "facts", "--out", tmp_path, "--smoke")
    written = json.loads((tmp_path / "facts.json").read_text())
    assert written["results"] == printed["results"]
    assert printed["results"]["gather images/s after"] > 0
    assert set(printed["results"]["iterator ms"]) == {"none", "ram", "device"}
    assert "gpus" in printed["environment"]
