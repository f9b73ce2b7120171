"""RUN folders -> everything `compare` writes: tables, figures, disagreements and report.html."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from fastmri_cls.comparison import figures as side_by_side
from fastmri_cls.comparison import tables
from fastmri_cls.comparison.disagreements import Disagreement, disagreements_table, find_disagreements, truth_of
from fastmri_cls.comparison.published import PUBLISHED
from fastmri_cls.comparison.runs import System, group_into_systems, read_runs
from fastmri_cls.comparison.statistics import Numbers, compute
from fastmri_cls.foundation.atomic import new_directory, write_text
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.report import figures
from fastmri_cls.report.html import TEMPLATES, data_uri
from fastmri_cls.report.text_tables import Table, text, to_csv, to_latex, to_markdown
from fastmri_cls.runs.run import is_taken

STUDY_FILE = "study.json"  # what marks the folder of a study
_JSON = "comparison.json"
_MOST_PICTURES = 24
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Failure:
    """A run that could not be had, for the report to name."""

    name: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what was found."""

    systems: list[System]
    numbers: Numbers
    tables: list[Table]
    disagreements: list[Disagreement]


def compare_runs(
    paths: Sequence[Path], out: Path, title: str = "Comparison", failures: Sequence[Failure] = ()
) -> Comparison:
    """Compare RUN folders and write report.html, comparison.json, tables/ and figures/ into `out`.

    Raises:
        UserError: a RUN is unfinished or damaged, two were evaluated on different images, or `out` holds other things.
    """
    _check_out(out)
    found = analyse(paths)
    # First, since it marks the folder as ours: the next command replaces what a killed one left of the rest.
    write_text(out / _JSON, json.dumps(as_json(found), indent=2, allow_nan=False) + "\n")
    files: dict[str, Path] = {}
    with new_directory(out / "figures", force=True) as folder:
        for name, figure in draw(found).items():
            files[name] = out / "figures" / f"{name.lower().replace(' ', '-').replace(',', '')}.png"
            figure.savefig(folder / files[name].name)
    with new_directory(out / "tables", force=True) as folder:
        for table in found.tables:
            (folder / f"{table.name}.csv").write_text(to_csv(table), encoding="utf-8")
            (folder / f"{table.name}.md").write_text(to_markdown(table), encoding="utf-8")
            (folder / f"{table.name}.tex").write_text(to_latex(table), encoding="utf-8")
        disagreements = disagreements_table(found.systems, found.disagreements)
        (folder / "disagreements.csv").write_text(to_csv(disagreements), encoding="utf-8")
    html = TEMPLATES.get_template("compare.html").render(
        title=title,
        text=text,
        lead=_lead(found),
        findings=_findings(found),
        failures=failures,
        tables={table.name: table for table in found.tables},
        figures={name: data_uri(file.read_bytes()) for name, file in files.items()},
        gallery=_gallery(found),
        disagreeing=len(found.disagreements),
        images=len(found.systems[0].runs[0].tests),
        systems=found.systems,
    )
    write_text(out / "report.html", html)
    return found


def _check_out(out: Path) -> None:
    """Replace an earlier comparison or study, and nothing else."""
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; choose another --out")
    ours = (out / _JSON).exists() or (out / STUDY_FILE).exists()
    if is_taken(out) and not ours:
        raise UserError(f"{out}: exists already and is no comparison; choose another --out")


def analyse(paths: Sequence[Path]) -> Comparison:
    """Read RUN folders and compute all numbers; nothing is written."""
    systems = group_into_systems(read_runs(paths))
    numbers = compute(systems)
    found = [tables.table_one(systems, numbers), tables.sets_table(systems, numbers)]
    if len(systems) > 1:
        found += [tables.differences_table(numbers), tables.paired_tests_table(numbers)]
    found += [tables.classes_table(systems), tables.cost_table(systems), tables.runs_table(systems)]
    return Comparison(systems, numbers, found, find_disagreements(systems))


def as_json(found: Comparison) -> dict[str, Any]:
    """Return the numbers as plain JSON values."""
    return {
        "systems": {system.name: [str(run.path) for run in system.runs] for system in found.systems},
        "accuracy": {
            name: {system: asdict(estimate) for system, estimate in of_set.by_system.items()}
            for name, of_set in found.numbers.sets.items()
        },
        "auc_macro": {system: asdict(estimate) for system, estimate in found.numbers.auc.items()},
        "differences": [asdict(difference) for difference in found.numbers.differences],
        "paired_tests": [
            {**asdict(test), "mcnemar": test.mcnemar._asdict(), "delong": test.delong._asdict()}
            for test in found.numbers.tests
        ],
        "disagreements": len(found.disagreements),
    }


def draw(found: Comparison) -> dict[str, Figure]:
    """Return the figures of the report by title."""
    systems = {system.name: system.all_tests for system in found.systems}
    runs = {system.name: system.runs for system in found.systems}
    baselines = found.systems[0].runs[0].metrics.get("baselines", {})
    published = {s.name: PUBLISHED[s.model].accuracy for s in found.systems if s.model in PUBLISHED}
    accuracies = {name: of_set.by_system for name, of_set in found.numbers.shown_sets.items()}
    temperatures = {name: [run.metrics.get("temperature") for run in repeats] for name, repeats in runs.items()}
    histories = {name: [run.history for run in repeats] for name, repeats in runs.items()}
    costs = {
        name: [(tables.training_seconds(run), run.metrics["tests"]["pooled"]["accuracy"]) for run in repeats]
        for name, repeats in runs.items()
    }
    return {
        "Accuracy by test set": side_by_side.accuracy_overview(accuracies, published, baselines),
        "Confusion matrices": figures.confusion_matrices(systems),
        "Accuracy by class": figures.class_accuracy(systems),
        "ROC curves": side_by_side.roc_curves(systems),
        "Precision and recall": side_by_side.precision_recall_curves(systems),
        "Reliability, as trained and calibrated": figures.reliability_diagram(systems, temperatures),
        "Learning curves": side_by_side.learning_curves(histories),
        "Accuracy against training time": side_by_side.cost_against_accuracy(costs),
    }


def _lead(found: Comparison) -> str:
    first = found.systems[0].runs[0]
    runs, models = sum(len(system.runs) for system in found.systems), len(found.systems)
    return (
        f"{runs} run{'s' if runs > 1 else ''} of {models} model{'s' if models > 1 else ''} on {len(first.tests)} test "
        f"images ({', '.join(first.tests.source_names)}), split {first.config['dataset']['split']}"
    )


def _findings(found: Comparison) -> list[str]:
    """The comparison in sentences: the best, what is told apart from what, and what tells nothing."""
    accuracies = found.numbers.sets["pooled"].by_system
    best = max(accuracies, key=lambda name: accuracies[name].value or 0.0)
    sentences = [f"The highest accuracy on all test images has {best}: {text(accuracies[best])}."]
    for difference in found.numbers.differences:
        if best not in (difference.first, difference.second):
            continue
        other = difference.second if difference.first == best else difference.first
        bounds = difference.accuracy.interval
        apart = bounds is not None and not bounds[0] <= 0 <= bounds[1]
        sentences.append(
            f"{best} and {other} {'differ' if apart else 'cannot be told apart'} in accuracy: "
            f"{difference.first} minus {difference.second} is {text(difference.accuracy)}; "
            f"{_significant_runs(found, difference.first, difference.second)}."
        )
    return sentences


def _significant_runs(found: Comparison, first: str, second: str) -> str:
    tests = [test for test in found.numbers.tests if (test.first, test.second) == (first, second)]
    count = sum(test.mcnemar_holm is not None and test.mcnemar_holm < _SIGNIFICANT for test in tests)
    return f"McNemar's test after Holm's correction says so (p < 0.05) in {count} of {len(tests)} runs"


def _gallery(found: Comparison) -> list[dict[str, Any]]:
    """The starkest disagreements with their pictures, where a dataset folder still has them."""
    shown = found.disagreements[:_MOST_PICTURES]
    if not shown:
        return []
    import_tensorflow()
    from fastmri_cls.comparison.pictures import read_pictures

    tests = found.systems[0].runs[0].tests
    keys = [truth_of(tests, image.index)[:2] for image in shown]
    pictures = read_pictures([run for system in found.systems for run in system.runs], set(keys))
    return [
        {
            "source": key[0],
            "filename": key[1],
            "truth": truth_of(tests, image.index)[2],
            "image": data_uri(pictures[key], "jpeg") if key in pictures else None,
            "calls": [
                (name, image.prediction[name], f"{image.confidence[name]:.2f}", image.right[name])
                for name in image.prediction
            ],
        }
        for image, key in zip(shown, keys, strict=True)
    ]
