"""`fastmri-cls compare`."""

import json
from pathlib import Path
from typing import Annotated

import typer

import fastmri_cls as fc
from fastmri_cls.cli.output import AsJson, print_document


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Finished RUN folders, or folders that evaluate made of other models, of the same test images.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to make: report.html, comparison.json, tables/, figures/.")],
    force: Annotated[bool, typer.Option("--force", help="Replace OUT, an earlier comparison.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare RUNs: settings that differ, accuracy with intervals, paired tests, figures and disagreements.

    Runs that differ in seed or fold alone count as repeats of one model. The tables are written as CSV, Markdown and
    LaTeX.

    Example: `fastmri-cls compare runs/convnext runs/densenet --out comparison`
    """
    from fastmri_cls.comparison.report import as_json as to_json
    from fastmri_cls.comparison.report import print_comparison
    from fastmri_cls.report.tables import terminal
    from fastmri_cls.runs.model_evaluation import is_model_evaluation

    found = fc.compare(runs, out, overwrite=force)
    console = terminal()
    print_comparison(found, out, console)
    if not all(is_model_evaluation(path) for path in runs):
        console.print("next: use the best run, fastmri-cls predict RUN IMAGES...", soft_wrap=True)
    if as_json:
        print_document(json.dumps(to_json(found)))
