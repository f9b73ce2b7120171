"""Predictions -> metrics.json: scikit-learn's numbers for each test set, their leak-free parts, pooled and mean.

A metric that is not defined (the AUC of a class the set does not hold) is None, never a number made up.
"""

from typing import Any

import numpy as np
from sklearn import metrics

from fastmri_cls.evaluation.calibration import expected_calibration_error
from fastmri_cls.evaluation.predictions import Predictions
from fastmri_cls.evaluation.statistics import bootstrap_weights, interval, weighted_accuracy, weighted_auc_macro

Metrics = dict[str, Any]

_BOOTSTRAP_SEED = 0
_MEANS = ("accuracy", "loss", "auc_macro", "ece", "brier")


def all_metrics(tests: Predictions, validation: Predictions | None) -> dict[str, Any]:
    """Return `tests` (by source, `<source>-clean` where that is another set, `pooled`, `mean`) and `val`."""
    found: dict[str, Metrics] = {}
    sources = list(dict.fromkeys(tests.sources.tolist()))
    for source in sources:
        of_source = tests.sources == source
        found[source] = set_metrics(tests.where(of_source))
        clean = of_source & tests.clean
        if 0 < clean.sum() < of_source.sum():
            found[f"{source}-clean"] = set_metrics(tests.where(clean))
    found["pooled"] = set_metrics(tests)
    found["mean"] = mean_metrics(tests, [found[source] for source in sources])
    return {"tests": found, "val": set_metrics(validation) if validation else None}


def set_metrics(p: Predictions) -> Metrics:
    """Return the metrics of one set, M of the contract; 95 % intervals from a bootstrap over groups."""
    numbers = range(len(p.classes))
    draws = [
        (
            weighted_accuracy(p.predicted == p.labels, weights),
            weighted_auc_macro(p.labels, p.probabilities, weights),
        )
        for weights in bootstrap_weights(p.groups, _BOOTSTRAP_SEED)
    ]
    accuracies, aucs = (np.concatenate(column) for column in zip(*draws, strict=True))
    per_class = {name: _class_metrics(p, label) for label, name in enumerate(p.classes)}
    return {
        "n": len(p),
        "accuracy": float(metrics.accuracy_score(p.labels, p.predicted)),
        "loss": float(metrics.log_loss(p.labels, _normalised(p.probabilities), labels=numbers)),
        "auc_macro": _mean([m["auc"] for m in per_class.values()]),
        "per_class": per_class,
        "confusion_matrix": metrics.confusion_matrix(p.labels, p.predicted, labels=numbers).tolist(),
        "ece": expected_calibration_error(p.labels, p.probabilities),
        "brier": float(((p.probabilities.astype(np.float64) - np.eye(len(numbers))[p.labels]) ** 2).sum(axis=1).mean()),
        "ci95": {"accuracy": interval(accuracies), "auc_macro": interval(aucs)},
    }


def mean_metrics(tests: Predictions, per_source: list[Metrics]) -> Metrics:
    """Return the mean over the sources of every metric: each test set counts the same, however large it is.

    n, supports and the confusion matrix are sums; the intervals are those of the mean.
    """
    sources = list(dict.fromkeys(tests.sources.tolist()))
    masks = [tests.sources == source for source in sources]
    accuracies, aucs = [], []
    for weights in bootstrap_weights(tests.groups, _BOOTSTRAP_SEED):
        parts = [(tests.where(mask), weights[:, mask]) for mask in masks]
        accuracies.append(np.mean([weighted_accuracy(p.predicted == p.labels, w) for p, w in parts], axis=0))
        aucs.append(np.mean([weighted_auc_macro(p.labels, p.probabilities, w) for p, w in parts], axis=0))
    per_class = {
        name: {
            metric: sum(m["per_class"][name][metric] for m in per_source)
            if metric == "support"
            else _mean([m["per_class"][name][metric] for m in per_source])
            for metric in per_source[0]["per_class"][name]
        }
        for name in tests.classes
    }
    return {
        "n": len(tests),
        **{name: _mean([m[name] for m in per_source]) for name in _MEANS},
        "per_class": per_class,
        "confusion_matrix": np.sum([m["confusion_matrix"] for m in per_source], axis=0).tolist(),
        "ci95": {"accuracy": interval(np.concatenate(accuracies)), "auc_macro": interval(np.concatenate(aucs))},
    }


def _class_metrics(p: Predictions, label: int) -> Metrics:
    """One class against the rest."""
    truth, called, scores = p.labels == label, p.predicted == label, p.probabilities[:, label]
    true_negatives, negatives = int((~truth & ~called).sum()), int((~truth).sum())
    both_sides = truth.any() and negatives > 0
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, called, average="binary", pos_label=True, zero_division=0.0
    )
    return {
        "precision": float(precision),
        "recall": float(recall) if truth.any() else None,
        "f1": float(f1),
        "specificity": true_negatives / negatives if negatives else None,
        "auc": float(metrics.roc_auc_score(truth, scores)) if both_sides else None,
        "average_precision": float(metrics.average_precision_score(truth, scores)) if truth.any() else None,
        "support": int(truth.sum()),
    }


def _normalised(probabilities: np.ndarray) -> np.ndarray:
    """float32 rows sum to 1 within 1e-6; scikit-learn wants float64 rows that do."""
    exact = probabilities.astype(np.float64)
    return exact / exact.sum(axis=1, keepdims=True)


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
