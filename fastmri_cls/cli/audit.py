"""`fastmri-cls audit`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.metadata import PANEL, AllowUnlisted, Classes, Inherit, PatientPattern, Tables
from fastmri_cls.cli.output import AsJson, print_document


def audit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="Folders of class folders, perhaps under Training/Testing; or one dataset folder, alone.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to make: audit.csv, audit.html, audit.json.")],
    classes: Classes = None,
    table: Tables = None,
    allow_unlisted: AllowUnlisted = False,
    patient_pattern: PatientPattern = None,
    inherit: Inherit = None,
    write_patients: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --inherit patients: write source, filename and the table's patient id of the images that got "
            "one. Writes ids as the table has them: for public tables only.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT, an earlier audit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find copies in every orientation, leaks into test sets and conflicting labels, and what they alone give.

    Example: `fastmri-cls audit nickparvar=archive1 bhuvaji=archive2 --out audits/mri`
    """
    from fastmri_cls.audit.report import print_audit
    from fastmri_cls.audit.run import audit as run_audit
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.records.options import MetadataOptions
    from fastmri_cls.sources.classes import ClassNames, read_classes

    class_names = read_classes(classes) if classes else ClassNames()
    metadata = MetadataOptions(tuple(table or ()), allow_unlisted, patient_pattern, inherit)
    findings = run_audit(
        sources, class_names, out, workers or available_cores(), metadata, write_patients=write_patients, force=force
    )
    print_audit(findings, out)
    if as_json:
        print_document(json.dumps({"out": str(out), **findings}, ensure_ascii=False))
