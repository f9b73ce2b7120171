"""The model card: what a reader must find in it, and that the hub could read its header."""

import json
import re

import numpy as np
import pytest
import yaml

from fastmri_cls.evaluation.statistics import DRAWS
from fastmri_cls.report.model_card import model_card
from tests.comparison_runs import make_predictions, write_run

DATASET = {"path": "data", "split": "grouped", "fingerprint": "c" * 64, "clean": {"alpha": (75, 100), "beta": (60, 60)}}


@pytest.fixture
def run(tmp_path):
    """config.json and metrics.json of a run."""
    folder = write_run(tmp_path / "run", make_predictions(), seed=3)
    return json.loads((folder / "config.json").read_text()), json.loads((folder / "metrics.json").read_text())


def body(card: str) -> str:
    """The card with single spaces, so that the padding of tables does not matter."""
    return re.sub(r" +", " ", card)


def test_the_card_states_data_protocol_metrics_and_limits(run):
    config, metrics = run
    card = body(model_card(config, metrics, DATASET))
    pooled = metrics["tests"]["pooled"]
    low, high = pooled["ci95"]["accuracy"]
    assert "**Not a medical device.**" in card
    assert f"Dataset fingerprint `{'f' * 64}`" in card
    assert f"| pooled | 160 | {pooled['accuracy']:.3f} [{low:.3f}, {high:.3f}] |" in card
    assert "| augment | paper |" in card
    assert "| train | 10 | 10 | 10 | 10 | 40 |" in card
    assert "25 of 100 test images of alpha have a duplicate in training" in card
    assert "of beta have a duplicate" not in card
    assert "One run with seed 3" in card
    assert f"{pooled['calibrated']['ece']:.3f} after temperature scaling with {metrics['temperature']:.3f}" in " ".join(
        card.split()
    )
    assert f"{DRAWS} draws" in card


def test_the_header_is_what_the_hub_reads(run):
    config, metrics = run
    header = yaml.safe_load(model_card(config, metrics, DATASET).split("---\n")[1])
    assert header["pipeline_tag"] == "image-classification"
    assert header["license"]
    (model,) = header["model-index"]
    assert [result["dataset"]["name"] for result in model["results"]] == [s for s in metrics["tests"] if s != "mean"]
    values = {metric["type"]: metric["value"] for metric in model["results"][-1]["metrics"]}
    assert values == {
        "accuracy": metrics["tests"]["pooled"]["accuracy"],
        "roc_auc": metrics["tests"]["pooled"]["auc_macro"],
    }


def test_the_hubs_own_reader_takes_the_card(run):
    hub = pytest.importorskip("huggingface_hub", reason="not installed")
    config, metrics = run
    metrics["tests"]["alpha"]["auc_macro"] = None  # a set of one class
    card = hub.ModelCard(model_card(config, metrics, DATASET))
    results = card.data.eval_results
    assert {result.dataset_name for result in results} == {"alpha", "alpha-clean", "beta", "beta-clean", "pooled"}
    assert not [result for result in results if result.metric_value is None]


def test_the_hub_is_not_told_to_load_the_folder_with_keras(run):
    header = yaml.safe_load(model_card(*run, DATASET).split("---\n")[1])
    assert header["library_name"] != "keras"


def test_no_path_of_a_machine_is_in_the_card(run):
    config, metrics = run
    config["loaded_weights"] = {"path": "/home/somebody/weights/net.h5", "sha256": "a" * 64}
    card = model_card(config, metrics, DATASET | {"path": "/home/somebody/data/mri"})
    assert "somebody" not in card
    assert "net.h5" in card


def test_a_model_below_a_baseline_says_so(run):
    config, metrics = run
    metrics["baselines"] = {"pooled": {"majority class": 0.25, "1-nearest neighbour": 0.999}}
    card = model_card(config, metrics, DATASET)
    assert "The model is not more accurate than 1-nearest neighbour (0.999), a baseline without a network." in card


def test_a_run_without_validation_says_it_is_not_calibrated(run):
    config, metrics = run
    for found in metrics["tests"].values():
        found.pop("calibrated")
    assert "Probabilities are not calibrated" in model_card(config, metrics | {"temperature": None}, DATASET)


def test_a_class_that_is_absent_has_no_number(tmp_path):
    tests = make_predictions()
    folder = write_run(tmp_path / "run", tests.where(np.flatnonzero(tests.labels != 1)))
    config, metrics = (json.loads((folder / name).read_text()) for name in ("config.json", "metrics.json"))
    card = body(model_card(config, metrics, DATASET))
    assert "| meningioma | 0 | 0.000 | - |" in card
