"""The test sets of a dataset and their metrics: each source, its leak-free part, all images, the mean over sources."""

from collections.abc import Sequence

import numpy as np

from fastmri_cls.evaluation.metrics import BOOTSTRAP_SEED, estimate, mean, mean_value, set_metrics
from fastmri_cls.evaluation.statistics import (
    cluster_bootstrap,
    percentile_ci,
    proportion_ci,
    weighted_accuracy,
    weighted_auc_macro,
)
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.calibration import Calibration
from fastmri_cls.runs.metrics import ClassMetrics, Estimate, OperatingPoint, ProbabilityScores, SetMetrics
from fastmri_cls.runs.predictions import Predictions

POOLED, MEAN = "pooled", "mean"


def all_metrics(
    tests: Predictions, validation: Predictions | None, calibration: Calibration | None
) -> tuple[dict[str, SetMetrics], SetMetrics | None]:
    """Return the metrics of every test set (see `evaluation_sets`, then `mean`), and of the validation set."""
    found = {name: set_metrics(tests.where(chosen), calibration) for name, chosen in evaluation_sets(tests).items()}
    found[MEAN] = mean_metrics(tests, [found[source] for source in tests.source_names])
    return found, set_metrics(validation, calibration) if validation else None


def evaluation_sets(tests: Predictions) -> dict[str, np.ndarray]:
    """Return the test sets as masks, bool [n]: each source, `<source>-clean` if it is a proper part, and `pooled`.

    Raises:
        UserError: a source has the name of another set.
    """
    sets: dict[str, np.ndarray] = {}
    for source in tests.source_names:
        sets[source] = tests.sources == source
        clean = sets[source] & tests.clean
        if 0 < clean.sum() < sets[source].sum():
            sets[f"{source}-clean"] = clean
    taken = {POOLED, MEAN, *(f"{source}-clean" for source in tests.source_names)} & set(tests.source_names)
    if taken:
        raise UserError(
            f"source {min(taken)}: is the name of a set of test images too; rebuild with build-tfrecords NAME=FOLDER"
        )
    return sets | {POOLED: np.ones(len(tests), bool)}


def mean_metrics(tests: Predictions, per_source: Sequence[SetMetrics]) -> SetMetrics:
    """Return the mean over sources of every metric: each source counts the same, whatever its size.

    A metric that is not defined in a source is the mean over the others. Images, supports and the confusion matrix are
    sums. Accuracy and macro AUC have the interval of the mean.
    """
    masks = [tests.sources == source for source in tests.source_names]
    accuracies, aucs = [], []
    for weights in cluster_bootstrap(tests.groups, tests.labels, BOOTSTRAP_SEED):
        parts = [(tests.where(mask), weights[:, mask]) for mask in masks]
        accuracies.append(np.mean([weighted_accuracy(p.predicted == p.labels, w) for p, w in parts], axis=0))
        aucs.append(np.mean([weighted_auc_macro(p.labels, p.probabilities, w) for p, w in parts], axis=0))
    accuracy_ci = proportion_ci(np.concatenate(accuracies), tests.predicted == tests.labels, tests.groups)
    calibrated = [found.calibrated for found in per_source if found.calibrated]
    return SetMetrics(
        n=sum(found.n for found in per_source),
        accuracy=Estimate(float(np.mean([found.accuracy.value for found in per_source])), *(accuracy_ci or ())),
        balanced_accuracy=Estimate(float(np.mean([found.balanced_accuracy.value for found in per_source]))),
        kappa=mean([found.kappa for found in per_source]),
        loss=float(np.mean([found.loss for found in per_source])),
        ece=float(np.mean([found.ece for found in per_source])),
        brier=float(np.mean([found.brier for found in per_source])),
        auc_macro=estimate(mean_value([found.auc_macro for found in per_source]), percentile_ci(np.concatenate(aucs))),
        per_class={name: _mean_class([found.per_class[name] for found in per_source]) for name in tests.classes},
        confusion_matrix=np.sum([found.confusion_matrix for found in per_source], axis=0).tolist(),
        calibrated=ProbabilityScores(
            loss=float(np.mean([scores.loss for scores in calibrated])),
            ece=float(np.mean([scores.ece for scores in calibrated])),
            brier=float(np.mean([scores.brier for scores in calibrated])),
        )
        if calibrated
        else None,
    )


def _mean_class(several: Sequence[ClassMetrics]) -> ClassMetrics:
    points = [of_class.operating for of_class in several if of_class.operating]
    return ClassMetrics(
        precision=mean([of_class.precision for of_class in several]),
        recall=estimate(mean_value([of_class.recall for of_class in several])),
        f1=mean([of_class.f1 for of_class in several]),
        specificity=estimate(mean_value([of_class.specificity for of_class in several])),
        auc=estimate(mean_value([of_class.auc for of_class in several])),
        average_precision=mean([of_class.average_precision for of_class in several]),
        support=sum(of_class.support for of_class in several),
        operating=OperatingPoint(
            threshold=mean([point.threshold for point in points]),
            sensitivity=mean([point.sensitivity for point in points]),
            specificity=mean([point.specificity for point in points]),
        )
        if points
        else None,
    )
