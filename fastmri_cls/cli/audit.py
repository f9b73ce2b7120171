"""`fastmri-cls audit`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.cluster import Dask
from fastmri_cls.cli.metadata import PANEL, AllowUnlisted, Classes, Inherit, PatientPattern, Slices, Tables
from fastmri_cls.cli.output import AsJson, command_line, print_document


def audit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="Folders or ZIP archives of class folders, possibly under Training/Testing; or one dataset folder.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The folder to make: audit.html, audit.csv, audit.json; with --labels labels.csv.")
    ],
    classes: Classes = None,
    table: Tables = None,
    allow_unlisted: AllowUnlisted = False,
    patient_pattern: PatientPattern = None,
    inherit: Inherit = None,
    slices: Slices = "content",
    write_patients: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --inherit patients: write source, filename and the table's patient id of the images that got "
            "one. Writes ids as the table has them: for public tables only.",
            rich_help_panel=PANEL,
        ),
    ] = None,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Rank all images by how doubtful their label is, in labels.csv and audit.html. Takes minutes; needs "
            "the extras labels and lite0, or other pretrained weights.",
        ),
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of processes. [default: one per core]")] = None,
    dask: Dask = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT, an earlier audit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find duplicates in every orientation, leakage into test sets, conflicting or doubtful labels, and shortcuts.

    Example: `fastmri-cls audit nickparvar=archive1 bhuvaji=archive2 --out audits/mri`
    """
    import fastmri_cls as fc
    from fastmri_cls.auditing.report import print_audit
    from fastmri_cls.auditing.run import find_dataset
    from fastmri_cls.records.options import BuildOptions, MetadataOptions, as_flags
    from fastmri_cls.report.tables import terminal

    findings = fc.audit(
        sources,
        out,
        classes=classes,
        table=table or (),
        allow_unlisted=allow_unlisted,
        patient_pattern=patient_pattern,
        inherit=inherit,
        slices=slices,
        write_patients=write_patients,
        labels=labels,
        workers=workers,
        dask=dask,
        overwrite=force,
    )
    console = terminal()
    print_audit(findings, out, console)
    metadata = MetadataOptions(
        table=tuple(table or ()),
        allow_unlisted=allow_unlisted,
        patient_pattern=patient_pattern,
        inherit=inherit,
        slices=slices,
    )
    flags = as_flags(BuildOptions(metadata=metadata)) + (["--classes", str(classes)] if classes else [])
    if dataset := find_dataset(sources):
        following = command_line("train", "--data", dataset, "--model", "small-cnn", "--out", "RUN")
    else:
        following = command_line("build-tfrecords", *sources, *flags, "--out", "DATASET")
    console.print(f"next: {following}", soft_wrap=True)
    if as_json:
        print_document(json.dumps({"out": str(out), **findings}, ensure_ascii=False))
