"""The model card: what a reader must find in it, and that the hub could read its header."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from fastmri_cls.evaluation.statistics import DRAWS
from fastmri_cls.report.evaluated import EvaluatedData
from fastmri_cls.report.model_card import model_card
from fastmri_cls.runs.config import LoadedWeights, RunConfig
from fastmri_cls.runs.run import Run
from tests.comparison_runs import make_predictions, write_run

EVALUATED = EvaluatedData("mri", "grouped", "c" * 64, {"train": 40}, {"alpha": (75, 100), "beta": (60, 60)}, None)


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(write_run(tmp_path / "run", make_predictions(), seed=3))


def card_of(run: Run, config: RunConfig | None = None, **changed_metrics) -> str:
    return model_card(config or run.config, replace(run.metrics, **changed_metrics), EVALUATED)


def body(card: str) -> str:
    """The card with single spaces, so that the padding of tables does not matter."""
    return re.sub(r" +", " ", card)


def test_the_card_states_data_protocol_metrics_and_limits(run):
    card = body(card_of(run))
    pooled = run.metrics["pooled"]
    assert "**Not a medical device.**" in card
    assert f"Dataset fingerprint `{'f' * 64}`" in card
    assert f"| pooled | 160 | {pooled.accuracy} |" in card
    assert "| augment | paper |" in card
    assert "\nfastmri-cls train --data nowhere --model small-cnn --protocol strict " in card
    assert f"This model has an accuracy of {pooled.accuracy} on 160 test images." in card
    assert "| train | 10 | 10 | 10 | 10 | 40 |" in card
    assert "25 of 100 test images of alpha have a duplicate, or their patient, in training" in card
    assert "of beta have a duplicate" not in card
    assert "One run with seed 3" in card
    assert "- Trained on another dataset than it was evaluated on." in card
    assert "trained with precision float32, evaluated in float32" in " ".join(card.split())
    assert "A group holds the duplicates of an image" in card
    calibrated = f"{pooled.calibrated.ece:.3f} after temperature scaling with {run.metrics.temperature:.3f}"
    assert calibrated in " ".join(card.split())
    assert f"{DRAWS} draws" in card


def test_the_header_is_what_the_hub_reads(run):
    header = yaml.safe_load(card_of(run).split("---\n")[1])
    assert header["pipeline_tag"] == "image-classification"
    assert header["license"]
    (model,) = header["model-index"]
    assert [result["dataset"]["name"] for result in model["results"]] == [s for s in run.metrics.tests if s != "mean"]
    values = {metric["type"]: metric["value"] for metric in model["results"][-1]["metrics"]}
    assert values == {
        "accuracy": run.metrics["pooled"].accuracy.value,
        "roc_auc": run.metrics["pooled"].auc_macro.value,
    }


def test_the_hubs_own_reader_takes_the_card(run):
    hub = pytest.importorskip("huggingface_hub", reason="not installed")
    one_class = {"alpha": replace(run.metrics["alpha"], auc_macro=None)}
    card = hub.ModelCard(card_of(run, tests=run.metrics.tests | one_class))
    results = card.data.eval_results
    assert {result.dataset_name for result in results} == {"alpha", "alpha-clean", "beta", "beta-clean", "pooled"}
    assert not [result for result in results if result.metric_value is None]


def test_the_hub_is_not_told_to_load_the_folder_with_keras(run):
    header = yaml.safe_load(card_of(run).split("---\n")[1])
    assert header["library_name"] != "keras"


def test_no_path_of_a_machine_is_in_the_card(run):
    weights = LoadedWeights("net.h5", "/home/somebody/weights/net.h5", "a" * 64, tensors=3)
    card = card_of(run, replace(run.config, loaded_weights=weights, data=Path("/home/somebody/data/mri")))
    assert "somebody" not in card
    assert "net.h5" in card


def test_a_model_below_a_baseline_says_so(run):
    card = card_of(run, baselines={"pooled": {"majority class": 0.25, "1-nearest neighbour": 0.999}})
    assert "The model is not more accurate than 1-nearest neighbour (0.999), a baseline without a network." in card


def test_a_run_without_validation_says_it_is_not_calibrated(run):
    tests = {name: replace(found, calibrated=None) for name, found in run.metrics.tests.items()}
    assert "Probabilities are not calibrated" in card_of(run, tests=tests, temperature=None)


def test_a_class_that_is_absent_has_no_number(tmp_path):
    tests = make_predictions()
    folder = write_run(tmp_path / "run", tests.where(np.flatnonzero(tests.labels != 1)))
    card = body(card_of(Run(folder)))
    assert "| meningioma | 0 | 0.000 | - |" in card
