"""The model card: what a reader must find in it, and that the hub could read its header."""

import json

import numpy as np
import pytest

from fastmri_cls.report.model_card import model_card
from tests.comparison_runs import make_predictions, write_run

DATASET = {"path": "data", "split": "grouped", "fingerprint": "c" * 64, "clean": {"alpha": (75, 100), "beta": (60, 60)}}


@pytest.fixture
def run(tmp_path):
    """config.json and metrics.json of a run."""
    folder = write_run(tmp_path / "run", make_predictions(), seed=3)
    return json.loads((folder / "config.json").read_text()), json.loads((folder / "metrics.json").read_text())


def test_the_card_states_data_protocol_metrics_and_limits(run):
    config, metrics = run
    card = model_card(config, metrics, DATASET)
    pooled = metrics["tests"]["pooled"]
    low, high = pooled["ci95"]["accuracy"]
    assert "**Not a medical device.**" in card
    assert f"Dataset fingerprint `{'f' * 64}`" in card
    assert f"| pooled | 160 | {pooled['accuracy']:.3f} [{low:.3f}, {high:.3f}] |" in card
    assert "| augment | paper |" in card
    assert "| train | 10 | 10 | 10 | 10 | 40 |" in card
    assert "25 of 100 test images of alpha have a copy in training" in card
    assert "of beta have a copy" not in card
    assert "One run with seed 3" in card
    assert f"{pooled['calibrated']['ece']:.3f} after temperature scaling with {metrics['temperature']:.3f}" in card


def test_the_header_is_yaml_whose_values_are_json(run):
    config, metrics = run
    header = model_card(config, metrics, DATASET).split("---\n")[1]
    fields = {line.split(": ", 1)[0]: json.loads(line.split(": ", 1)[1]) for line in header.strip().splitlines()}
    assert fields["pipeline_tag"] == "image-classification"
    results = fields["model-index"][0]["results"]
    assert [result["dataset"]["name"] for result in results] == list(metrics["tests"])
    values = {metric["type"]: metric["value"] for metric in results[-1]["metrics"]}
    assert values == {
        "accuracy": metrics["tests"]["mean"]["accuracy"],
        "roc_auc": metrics["tests"]["mean"]["auc_macro"],
    }


def test_a_run_without_validation_says_it_is_not_calibrated(run):
    config, metrics = run
    for found in metrics["tests"].values():
        found.pop("calibrated")
    assert "Probabilities are not calibrated" in model_card(config, metrics | {"temperature": None}, DATASET)


def test_a_class_that_is_absent_has_no_number(tmp_path):
    tests = make_predictions()
    folder = write_run(tmp_path / "run", tests.where(np.flatnonzero(tests.labels != 1)))
    config, metrics = (json.loads((folder / name).read_text()) for name in ("config.json", "metrics.json"))
    card = model_card(config, metrics, DATASET)
    assert "| meningioma | 0 | - |" in card
