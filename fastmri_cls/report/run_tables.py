"""The tables of one run, for its report, its card and the terminal."""

from dataclasses import asdict

from fastmri_cls.evaluation.metrics import BOOTSTRAP_SEED
from fastmri_cls.evaluation.sets import MEAN, POOLED
from fastmri_cls.evaluation.statistics import DRAWS
from fastmri_cls.foundation.json_files import flatten
from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.report.options import shown, words
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.metrics import OperatingPoint, RunMetrics, SetMetrics
from fastmri_cls.runs.protocol import Protocol

NO_INTERVAL = (
    " Without brackets: all draws of the bootstrap give one value (one group in each class, or an AUC of 1), which "
    "does not show how uncertain it is."
)
CLEAN = " “-clean”: without the images that have a duplicate, or their patient, in training or validation."
_BASELINES = (
    " The last rows are shortcut baselines without a network, on all test images: the most frequent class, properties "
    "of the image files, the most similar training thumbnail. A model must be clearly more accurate."
)


def shown_sets(metrics: RunMetrics) -> dict[str, SetMetrics]:
    """Return the test sets to show: with a single source, all images and the mean over sources equal that source."""
    sources = [name for name in metrics.tests if name not in (POOLED, MEAN) and not name.endswith("-clean")]
    omitted = (POOLED, MEAN) if len(sources) == 1 else ()
    return {name: found for name, found in metrics.tests.items() if name not in omitted}


def sets_table(metrics: RunMetrics) -> Table:
    """Return the metrics of every test set, of the validation split and of the shortcut baselines."""
    baselines, sets = metrics.baselines.get(POOLED, {}), shown_sets(metrics)
    named = [*sets.items(), *([("validation", metrics.val)] if metrics.val else [])]
    rows = [_set_row(name, found) for name, found in named]
    rows += [(name, None, accuracy, None, None, None, None) for name, accuracy in baselines.items()]
    note = (
        "Brackets: 95 % confidence interval, bootstrap over groups of duplicates and known patients, stratified by "
        f"class, {DRAWS} draws with seed {BOOTSTRAP_SEED}. AUC: mean of the one-vs-rest AUCs of the classes in the "
        "set. ECE: expected calibration error."
    )
    estimates = [estimate for _, found in named for estimate in (found.accuracy, found.auc_macro)]
    if any(estimate.low is None for estimate in estimates if estimate):
        note += NO_INTERVAL
    if POOLED in sets:
        note += " “pooled”: all test images; “mean”: mean over the sources, each with the same weight."
    if any(name.endswith("-clean") for name in sets):
        note += CLEAN
    columns = ("test set", "images", "accuracy", "AUC", "loss", "ECE", "Brier score")
    return Table("sets", "Metrics by test set", columns, rows, note + (_BASELINES if baselines else ""))


def calibration_table(metrics: RunMetrics) -> Table:
    """Return balanced accuracy, kappa, and the scores of the probabilities before and after temperature scaling."""
    scores = {"ece": "ECE", "brier": "Brier score", "loss": "loss"}
    columns = ["test set", "balanced accuracy", "kappa"]
    for title in scores.values():
        columns += [title, f"{title}, calibrated"]
    rows: list[tuple[Cell, ...]] = []
    for name, found in shown_sets(metrics).items():
        pairs = [value for score in scores for value in (getattr(found, score), getattr(found.calibrated, score, None))]
        rows.append((name, found.balanced_accuracy.value, found.kappa, *pairs))
    temperature = metrics.temperature
    note = (
        f"Calibrated: after temperature scaling with {temperature:.3f}, fitted on the validation split."
        if temperature
        else "Not calibrated: there are no predictions of validation images, outside of training, to fit a temperature."
    )
    return Table("calibration", "Agreement and calibration by test set", tuple(columns), rows, note)


def classes_table(name: str, found: SetMetrics) -> Table:
    """Return the one-vs-rest metrics of each class on test set `name`."""
    columns = (
        "class", "images", "precision", "sensitivity", "specificity", "F1", "AUC", "average precision",
        "threshold", "sensitivity at threshold", "specificity at threshold",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for class_name, of_class in found.per_class.items():
        point = of_class.operating or OperatingPoint(None, None, None)
        rows.append(
            (
                class_name,
                of_class.support,
                of_class.precision,
                of_class.recall,
                of_class.specificity,
                of_class.f1,
                of_class.auc and of_class.auc.value,
                of_class.average_precision,
                point.threshold,
                point.sensitivity,
                point.specificity,
            )
        )
    note = (
        "Precision, sensitivity, specificity and F1: the most probable class is predicted. Last two columns: a class "
        "is predicted if its probability reaches the threshold with the largest Youden index (sensitivity + "
        "specificity - 1) on the validation split. If a sensitivity or specificity is 0 or 1, its interval is the "
        "exact binomial one for the number of groups."
    )
    return Table(f"classes-{name}", f"Classes, test set {name} ({found.n:,} images)", columns, rows, note)


def counts_table(config: RunConfig) -> Table:
    """Return the images the run was trained and validated on, by split and class."""
    rows: list[tuple[Cell, ...]] = [
        (split, *(per_class.get(name, 0) for name in config.classes), sum(per_class.values()))
        for split, per_class in config.dataset.per_class.items()
    ]
    return Table("counts", "Images by split and class", ("split", *config.classes, "all"), rows)


def protocol_table(protocol: Protocol) -> Table:
    """Return every option of a protocol."""
    rows: list[tuple[Cell, ...]] = [(words(path), shown(value)) for path, value in flatten(asdict(protocol))]
    return Table("protocol", "Protocol options", ("option", "value"), rows)


def _set_row(name: str, found: SetMetrics) -> tuple[Cell, ...]:
    return name, found.n, found.accuracy, found.auc_macro, found.loss, found.ece, found.brier
