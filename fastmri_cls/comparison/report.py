"""RUN folders -> everything that `compare` writes: tables, figures, disagreements and report.html."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from fastmri_cls.comparison import figures as side_by_side
from fastmri_cls.comparison import tables
from fastmri_cls.comparison.disagreements import Disagreement, disagreements_table, find_disagreements
from fastmri_cls.comparison.findings import findings_of
from fastmri_cls.comparison.paper import PAPER
from fastmri_cls.comparison.pictures import gallery
from fastmri_cls.comparison.runs import System, group_into_systems, read_runs
from fastmri_cls.comparison.settings import settings_table
from fastmri_cls.comparison.statistics import Numbers, compute
from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.tables import Table
from fastmri_cls.report import figures
from fastmri_cls.report.html import write_page
from fastmri_cls.report.pictures import render_all
from fastmri_cls.report.tables import print_table
from fastmri_cls.runs.metrics import Estimate, EvaluatedDataset
from fastmri_cls.runs.run import is_taken

STUDY_FILE = "study.json"  # marks the folder of a study
_JSON = "comparison.json"


@dataclass(frozen=True)
class FailedRun:
    """A run that failed, for the report to name.

    Attributes:
        name: the run.
        reason: why it failed.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """What was compared and what was found.

    Attributes:
        systems: in the order of their first runs.
        numbers: accuracies, AUCs, differences, tests.
        tables: those of the report, in its order.
        findings: the numbers in sentences.
        disagreements: test images that some systems classify correctly and others wrongly.
    """

    systems: list[System]
    numbers: Numbers
    tables: list[Table]
    findings: list[str]
    disagreements: list[Disagreement]

    def table(self, name: str) -> Table:
        """Return a table by its name."""
        return next(table for table in self.tables if table.name == name)


def compare_runs(paths: Sequence[Path], out: Path, *, force: bool) -> Comparison:
    """Compare RUN folders; make the folder `out` of report.html, comparison.json, tables/ and figures/.

    It appears whole or not at all.

    Args:
        paths: finished RUN folders with predictions for the same test images.
        out: the folder to make.
        force: replace an earlier comparison in `out`.

    Raises:
        UserError: a RUN is unfinished or damaged, two were evaluated on different images, or `out` exists and is not a
            comparison that may be replaced.
    """
    _check_out(out, paths, force)
    found = analyse(paths)
    with new_directory(out, force=force) as folder:
        write_comparison(found, folder)
    return found


def write_comparison(
    found: Comparison,
    out: Path,
    title: str = "Comparison",
    failures: Sequence[FailedRun] = (),
    command: str | None = None,
) -> None:
    """Write report.html, comparison.json, tables/ and figures/ into `out`, in place of earlier ones.

    Args:
        found: what `analyse` returned.
        out: an existing folder.
        title: of the report.
        failures: runs that are missing, for the report to name.
        command: what makes this report; None for `compare` with these runs.
    """
    first = found.systems[0].runs[0]
    names = {
        "model": [system.name for system in found.systems],
        "class": first.tests.classes,
        "source": first.tests.source_names,
    }
    pictures = render_all(draw(found), names)
    with new_directory(out / "figures", force=True) as folder:
        pictures.save(folder)
    with new_directory(out / "tables", force=True) as folder:
        for table in found.tables:
            (folder / f"{table.name}.csv").write_text(table.to_csv(), encoding="utf-8")
            (folder / f"{table.name}.md").write_text(table.to_markdown(), encoding="utf-8")
            (folder / f"{table.name}.tex").write_text(table.to_latex(), encoding="utf-8")
        disagreements = disagreements_table(found.systems, found.disagreements)
        (folder / "disagreements.csv").write_text(disagreements.to_csv(), encoding="utf-8")
    write_page(
        out / "report.html",
        "comparison/templates/compare.html",
        title=title,
        lead=_lead(found),
        command=command or _command(found),
        findings=found.findings,
        failures=failures,
        tables={table.name: table for table in found.tables},
        pictures=pictures,
        gallery=gallery(found.systems, found.disagreements),
        disagreeing=len(found.disagreements),
        images=len(first.tests),
        systems=found.systems,
        evaluated=_evaluated(found),
    )
    write_text(out / _JSON, json.dumps(as_json(found), indent=2, allow_nan=False) + "\n")


def print_comparison(found: Comparison, out: Path, console: Console) -> None:
    """Print the settings that differ, the first columns of Table I, the findings, and where the report is."""
    if found.table("settings").rows:
        print_table(replace(found.table("settings"), note=""), console)
        console.print()
    print_table(replace(found.table("table1"), note=""), console, columns=4)
    console.print()
    for sentence in found.findings:
        console.print(sentence)
    console.print(f"report: {out / 'report.html'}", soft_wrap=True)


def _check_out(out: Path, runs: Sequence[Path], force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; choose another --out")
    if (out / STUDY_FILE).exists():
        raise UserError(f"{out}: is a study, whose own report study writes; choose another --out")
    if any(run.resolve().is_relative_to(out.resolve()) for run in runs):
        raise UserError(f"{out}: holds the runs themselves and would be replaced; choose another --out")
    if is_taken(out) and not (out / _JSON).exists():
        raise UserError(f"{out}: exists already and is not a comparison; choose another --out")
    if is_taken(out) and not force:
        raise UserError(f"{out}: exists already; choose another --out, or replace it with --force")


def analyse(paths: Sequence[Path]) -> Comparison:
    """Read RUN folders and compute all numbers; nothing is written."""
    systems = group_into_systems(read_runs(paths))
    numbers = compute(systems)
    settings = settings_table([s.name for s in systems], [[run.settings for run in s.runs] for s in systems])
    found = [settings, tables.table_one(systems, numbers), tables.sets_table(systems, numbers)]
    if len(systems) > 1:
        found += [tables.differences_table(numbers), tables.paired_tests_table(numbers)]
    found += [tables.classes_table(systems), tables.cost_table(systems), tables.runs_table(systems)]
    findings = findings_of(numbers, {system.name: system.baselines.get(POOLED, {}) for system in systems})
    return Comparison(systems, numbers, found, findings, find_disagreements(systems))


def as_json(found: Comparison) -> dict[str, object]:
    """Return the numbers as plain JSON values."""
    numbers = found.numbers
    return {
        "systems": {system.name: [str(run.path) for run in system.runs] for system in found.systems},
        "settings": {
            system.name: {label: setting.shown for label, setting in system.runs[0].settings.items()}
            for system in found.systems
        },
        "findings": found.findings,
        "accuracy": {
            name: {system: _plain(estimate) for system, estimate in accuracies.by_system.items()}
            for name, accuracies in numbers.sets.items()
        },
        "auc_macro": {system: _plain(estimate) for system, estimate in numbers.auc.items()},
        "differences": [
            {
                "first": d.first,
                "second": d.second,
                "accuracy": _plain(d.accuracy),
                "auc": _plain(d.auc),
                "detectable": d.detectable,
            }
            for d in numbers.differences
        ],
        "paired_tests": [
            {**asdict(test), "mcnemar": test.mcnemar._asdict(), "delong": test.delong._asdict()}
            for test in numbers.tests
        ],
        "disagreements": len(found.disagreements),
    }


def _plain(estimate: Estimate | None) -> dict[str, object] | None:
    if estimate is None:
        return None
    interval = None if estimate.low is None else [estimate.low, estimate.high]
    return {"value": estimate.value, "interval": interval, "sd": estimate.sd}


def draw(found: Comparison) -> dict[str, Figure]:
    """Return the figures of the report by title."""
    systems = {system.name: system.all_tests for system in found.systems}
    runs = {system.name: system.runs for system in found.systems}
    paper = {s.name: PAPER[s.model].accuracy for s in found.systems if s.model in PAPER}
    accuracies = {name: shown.by_system for name, shown in found.numbers.shown_sets.items()}
    temperatures = {name: [run.metrics.temperature for run in repeats] for name, repeats in runs.items()}
    trained = {system.name: system.runs for system in found.systems if system.is_trained_here}
    histories = {name: [run.history for run in repeats] for name, repeats in trained.items()}
    costs = {
        name: [(tables.training_seconds(run), run.metrics[POOLED].accuracy.value) for run in repeats]
        for name, repeats in trained.items()
    }
    of_training = (
        {
            "Learning curves": side_by_side.learning_curves(histories),
            "Accuracy against training time": side_by_side.cost_against_accuracy(costs),
        }
        if trained
        else {}
    )
    return {
        "Accuracy by test set": side_by_side.accuracy_overview(accuracies, paper, _common_baselines(found.systems)),
        "Confusion matrices": figures.confusion_matrices(systems),
        "Accuracy by class": figures.class_accuracy(systems),
        "ROC curves": side_by_side.roc_curves(systems),
        "Precision and recall": side_by_side.precision_recall_curves(systems),
        "Reliability, as trained and calibrated": figures.reliability_diagram(systems, temperatures),
    } | of_training


def _common_baselines(systems: Sequence[System]) -> Mapping[str, Mapping[str, float]]:
    """Return the baselines of all systems; none if they differ, since systems have other training images."""
    first = systems[0].baselines
    return first if all(system.baselines == first for system in systems) else {}


def _command(found: Comparison) -> str:
    """Return the command that makes such a report, with the RUNs by name."""
    return shlex.join(["fastmri-cls", "compare", *(r.folder for s in found.systems for r in s.runs), "--out", "DIR"])


def _lead(found: Comparison) -> str:
    first = found.systems[0].runs[0]
    runs, models = sum(len(system.runs) for system in found.systems), len(found.systems)
    split = f", split {first.config.dataset.split}" if first.is_on_own_dataset else ""
    return (
        f"{runs} run{'s' if runs > 1 else ''} of {models} model{'s' if models > 1 else ''} on {len(first.tests):,} "
        f"test images of {first.evaluated.name} ({', '.join(first.tests.source_names)}){split}"
    )


def _evaluated(found: Comparison) -> list[EvaluatedDataset]:
    """Return the datasets that hold the test images, each once."""
    return list(dict.fromkeys(run.evaluated for system in found.systems for run in system.runs))
