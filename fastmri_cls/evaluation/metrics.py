"""Predictions -> metrics.json: scikit-learn's numbers for each test set, their leak-free parts, pooled and mean.

A metric that is not defined (the AUC of a class the set does not hold) is None, never a number made up.
"""

from typing import Any

import numpy as np
from sklearn import metrics

from fastmri_cls.evaluation.calibration import expected_calibration_error, scale_by_temperature
from fastmri_cls.evaluation.choices import Choices
from fastmri_cls.evaluation.statistics import (
    bootstrap_weights,
    interval,
    mean_of_defined,
    share_interval,
    weighted_accuracy,
    weighted_aucs,
    weighted_share,
)
from fastmri_cls.runs.predictions import Predictions

Metrics = dict[str, Any]

BOOTSTRAP_SEED = 0
_SUMS = ("n", "support", "confusion_matrix")


def all_metrics(tests: Predictions, validation: Predictions | None, choices: Choices | None) -> dict[str, Any]:
    """Return `tests` (by source, `<source>-clean` where that is another set, `pooled`, `mean`) and `val`."""
    found: dict[str, Metrics] = {
        name: set_metrics(tests.where(chosen), choices) for name, chosen in evaluation_sets(tests).items()
    }
    found["mean"] = mean_metrics(tests, [found[source] for source in tests.source_names])
    return {"tests": found, "val": set_metrics(validation, choices) if validation else None}


def evaluation_sets(tests: Predictions) -> dict[str, np.ndarray]:
    """Return bool [n] of each source, of its leak-free part where only some are (`<source>-clean`), and of `pooled`."""
    sets = {}
    for source in tests.source_names:
        sets[source] = tests.sources == source
        clean = sets[source] & tests.clean
        if 0 < clean.sum() < sets[source].sum():
            sets[f"{source}-clean"] = clean
    return sets | {"pooled": np.ones(len(tests), bool)}


def set_metrics(p: Predictions, choices: Choices | None = None) -> Metrics:
    """Return the metrics of one set, M of the contract; 95 % intervals from a bootstrap over groups.

    `choices` add what depends on them: `calibrated` (after temperature scaling) and each class's `operating` point.
    """
    per_class = {name: _class_metrics(p, label, choices) for label, name in enumerate(p.classes)}
    ci95, of_classes = _intervals(p)
    for found, bounds in zip(per_class.values(), of_classes, strict=True):
        found["ci95"] = bounds
    of_set: Metrics = {
        "n": len(p),
        "accuracy": float(metrics.accuracy_score(p.labels, p.predicted)),
        "balanced_accuracy": _mean([m["recall"] for m in per_class.values()]),
        "kappa": _kappa(p),
        **_calibration(p.labels, p.probabilities),
        "auc_macro": _mean([m["auc"] for m in per_class.values()]),
        "per_class": per_class,
        "confusion_matrix": metrics.confusion_matrix(p.labels, p.predicted, labels=range(len(p.classes))).tolist(),
        "ci95": ci95,
    }
    if choices:
        of_set["calibrated"] = _calibration(p.labels, scale_by_temperature(p.probabilities, choices.temperature))
    return of_set


def mean_metrics(tests: Predictions, per_source: list[Metrics]) -> Metrics:
    """Return the mean over the sources of every metric: each test set counts the same, however large it is.

    n, supports and the confusion matrix are sums; the intervals are those of the mean.
    """
    masks = [tests.sources == source for source in tests.source_names]
    accuracies, aucs = [], []
    for weights in bootstrap_weights(tests.groups, tests.labels, BOOTSTRAP_SEED):
        parts = [(tests.where(mask), weights[:, mask]) for mask in masks]
        accuracies.append(np.mean([weighted_accuracy(p.predicted == p.labels, w) for p, w in parts], axis=0))
        aucs.append(np.mean([mean_of_defined(weighted_aucs(p.labels, p.probabilities, w)) for p, w in parts], axis=0))
    correct = tests.predicted == tests.labels
    return {
        **_mean_of_all(per_source),
        "ci95": {
            "accuracy": share_interval(np.concatenate(accuracies), correct, tests.groups),
            "auc_macro": interval(np.concatenate(aucs)),
        },
    }


def _mean_of_all(several: list[Metrics]) -> Metrics:
    """Return the mean of every number in dictionaries of equal form, at any depth; intervals are left out."""
    found: Metrics = {}
    for name, first in several[0].items():
        values = [one[name] for one in several]
        if name in _SUMS:
            found[name] = np.sum(values, axis=0).tolist()
        elif isinstance(first, dict):
            found |= {} if name == "ci95" else {name: _mean_of_all(values)}
        else:
            found[name] = _mean(values)
    return found


def _intervals(p: Predictions) -> tuple[Metrics, list[Metrics]]:
    """Return `ci95` of the set and of each of its classes."""
    everything, correct = np.ones(len(p), bool), p.predicted == p.labels
    drawn: dict[str, list[np.ndarray]] = {name: [] for name in ("accuracy", "recall", "specificity", "auc")}
    for weights in bootstrap_weights(p.groups, p.labels, BOOTSTRAP_SEED):
        classes = range(len(p.classes))
        drawn["accuracy"].append(weighted_share(correct, everything, weights))
        drawn["recall"].append(np.stack([weighted_share(correct, p.labels == c, weights) for c in classes]))
        drawn["specificity"].append(
            np.stack([weighted_share(p.predicted != c, p.labels != c, weights) for c in classes])
        )
        drawn["auc"].append(weighted_aucs(p.labels, p.probabilities, weights))
    whole = {name: np.concatenate(blocks, axis=-1) for name, blocks in drawn.items()}
    of_set = {
        "accuracy": share_interval(whole["accuracy"], correct, p.groups),
        "balanced_accuracy": share_interval(mean_of_defined(whole["recall"]), correct, p.groups),
        "auc_macro": interval(mean_of_defined(whole["auc"])),
    }
    of_classes = []
    for c in range(len(p.classes)):
        truth, called = p.labels == c, p.predicted == c
        of_classes.append(
            {
                "recall": share_interval(whole["recall"][c], called[truth], p.groups[truth]),
                "specificity": share_interval(whole["specificity"][c], ~called[~truth], p.groups[~truth]),
                "auc": interval(whole["auc"][c]),
            }
        )
    return of_set, of_classes


def _class_metrics(p: Predictions, label: int, choices: Choices | None) -> Metrics:
    """One class against the rest, at the argmax and at its operating point."""
    truth, called, scores = p.labels == label, p.predicted == label, p.probabilities[:, label]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, called, average="binary", pos_label=True, zero_division=0.0
    )
    found: Metrics = {
        "precision": float(precision),
        "recall": float(recall) if truth.any() else None,
        "f1": float(f1),
        "specificity": _share(~called, ~truth),
        "auc": float(metrics.roc_auc_score(truth, scores)) if truth.any() and not truth.all() else None,
        "average_precision": float(metrics.average_precision_score(truth, scores)) if truth.any() else None,
        "support": int(truth.sum()),
    }
    if choices:
        threshold = choices.thresholds[p.classes[label]]
        called = scores >= (np.inf if threshold is None else threshold)
        defined = threshold is not None
        found["operating"] = {
            "threshold": threshold,
            "sensitivity": _share(called, truth) if defined else None,
            "specificity": _share(~called, ~truth) if defined else None,
        }
    return found


def _calibration(labels: np.ndarray, probabilities: np.ndarray) -> Metrics:
    """Log loss, expected calibration error and Brier score; the last is the sum over classes, between 0 and 2."""
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)  # float32 rows sum to 1 within 1e-6; scikit-learn wants float64 rows
    classes = range(exact.shape[1])
    return {
        "loss": float(metrics.log_loss(labels, exact, labels=classes)),
        "ece": expected_calibration_error(labels, probabilities),
        "brier": float(((exact - np.eye(len(classes))[labels]) ** 2).sum(axis=1).mean()),
    }


def _kappa(p: Predictions) -> float | None:
    """Cohen's kappa; not defined where truth and prediction are one and the same class throughout."""
    if len(set(p.labels.tolist()) | set(p.predicted.tolist())) < 2:
        return None
    return float(metrics.cohen_kappa_score(p.labels, p.predicted))


def _share(hit: np.ndarray, of: np.ndarray) -> float | None:
    return float(hit[of].mean()) if of.any() else None


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
