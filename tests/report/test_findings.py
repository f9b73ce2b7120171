"""What a report says about models beside the baselines without a network."""

import pytest

from fastmri_cls.report.findings import baseline_findings
from fastmri_cls.runs.metrics import Estimate

BASELINES = {"majority class": 0.25, "1-nearest neighbour": 0.514}


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({"A": Estimate(0.29, 0.2, 0.4), "B": Estimate(0.5, 0.4, 0.6)}, ["No model is more accurate than"]),
        ({"A": Estimate(0.29, 0.2, 0.4)}, ["A is not more accurate than"]),
        ({"A": Estimate(0.6, 0.5, 0.7)}, ["A is not clearly more accurate than"]),
        ({"A": Estimate(0.9)}, ["A is not clearly more accurate than"]),
        ({"A": Estimate(0.9, 0.8, 0.95), "B": Estimate(0.8, 0.7, 0.9)}, ["Both models are clearly more accurate than"]),
        (
            {"A": Estimate(0.9, 0.8, 0.95), "B": Estimate(0.3, 0.2, 0.4), "C": Estimate(0.55, 0.5, 0.6)},
            ["B is not more accurate than", "C is not clearly more accurate than"],
        ),
    ],
)
def test_models_are_held_against_the_best_baseline(accuracies, expected):
    found = baseline_findings(accuracies, BASELINES)
    assert len(found) == len(expected)
    for sentence, start in zip(found, expected, strict=True):
        assert sentence.startswith(f"{start} 1-nearest neighbour (0.514), a baseline without a network")


def test_an_accuracy_without_an_interval_is_not_clearly_better_and_the_reason_is_true():
    (sentence,) = baseline_findings({"A": Estimate(0.9)}, BASELINES)
    assert sentence.endswith("a baseline without a network: there is no interval.")


def test_without_baselines_nothing_is_said():
    assert baseline_findings({"A": Estimate(0.3)}, {}) == []
