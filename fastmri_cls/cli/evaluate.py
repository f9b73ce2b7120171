"""`fastmri-cls evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished RUN folder.")],
    data: Annotated[Path, typer.Option(help="Any dataset folder with the same classes.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json's tests as the last line.")] = False,
) -> None:
    """Evaluate a trained RUN again: predictions.csv, metrics.json, figures and report.html, written into RUN.

    Example: `fastmri-cls evaluate runs/first --data data/mri`
    """
    from fastmri_cls.experiment import evaluate_and_report
    from fastmri_cls.report.tables import print_metrics

    metrics = evaluate_and_report(run, data)
    print_metrics(metrics)
    print(f"report: {run / 'report.html'}")
    if as_json:
        print(json.dumps(metrics["tests"]))
