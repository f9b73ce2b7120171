"""report.html of a RUN: one page that works offline. The prose is in templates/run.html."""

from pathlib import Path

from fastmri_cls.evaluation.sets import MEAN, POOLED
from fastmri_cls.report.evaluated import EvaluatedData
from fastmri_cls.report.findings import first_sentence, run_findings
from fastmri_cls.report.html import write_page
from fastmri_cls.report.mistakes import Mistakes
from fastmri_cls.report.pictures import Pictures
from fastmri_cls.report.run_tables import calibration_table, classes_table, protocol_table, sets_table, shown_sets
from fastmri_cls.runs.config import RunConfig
from fastmri_cls.runs.metrics import RunMetrics
from fastmri_cls.runs.train_file import train_command


def write_run_report(
    path: Path,
    config: RunConfig,
    metrics: RunMetrics,
    pictures: Pictures,
    evaluated: EvaluatedData,
    mistakes: Mistakes,
) -> None:
    """Write the report of one run.

    Args:
        path: the HTML file.
        config: of the RUN.
        metrics: of the evaluation.
        pictures: the figures.
        evaluated: the dataset that was evaluated.
        mistakes: the test images to look at.
    """
    write_page(
        path,
        "report/templates/run.html",
        config=config,
        command=train_command(config),
        **result_values(config.model, metrics, pictures, evaluated, mistakes),
        findings=run_findings(config, metrics, evaluated),
        trained_elsewhere=evaluated.fingerprint != config.dataset.fingerprint,
        protocol=protocol_table(config.protocol),
    )


def result_values(
    model: str, metrics: RunMetrics, pictures: Pictures, evaluated: EvaluatedData, mistakes: Mistakes
) -> dict[str, object]:
    """Return what templates/results.html needs, besides `findings` and `trained_elsewhere`; see `write_run_report`."""
    sets = {name: found for name, found in shown_sets(metrics).items() if name != MEAN}
    pooled, baselines = metrics[POOLED], metrics.baselines.get(POOLED, {})
    return {
        "metrics": metrics,
        "dataset": evaluated,
        "pictures": pictures,
        "mistakes": mistakes,
        "accuracies": {name: found.accuracy for name, found in sets.items()},
        "first": first_sentence(model, pooled.accuracy, pooled.n, baselines),
        "tables": {
            "sets": sets_table(metrics),
            "calibration": calibration_table(metrics),
            "classes": [classes_table(name, found) for name, found in sets.items()],
        },
    }
