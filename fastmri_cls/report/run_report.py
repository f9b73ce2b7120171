"""report.html of a RUN: one page that works offline. The prose is in templates/run.html."""

from pathlib import Path
from typing import Any

from fastmri_cls.report.drawing import Pictures
from fastmri_cls.report.findings import baseline_findings
from fastmri_cls.report.html import write_page
from fastmri_cls.report.run_tables import calibration_table, classes_table, estimate, protocol_table, sets_table


def write_run_report(
    path: Path, config: dict[str, Any], metrics: dict[str, Any], pictures: Pictures, dataset: dict[str, Any]
) -> None:
    """Write the report of one run.

    Args:
        path: the HTML file.
        config: config.json of the RUN.
        metrics: metrics.json.
        pictures: the figures.
        dataset: what was evaluated: `path`, `split`, `fingerprint`, `splits` {name: images}, `leaking` and
            `clean` {source: (clean, all)}.
    """
    sets = {name: found for name, found in metrics["tests"].items() if name != "mean"}
    accuracies = {name: estimate(found, "accuracy") for name, found in sets.items()}
    write_page(
        path,
        "report/templates/run.html",
        config=config,
        metrics=metrics,
        dataset=dataset,
        pictures=pictures,
        accuracies=accuracies,
        findings=baseline_findings({"The model": accuracies["pooled"]}, metrics["baselines"].get("pooled", {})),
        command=None,
        tables={
            "sets": sets_table(metrics),
            "calibration": calibration_table(metrics),
            "classes": [classes_table(name, found) for name, found in sets.items()],
            "protocol": protocol_table(config["protocol"]),
        },
    )
