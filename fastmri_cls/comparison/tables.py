"""Systems and their numbers -> the tables of a comparison."""

from collections.abc import Sequence

import numpy as np

from fastmri_cls.comparison.paper import PAPER
from fastmri_cls.comparison.runs import ComparedRun, System
from fastmri_cls.comparison.statistics import Numbers
from fastmri_cls.evaluation.metrics import mean, mean_value
from fastmri_cls.evaluation.paired import POWER, SIGNIFICANCE
from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.foundation.tables import Cell, PValue, Rounded, Seconds, Table
from fastmri_cls.report.findings import SELECTED_ON_TEST, listed, selects_on_test
from fastmri_cls.report.run_tables import CLEAN, NO_INTERVAL
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.metrics import Estimate
from fastmri_cls.runs.predictions import Predictions

_COVERED = "the choice of test images, not the choice of seeds"


def table_one(systems: Sequence[System], numbers: Numbers) -> Table:
    """Return accuracy and AUC on all test images with intervals, beside those of the paper (its Table I)."""
    compared_with_paper = any(system.model in PAPER for system in systems)
    columns = ["model", "runs", "accuracy", "AUC", "balanced acc.", "kappa", "ECE", "ECE calibrated"]
    if compared_with_paper:
        columns += ["paper's accuracy", "paper's AUC"]
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        pooled = [run.metrics[POOLED] for run in system.runs]
        row: list[Cell] = [
            system.name,
            len(system.runs),
            numbers.sets[POOLED].by_system[system.name],
            numbers.auc[system.name],
            mean_value([found.balanced_accuracy for found in pooled]),
            mean([found.kappa for found in pooled]),
            mean([found.ece for found in pooled]),
            mean([found.calibrated.ece if found.calibrated else None for found in pooled]),
        ]
        if compared_with_paper:
            paper = PAPER.get(system.model)
            row += [paper.accuracy, paper.auc] if paper else [None, None]
        rows.append(tuple(row))
    note = (
        f"All {numbers.sets['pooled'].images} test images. Brackets: 95 % confidence interval from a bootstrap over "
        "groups of duplicates and known patients, stratified by class. AUC: mean of the one-vs-rest AUCs. ECE: "
        "expected calibration error, as trained and after temperature scaling fitted on the validation split."
    )
    if numbers.are_groups_joined:
        note += " The runs know different groups of these images, as of patients: a group here joins those of all runs."
    if any(found.low is None for found in numbers.auc.values() if found):
        note += NO_INTERVAL
    if any(len(system.runs) > 1 for system in systems):
        note += f" Several runs: mean ± standard deviation over the runs; the interval of the mean covers {_COVERED}."
    selected = [system.name for system in systems if any(_selects_on_test(run) for run in system.runs)]
    if selected:
        note += f" {listed(selected)}: {SELECTED_ON_TEST[0].lower()}{SELECTED_ON_TEST[1:]}"
    if compared_with_paper:
        note += " Paper: arXiv 2511.18326, one run on the published split (1705 test images), without an interval."
    return Table("table1", "Accuracy and AUC on all test images", tuple(columns), rows, note)


def _selects_on_test(run: ComparedRun) -> bool:
    return isinstance(run.config, RunConfig) and run.is_on_own_dataset and selects_on_test(run.config.protocol)


def sets_table(systems: Sequence[System], numbers: Numbers) -> Table:
    """Return the accuracy on every test set, and that of the shortcut baselines."""
    sets = numbers.shown_sets
    columns = ("model", *(f"{name} ({found.images})" for name, found in sets.items()))
    rows: list[tuple[Cell, ...]] = [
        (system.name, *(found.by_system[system.name] for found in sets.values())) for system in systems
    ]
    with_baselines: list[System] = []  # the first system of each training set
    for system in systems:
        if system.baselines and all(system.baselines != earlier.baselines for earlier in with_baselines):
            with_baselines.append(system)
    for system in with_baselines:
        owner = f", training images of {system.name}" if len(with_baselines) > 1 else ""
        for name in system.baselines.get(POOLED, {}):
            rows.append((f"{name}{owner}", *(system.baselines.get(set_name, {}).get(name) for set_name in sets)))
    note = "Columns: test set (images)."
    if any(name.endswith("-clean") for name in sets):
        note += CLEAN
    leaking = _without_clean_images([run.tests for system in systems for run in system.runs])
    if leaking:
        note += f" Of {listed(leaking)} every test image has a duplicate, or its patient, in training or validation."
    if len(numbers.sources) > 1:
        note += " “mean”: mean over the sources, each with the same weight."
    if with_baselines:
        note += (
            " The last rows are shortcut baselines without a network: the most frequent class, properties of the image "
            "files, the most similar training thumbnail. A model must be clearly more accurate."
        )
    return Table("test-sets", "Accuracy by test set", columns, rows, note)


def _without_clean_images(several: Sequence[Predictions]) -> list[str]:
    """Return the sources of which no test image is clean for every run."""
    clean = np.all([tests.clean for tests in several], axis=0)
    tests = several[0]
    return [source for source in tests.source_names if not clean[tests.sources == source].any()]


def classes_table(systems: Sequence[System]) -> Table:
    """Return the one-vs-rest metrics of each class, for the most probable class and at the operating point."""
    columns = (
        "model",
        "class",
        "images",
        "sensitivity",
        "specificity",
        "AUC",
        "sensitivity at op. point",
        "specificity at op. point",
    )
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        for class_name in system.runs[0].tests.classes:
            found = [run.metrics[POOLED].per_class[class_name] for run in system.runs]
            points = [of_class.operating for of_class in found if of_class.operating]
            rows.append(
                (
                    system.name,
                    class_name,
                    found[0].support,
                    _of_repeats([of_class.recall for of_class in found]),
                    _of_repeats([of_class.specificity for of_class in found]),
                    _of_repeats([of_class.auc for of_class in found]),
                    mean([point.sensitivity for point in points]),
                    mean([point.specificity for point in points]),
                )
            )
    note = (
        "All test images, one-vs-rest. Sensitivity and specificity: the most probable class is predicted. At the "
        "operating point: a class is predicted if its probability reaches the threshold with the largest Youden index "
        "(sensitivity + specificity - 1) on the validation split."
    )
    if any(len(system.runs) > 1 for system in systems):
        note += " Several runs: mean ± standard deviation over the runs, without an interval."
    return Table("classes", "Sensitivity and specificity by class", columns, rows, note)


def differences_table(numbers: Numbers) -> Table:
    """Return the differences of all pairs of systems, with intervals."""
    rows: list[tuple[Cell, ...]] = [(d.first, d.second, d.accuracy, d.detectable, d.auc) for d in numbers.differences]
    columns = ("first", "second", "accuracy", "detectable", "AUC")
    note = (
        "First minus second, means over runs, on all test images; 95 % interval from a bootstrap over groups. The data "
        "show a difference between these trained models if the interval does not include 0: it covers "
        f"{_COVERED}. Detectable: the smallest difference in accuracy that a paired test (two-sided, "
        f"{SIGNIFICANCE:.0%}) finds in {POWER:.0%} of such test sets, by Connor's formula (Biometrics 1987, "
        "43:207-211) with the effective number of images that the bootstrap over groups gives."
    )
    if len(rows) > 1:
        note += " The intervals are not corrected for the number of pairs; the p-values of the paired tests are."
    return Table("differences", "Differences of the models", columns, rows, note)


def paired_tests_table(numbers: Numbers) -> Table:
    """Return the paired tests, one row for each pair of runs."""
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
        "Both models on the same test images. McNemar's test of the accuracies: exact, two-sided. DeLong's test of the "
        "mean of the one-vs-rest AUCs. Holm: p-value corrected for the number of rows. Both tests take images as "
        "independent, but duplicates are not: if a test and the interval of a difference disagree, trust the interval."
    )
    return Table("paired-tests", "Paired tests", columns, rows, note)


def cost_table(systems: Sequence[System]) -> Table:
    """Return training time and model size: means over runs, medians over epochs; of what was trained here."""
    systems = [system for system in systems if system.is_trained_here]
    compared_with_paper = any(system.model in PAPER for system in systems)
    columns = ["model", "epochs", "training", "epoch, phase 1", "epoch, phase 2", "images/s", "model file, MB"]
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        sizes = [
            run.model_file.stat().st_size / 1e6 for run in system.runs if run.model_file and run.model_file.exists()
        ]
        row: list[Cell] = [
            system.name,
            Rounded(float(np.mean([len(run.history) for run in system.runs]))),
            Seconds(float(np.mean([training_seconds(run) for run in system.runs]))),
            _median_epoch(system, 1),
            _median_epoch(system, 2),
            round(float(np.mean([run.metrics.timing.images_per_second for run in system.runs if run.metrics.timing]))),
            Rounded(float(np.mean(sizes))) if sizes else None,
        ]
        if compared_with_paper:
            paper = PAPER.get(system.model)
            row.append(Seconds(paper.seconds_per_epoch) if paper else None)
        rows.append(tuple(row))
    machines = dict.fromkeys(_machine(run) for system in systems for run in system.runs)
    note = f"On {'; '.join(machines)}." if machines else "No model was trained here."
    if compared_with_paper:
        columns.append("paper's epoch")
        note += " Paper: seconds per epoch in the logs of its notebooks, on another CPU."
    return Table("cost", "Time and cost", tuple(columns), rows, note)


def runs_table(systems: Sequence[System]) -> Table:
    """Return one row for each run."""
    columns = ("model", "seed", "fold", "accuracy", "AUC", "validation acc.", "epochs", "training", "folder")
    rows: list[tuple[Cell, ...]] = []
    for system in systems:
        for run in system.runs:
            pooled, validation = run.metrics[POOLED], run.metrics.val
            seed, fold = run.repeat
            rows.append(
                (
                    system.name,
                    seed,
                    fold,
                    pooled.accuracy,
                    pooled.auc_macro,
                    validation.accuracy.value if validation else None,
                    len(run.history) or None,
                    Seconds(training_seconds(run)) if run.history else None,
                    run.folder,
                )
            )
    return Table("runs", "Every run", columns, rows, "All test images.")


def training_seconds(run: ComparedRun) -> float:
    """Return the seconds of all epochs, including validation."""
    return float(sum(epoch.seconds for epoch in run.history))


def _median_epoch(system: System, phase: int) -> Cell:
    seconds = [epoch.seconds for run in system.runs for epoch in run.history if epoch.phase == phase]
    return Seconds(float(np.median(seconds))) if seconds else None


def _machine(run: ComparedRun) -> str:
    config, environment = run.config, run.config.environment
    assert isinstance(config, RunConfig)  # it was trained here
    devices = [name.removeprefix("/device:") for name in config.devices]
    return f"{environment['processor']}, {environment['cores']} cores, {' '.join(devices)}, {config.precision}"


def _of_repeats(found: Sequence[Estimate | None]) -> Estimate | None:
    """Return the estimate of a single run with its interval, or the mean of several runs with its deviation."""
    if len(found) == 1:
        return found[0]
    values = [estimate.value for estimate in found if estimate]
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Estimate(float(np.mean(values)), sd=sd) if values else None
