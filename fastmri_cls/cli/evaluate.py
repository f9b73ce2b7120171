"""`fastmri-cls evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.device import DeviceOption
from fastmri_cls.cli.output import AsJson, print_document


def evaluate(
    run: Annotated[Path, typer.Argument(help="A finished RUN folder.")],
    data: Annotated[Path, typer.Option(help="A dataset folder with the same classes.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results. By default RUN for the dataset it was trained on, "
            "RUN/evaluations/NAME for any other."
        ),
    ] = None,
    device: DeviceOption = "auto",
    as_json: AsJson = False,
) -> None:
    """Evaluate a RUN on a dataset: predictions.csv, metrics.json, figures/ and report.html.

    Results on another dataset never replace those on the RUN's own.

    Example: `fastmri-cls evaluate runs/first --data data/mri`
    """
    import fastmri_cls as fc
    from fastmri_cls.report.tables import print_metrics
    from fastmri_cls.runs import files
    from fastmri_cls.runs.metrics import to_json

    found = fc.evaluate(run, data, out, device=device)
    print_metrics(found.metrics)
    print(f"report: {found.folder / files.REPORT}")
    if as_json:
        print_document(json.dumps(to_json(found.metrics)["tests"]))
