"""Probabilities and labels of a set of images -> metrics with 95 % intervals.

Point estimates are scikit-learn's. A metric that is not defined (the AUC of a class without images) is None.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn import metrics

from fastmri_cls.evaluation.calibration import expected_calibration_error
from fastmri_cls.evaluation.statistics import (
    DRAWS,
    Bounds,
    cluster_bootstrap,
    mean_of_defined,
    percentile_ci,
    proportion_ci,
    weighted_accuracy,
    weighted_aucs,
    weighted_proportion,
)
from fastmri_cls.evaluation.temperature import scale_by_temperature
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.runs.calibration import Calibration
from fastmri_cls.runs.metrics import ClassMetrics, Estimate, OperatingPoint, ProbabilityScores, SetMetrics
from fastmri_cls.runs.predictions import Predictions

BOOTSTRAP_SEED = 0
_SUM_TOLERANCE = 1e-3  # of a row of probabilities: float16 softmax is within 1e-3 of 1
_NO_GROUP = ("nan", "None", "<NA>", "NaT", "")  # how numpy and pandas spell a missing value


def classification_report(
    y_true: Sequence[int] | Sequence[str] | np.ndarray,
    y_prob: Sequence[Sequence[float]] | np.ndarray,
    *,
    groups: Sequence[Any] | np.ndarray | None = None,
    classes: Sequence[str] | None = None,
    draws: int = DRAWS,
    seed: int = BOOTSTRAP_SEED,
) -> SetMetrics:
    """Return accuracy, AUC, calibration and per-class metrics of any classifier, with 95 % intervals.

    Intervals come from a bootstrap over groups, stratified by class.

    Args:
        y_true: true labels, [n]: indices into `classes`, or names.
        y_prob: predicted probabilities, [n, classes]; each row sums to 1.
        groups: what belongs together, such as the patient of each image, [n] of numbers or strings, none missing. By
            default every image is a group of its own.
        classes: the class names in the order of the columns of `y_prob`. By default the sorted names in `y_true`, or
            "0", "1", ... for indices.
        draws: bootstrap draws.
        seed: of the draws; equal seeds give equal intervals.

    Returns:
        The metrics; `str(report.accuracy)` is "0.956 [0.943, 0.968]". What is not defined is None. An estimate has no
        interval if all draws give one value.

    Raises:
        UserError: the arrays do not fit together, or a row is not a probability distribution.

    Example:
        >>> report = classification_report([0, 1, 1], [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]], groups=["a", "b", "b"])
        >>> report.accuracy.value
        0.6666666666666666
    """
    probabilities = _checked_probabilities(_as_array("y_prob", y_prob))
    labels, names = _checked_labels(_as_array("y_true", y_true), probabilities, classes)
    members = np.arange(len(labels)) if groups is None else _checked_groups(_as_array("groups", groups), labels)
    if draws < 1:
        raise UserError(f"draws: {draws}; give 1 or more")
    return _set_metrics(labels, probabilities, members, names, None, draws, seed)


def set_metrics(predictions: Predictions, calibration: Calibration | None = None) -> SetMetrics:
    """Return the metrics of one set; with a calibration also the calibrated scores and the operating points."""
    p = predictions
    return _set_metrics(p.labels, p.probabilities, p.groups, p.classes, calibration, DRAWS, BOOTSTRAP_SEED)


def auc(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """Return the area under the ROC curve of `scores` for `truth` bool [n]; None if `truth` has one side only."""
    return float(metrics.roc_auc_score(truth, scores)) if truth.any() and not truth.all() else None


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there are none."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def mean_value(estimates: Sequence[Estimate | None]) -> float | None:
    """Return the mean of the estimates that are not None; None if there are none."""
    return mean([estimate.value if estimate else None for estimate in estimates])


def estimate(value: float | None, bounds: Bounds | None = None) -> Estimate | None:
    """Return a value with its interval; None if the value is not defined."""
    return None if value is None else Estimate(value, *(bounds or ()))


def _set_metrics(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str],
    calibration: Calibration | None,
    draws: int,
    seed: int,
) -> SetMetrics:
    predicted = probabilities.argmax(axis=1)
    correct = predicted == labels
    drawn = _bootstrap(labels, probabilities, groups, draws, seed)
    per_class = {
        name: _class_metrics(label, name, labels, probabilities, groups, drawn, calibration)
        for label, name in enumerate(classes)
    }
    recalls = [of_class.recall for of_class in per_class.values()]
    balanced_ci = proportion_ci(mean_of_defined(drawn.recall), correct, groups)
    scores = _scores(labels, probabilities)
    return SetMetrics(
        n=len(labels),
        accuracy=Estimate(
            float(metrics.accuracy_score(labels, predicted)), *(proportion_ci(drawn.accuracy, correct, groups) or ())
        ),
        balanced_accuracy=Estimate(
            float(np.mean([recall.value for recall in recalls if recall])), *(balanced_ci or ())
        ),
        kappa=_kappa(labels, predicted),
        loss=scores.loss,
        ece=scores.ece,
        brier=scores.brier,
        auc_macro=estimate(
            mean_value([of_class.auc for of_class in per_class.values()]), percentile_ci(mean_of_defined(drawn.auc))
        ),
        per_class=per_class,
        confusion_matrix=metrics.confusion_matrix(labels, predicted, labels=range(len(classes))).tolist(),
        calibrated=_scores(labels, scale_by_temperature(probabilities, calibration.temperature))
        if calibration
        else None,
    )


class _Drawn(NamedTuple):
    """Metrics in every bootstrap draw: accuracy float64 [draws]; the others [classes, draws]."""

    accuracy: np.ndarray
    recall: np.ndarray
    specificity: np.ndarray
    auc: np.ndarray


def _bootstrap(labels: np.ndarray, probabilities: np.ndarray, groups: np.ndarray, draws: int, seed: int) -> _Drawn:
    predicted = probabilities.argmax(axis=1)
    correct, classes = predicted == labels, range(probabilities.shape[1])
    blocks = [
        _Drawn(
            accuracy=weighted_accuracy(correct, weights),
            recall=np.stack([weighted_proportion(correct, labels == c, weights) for c in classes]),
            specificity=np.stack([weighted_proportion(predicted != c, labels != c, weights) for c in classes]),
            auc=weighted_aucs(labels, probabilities, weights),
        )
        for weights in cluster_bootstrap(groups, labels, seed, draws)
    ]
    return _Drawn(*(np.concatenate(columns, axis=-1) for columns in zip(*blocks, strict=True)))


def _class_metrics(
    label: int,
    name: str,
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    drawn: _Drawn,
    calibration: Calibration | None,
) -> ClassMetrics:
    """Return the metrics of one class against the rest, for the most probable class and at its operating point."""
    truth, called, scores = labels == label, probabilities.argmax(axis=1) == label, probabilities[:, label]
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(
        truth, called, average="binary", pos_label=True, zero_division=np.nan
    )
    return ClassMetrics(
        precision=_if_defined(precision),
        recall=estimate(_if_defined(recall), proportion_ci(drawn.recall[label], called[truth], groups[truth])),
        f1=_if_defined(f1),
        specificity=estimate(
            _fraction(~called, ~truth), proportion_ci(drawn.specificity[label], ~called[~truth], groups[~truth])
        ),
        auc=estimate(auc(truth, scores), percentile_ci(drawn.auc[label])),
        average_precision=float(metrics.average_precision_score(truth, scores)) if truth.any() else None,
        support=int(truth.sum()),
        operating=_operating_point(truth, scores, calibration.thresholds[name]) if calibration else None,
    )


def _operating_point(truth: np.ndarray, scores: np.ndarray, threshold: float | None) -> OperatingPoint:
    if threshold is None:
        return OperatingPoint(None, None, None)
    called = scores >= threshold
    return OperatingPoint(threshold, _fraction(called, truth), _fraction(~called, ~truth))


def _scores(labels: np.ndarray, probabilities: np.ndarray) -> ProbabilityScores:
    exact = probabilities.astype(np.float64)
    exact /= exact.sum(axis=1, keepdims=True)  # float32 rows sum to 1 within 1e-6; scikit-learn wants float64 rows
    classes = range(exact.shape[1])
    return ProbabilityScores(
        loss=float(metrics.log_loss(labels, exact, labels=classes)),
        ece=expected_calibration_error(labels, probabilities),
        brier=float(((exact - np.eye(len(classes))[labels]) ** 2).sum(axis=1).mean()),
    )


def _kappa(labels: np.ndarray, predicted: np.ndarray) -> float | None:
    """Return Cohen's kappa; None if truth and prediction are one and the same class throughout."""
    if len(set(labels.tolist()) | set(predicted.tolist())) < 2:
        return None
    return float(metrics.cohen_kappa_score(labels, predicted))


def _if_defined(value: float) -> float | None:
    """Return a number that scikit-learn computed; None for NaN, its 0/0."""
    return None if np.isnan(value) else float(value)


def _fraction(hit: np.ndarray, counted: np.ndarray) -> float | None:
    return float(hit[counted].mean()) if counted.any() else None


def _as_array(name: str, values: object) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(f"{name}: its rows differ in length; give one array") from None


def _checked_probabilities(y_prob: np.ndarray) -> np.ndarray:
    if y_prob.ndim != 2 or y_prob.shape[1] < 2 or not len(y_prob):
        raise UserError(f"y_prob: shape {y_prob.shape}; give [images, classes] with at least one image and two classes")
    try:
        probabilities = y_prob if y_prob.dtype == np.float32 else y_prob.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"y_prob: holds values that are no numbers ({error})") from None
    off = ~((probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE))  # NaN too
    if off.any():
        row = int(off.argmax())
        raise UserError(
            f"y_prob: row {row} is {probabilities[row].tolist()}; each row must be probabilities with sum 1"
        )
    return probabilities


def _checked_labels(
    y_true: np.ndarray, probabilities: np.ndarray, classes: Sequence[str] | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels int64 [n] and the class names."""
    images, columns = probabilities.shape
    if y_true.shape != (images,):
        raise UserError(f"y_true: shape {y_true.shape}; give one label for each of the {images} rows of y_prob")
    if y_true.dtype == object and all(isinstance(label, str) for label in y_true.tolist()):
        y_true = y_true.astype(str)  # as pandas has names
    is_index = np.issubdtype(y_true.dtype, np.integer)
    if not is_index and y_true.dtype.kind != "U":
        raise UserError(f"y_true: {y_true.dtype} labels; give class indices (integers) or class names (strings)")
    default = map(str, range(columns)) if is_index else np.unique(y_true).tolist()
    names = tuple(default if classes is None else classes)
    if len(names) != columns or len(set(names)) < columns:
        raise UserError(f"classes: {', '.join(names)}; y_prob has {columns} columns, give as many different names")
    if is_index:
        unknown = y_true[(y_true < 0) | (y_true >= columns)]
        labels = y_true.astype(np.int64)
    else:
        number = {name: label for label, name in enumerate(names)}
        unknown = np.array([name for name in y_true.tolist() if name not in number])
        labels = np.array([number.get(name, -1) for name in y_true.tolist()], dtype=np.int64)
    if len(unknown):
        raise UserError(f"y_true: label {unknown[0]} is none of the {columns} classes {', '.join(names)}")
    return labels, names


def _checked_groups(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the groups as an array that sorts."""
    if groups.shape != labels.shape:
        raise UserError(f"groups: shape {groups.shape}, y_true has {labels.shape}; give one group for each image")
    missing = np.isin(groups.astype(str), _NO_GROUP)
    if missing.any():
        raise UserError(
            f"groups: no group for {missing.sum()} of {len(groups)} images (the first: number {missing.argmax()}), "
            "which would count as one group; give each a group of its own if nothing is known of it"
        )
    return groups.astype(str) if groups.dtype == object else groups  # numbers beside strings do not sort
