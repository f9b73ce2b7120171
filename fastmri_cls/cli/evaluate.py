"""`fastmri-cls evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, print_document


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished RUN folder.")],
    data: Annotated[Path, typer.Option(help="Any dataset folder with the same classes.")],
    out: Annotated[Path | None, typer.Option(help="Where results go; by default into RUN.")] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained RUN again: predictions.csv, metrics.json, figures/ and report.html, into RUN or --out.

    Example: `fastmri-cls evaluate runs/first --data data/mri`
    """
    from fastmri_cls.foundation.quiet import import_tensorflow

    import_tensorflow()
    from fastmri_cls.evaluate import evaluate_and_report
    from fastmri_cls.report.tables import print_metrics

    metrics = evaluate_and_report(run, data, out or run)
    print_metrics(metrics)
    print(f"report: {(out or run) / 'report.html'}")
    if as_json:
        print_document(json.dumps(metrics["tests"]))
