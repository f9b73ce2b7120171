"""Systems and their numbers -> the tables of a comparison."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastmri_cls.comparison.published import PUBLISHED
from fastmri_cls.comparison.runs import Run, System
from fastmri_cls.comparison.statistics import Numbers
from fastmri_cls.report.text_tables import Cell, Estimate, PValue, Rounded, Seconds, Table

_MODEL_NAME = "model.keras"


def table_one(systems: Sequence[System], numbers: Numbers) -> Table:
    """Table I of the paper: accuracy and AUC on all test images, with intervals, the paper's own beside them."""
    compared_with_paper = any(system.model in PUBLISHED for system in systems)
    columns = ["model", "runs", "accuracy", "AUC", "balanced acc.", "kappa", "ECE", "ECE calibrated"]
    if compared_with_paper:
        columns += ["paper's accuracy", "paper's AUC"]
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        pooled = [run.metrics["tests"]["pooled"] for run in system.runs]
        row: list[Cell] = [
            system.name,
            len(system.runs),
            numbers.sets["pooled"].by_system[system.name],
            numbers.auc[system.name],
            _mean([m["balanced_accuracy"] for m in pooled]),
            _mean([m["kappa"] for m in pooled]),
            _mean([m["ece"] for m in pooled]),
            _mean([m["calibrated"]["ece"] if "calibrated" in m else None for m in pooled]),
        ]
        if compared_with_paper:
            paper = PUBLISHED.get(system.model)
            row += [paper.accuracy, paper.auc] if paper else [None, None]
        rows.append(tuple(row))
    note = (
        f"All {numbers.sets['pooled'].images} test images. Brackets: 95 % interval, bootstrap over groups of copies, "
        "stratified by class. AUC: mean of each class against the rest. ECE: expected calibration error, as trained "
        "and after temperature scaling fitted on validation."
    )
    if any(len(system.runs) > 1 for system in systems):
        note += " Of several runs: mean ± standard deviation over runs; the interval is that of the mean, over images."
    if compared_with_paper:
        note += " Paper: arXiv 2511.18326, one run, published split (1705 images), no interval given."
    return Table("table1", "Accuracy and AUC on all test images", tuple(columns), rows, note)


def sets_table(systems: Sequence[System], numbers: Numbers) -> Table:
    """Accuracy on every test set, with the baselines that learn nothing."""
    sets = numbers.shown_sets
    columns = ("model", *(f"{name} ({found.images})" for name, found in sets.items()))
    rows: list[tuple[Cell, ...]] = [
        (system.name, *(found.by_system[system.name] for found in sets.values())) for system in systems
    ]
    baselines = systems[0].runs[0].metrics.get("baselines", {})
    for name in baselines.get("pooled", {}):
        rows.append((name, *(baselines.get(set_name, {}).get(name) for set_name in sets)))
    note = "Columns: test set (images). “-clean”: without the images that have a copy in training or validation."
    if len(numbers.sources) > 1:
        note += " “mean”: every source counts the same."
    if baselines:
        note += " The last rows learn nothing about tumours; a model has to beat them by a margin."
    return Table("test-sets", "Accuracy by test set", columns, rows, note)


def classes_table(systems: Sequence[System]) -> Table:
    """Each class on all test images, at the argmax and at the operating point chosen on validation."""
    columns = ("model", "class", "images", "sensitivity", "specificity", "AUC", "at point: sens.", "at point: spec.")
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        for class_name in system.runs[0].tests.classes:
            found = [run.metrics["tests"]["pooled"]["per_class"][class_name] for run in system.runs]
            points = [m.get("operating", {}) for m in found]
            rows.append(
                (
                    system.name,
                    class_name,
                    found[0]["support"],
                    *(_of_repeats(found, name) for name in ("recall", "specificity", "auc")),
                    _mean([point.get("sensitivity") for point in points]),
                    _mean([point.get("specificity") for point in points]),
                )
            )
    note = (
        "All test images, one class against the rest, where the most probable class is called; and where a class is "
        "called at the threshold of its probability that has the largest Youden index on validation."
    )
    return Table("classes", "Sensitivity and specificity by class", columns, rows, note)


def differences_table(numbers: Numbers) -> Table:
    """First system minus second, with intervals."""
    rows: list[tuple[Cell, ...]] = [(d.first, d.second, d.accuracy, d.auc) for d in numbers.differences]
    note = "First minus second, means over runs, on all test images; 95 % interval from a bootstrap over groups."
    return Table("differences", "Differences of the models", ("first", "second", "accuracy", "AUC"), rows, note)


def paired_tests_table(numbers: Numbers) -> Table:
    """The paired tests, run by run."""
    columns = (
        "first", "second", "run", "only first right", "only second right", "McNemar p", "Holm p (accuracy)",
        "AUC difference", "DeLong p", "Holm p (AUC)",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = [
        (
            test.first,
            test.second,
            test.repeat,
            test.mcnemar.only_first,
            test.mcnemar.only_second,
            PValue(test.mcnemar.p),
            PValue(test.mcnemar_holm),
            test.delong.difference,
            PValue(test.delong.p),
            PValue(test.delong_holm),
        )
        for test in numbers.tests
    ]
    note = (
        "The same test images throughout. McNemar: exact, two-sided. DeLong: of the mean of each class against the "
        "rest. Holm: corrected for all rows. Both take images as independent, which copies are not: where they "
        "disagree with the intervals of the differences, believe the intervals."
    )
    return Table("paired-tests", "Paired tests", columns, rows, note)


def cost_table(systems: Sequence[System]) -> Table:
    """Time and size; medians and means over epochs and runs."""
    compared_with_paper = any(system.model in PUBLISHED for system in systems)
    columns = ["model", "epochs", "training", "epoch, phase 1", "epoch, phase 2", "images/s", "model file, MB"]
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        sizes = [(run.path / _MODEL_NAME).stat().st_size / 1e6 for run in system.runs if _has_model(run)]
        row: list[Cell] = [
            system.name,
            Rounded(float(np.mean([len(run.history) for run in system.runs]))),
            Seconds(float(np.mean([training_seconds(run) for run in system.runs]))),
            _median_epoch(system, 1),
            _median_epoch(system, 2),
            round(float(np.mean([run.metrics["timing"]["images_per_second"] for run in system.runs]))),
            Rounded(float(np.mean(sizes))) if sizes else None,
        ]
        if compared_with_paper:
            paper = PUBLISHED.get(system.model)
            row.append(Seconds(paper.seconds_per_epoch) if paper else None)
        rows.append(tuple(row))
    machines = dict.fromkeys(_machine(run) for system in systems for run in system.runs)
    note = f"On {'; '.join(machines)}."
    if compared_with_paper:
        columns.append("paper's epoch")
        note += " The paper's seconds an epoch are those of its notebooks' logs, on a CPU of theirs."
    return Table("cost", "Time and cost", tuple(columns), rows, note)


def runs_table(systems: Sequence[System]) -> Table:
    """Every run."""
    columns = ("model", "seed", "fold", "accuracy", "AUC", "validation acc.", "epochs", "training", "folder")
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        for run in system.runs:
            pooled, validation = run.metrics["tests"]["pooled"], run.metrics["val"]
            seed, fold = run.repeat
            rows.append(
                (
                    system.name,
                    seed,
                    fold,
                    Estimate(pooled["accuracy"], pooled["ci95"]["accuracy"]),
                    Estimate(pooled["auc_macro"], pooled["ci95"]["auc_macro"]),
                    validation["accuracy"] if validation else None,
                    len(run.history),
                    Seconds(training_seconds(run)),
                    run.path.name,
                )
            )
    return Table("runs", "Every run", columns, rows, "All test images.")


def training_seconds(run: Run) -> float:
    """Return the seconds of all epochs, validation included."""
    return float(sum(row["seconds"] for row in run.history))


def _has_model(run: Run) -> bool:
    return (run.path / _MODEL_NAME).exists()


def _median_epoch(system: System, phase: int) -> Cell:
    seconds = [row["seconds"] for run in system.runs for row in run.history if row["phase"] == phase]
    return Seconds(float(np.median(seconds))) if seconds else None


def _machine(run: Run) -> str:
    environment = run.config["environment"]
    devices = [name.removeprefix("/device:") for name in run.config.get("devices", [])]
    return f"{environment['processor']}, {environment['cores']} cores, {' '.join(devices)}, {run.config['precision']}"


def _of_repeats(found: list[dict[str, Any]], name: str) -> Estimate:
    """One run's metric with its interval, or the mean of several with its deviation."""
    values = [m[name] for m in found if m[name] is not None]
    if len(found) == 1:
        return Estimate(found[0][name], found[0]["ci95"][name])
    return Estimate(_mean(values), None, float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
