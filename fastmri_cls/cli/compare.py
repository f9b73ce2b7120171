"""`fastmri-cls compare`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, print_document


def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Finished RUN folders, of the same test images.")
    ],
    out: Annotated[Path, typer.Option(help="Where report.html, tables/ and figures/ go.")],
    as_json: AsJson = False,
) -> None:
    """Compare RUNs: accuracy with intervals, paired tests, figures, disagreements; CSV, Markdown, LaTeX and one HTML.

    Runs that differ in seed or fold alone count as repeats of one model.

    Example: `fastmri-cls compare runs/convnext runs/densenet --out comparison`
    """
    from fastmri_cls.comparison.report import as_json as to_json
    from fastmri_cls.comparison.report import compare_runs
    from fastmri_cls.report.tables import print_text_table

    found = compare_runs(runs, out)
    print_text_table(found.tables[0])
    print(f"report: {out / 'report.html'}")
    if as_json:
        print_document(json.dumps(to_json(found)))
