"""report.html and the card of a model that was not trained here. The prose is in templates/model_evaluation.*"""

from pathlib import Path

from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.foundation.templates import render
from fastmri_cls.report.evaluated import EvaluatedData
from fastmri_cls.report.findings import baseline_findings
from fastmri_cls.report.html import write_page
from fastmri_cls.report.mistakes import Mistakes
from fastmri_cls.report.pictures import Pictures
from fastmri_cls.report.run_report import result_values
from fastmri_cls.report.run_tables import classes_table, sets_table
from fastmri_cls.report.trained_on import trained_on_findings, trained_on_table
from fastmri_cls.runs.metrics import RunMetrics
from fastmri_cls.runs.model_evaluation import ModelFacts, ModelInput


def write_evaluation_report(
    path: Path,
    facts: ModelFacts,
    metrics: RunMetrics,
    pictures: Pictures,
    evaluated: EvaluatedData,
    mistakes: Mistakes,
) -> None:
    """Write the report.

    Args:
        path: the HTML file.
        facts: evaluation.json.
        metrics: of the evaluation.
        pictures: the figures.
        evaluated: the dataset that was evaluated.
        mistakes: the test images to look at.
    """
    values = result_values(facts.model, metrics, pictures, evaluated, mistakes)
    write_page(
        path,
        "report/templates/model_evaluation.html",
        **values,
        facts=facts,
        findings=_findings(metrics),
        trained_elsewhere=True,
        tried=tried_table(facts.input) if facts.input and facts.input.tried else None,
        trained_on=trained_on_table(metrics.trained_on) if metrics.trained_on else None,
    )


def evaluation_card(facts: ModelFacts, metrics: RunMetrics, evaluated: EvaluatedData) -> str:
    """Return README.md of the folder."""
    return render(
        "report/templates/model_evaluation_card.md.j2",
        facts=facts,
        dataset=evaluated,
        sets=sets_table(metrics),
        classes=classes_table(POOLED, metrics[POOLED]),
        findings=_findings(metrics),
        trained_on=trained_on_table(metrics.trained_on) if metrics.trained_on else None,
    )


def tried_table(taken: ModelInput) -> Table:
    """Return the preprocessings that a guess was chosen from."""
    rows: list[tuple[Cell, ...]] = [*(taken.tried or {}).items()]
    note = (
        f"Nobody named the preprocessing, so each was tried on {taken.tried_on} validation images. The first is used. "
        "It is a guess: ask the model's author, and name it with --preprocessing."
    )
    return Table("tried", "Preprocessings tried", ("preprocessing", "accuracy on validation"), rows, note)


def _findings(metrics: RunMetrics) -> list[str]:
    found = baseline_findings({"The model": metrics[POOLED].accuracy}, metrics.baselines.get(POOLED, {}))
    return found + (trained_on_findings(metrics.trained_on) if metrics.trained_on else [])
