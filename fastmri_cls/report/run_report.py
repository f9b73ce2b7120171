"""report.html of a RUN: one page that works offline. The prose is in templates/run.html."""

from pathlib import Path

from fastmri_cls.evaluation.sets import MEAN, POOLED
from fastmri_cls.report.drawing import Pictures
from fastmri_cls.report.evaluated import EvaluatedData
from fastmri_cls.report.findings import baseline_findings
from fastmri_cls.report.html import write_page
from fastmri_cls.report.run_tables import calibration_table, classes_table, protocol_table, sets_table
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.metrics import RunMetrics


def write_run_report(
    path: Path, config: RunConfig, metrics: RunMetrics, pictures: Pictures, evaluated: EvaluatedData
) -> None:
    """Write the report of one run.

    Args:
        path: the HTML file.
        config: of the RUN.
        metrics: of the evaluation.
        pictures: the figures.
        evaluated: the dataset that was evaluated.
    """
    sets = {name: found for name, found in metrics.tests.items() if name != MEAN}
    write_page(
        path,
        "report/templates/run.html",
        config=config,
        metrics=metrics,
        dataset=evaluated,
        pictures=pictures,
        accuracies={name: found.accuracy for name, found in sets.items()},
        findings=baseline_findings({"The model": metrics[POOLED].accuracy}, metrics.baselines.get(POOLED, {})),
        command=None,
        tables={
            "sets": sets_table(metrics),
            "calibration": calibration_table(metrics),
            "classes": [classes_table(name, found) for name, found in sets.items()],
            "protocol": protocol_table(config.protocol),
        },
    )
