"""`fastmri-cls audit`."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, print_document


def audit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="Folders of class folders, possibly under Training/Testing; or one dataset folder.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The folder to make: audit.html, audit.csv, audit.json.")],
    classes: Annotated[Path | None, typer.Option(help="A file with one class per line: `name: alias, …`.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Number of processes. [default: one per core]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT, an earlier audit.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find duplicates in every orientation, leakage into test sets, conflicting labels and shortcuts.

    Example: `fastmri-cls audit nickparvar=archive1 bhuvaji=archive2 --out audits/mri`
    """
    from fastmri_cls.auditing.report import print_audit
    from fastmri_cls.auditing.run import audit as run_audit
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.report.tables import terminal
    from fastmri_cls.sources.classes import ClassNames, read_classes

    class_names = read_classes(classes) if classes else ClassNames()
    findings = run_audit(sources, class_names, out, workers or available_cores(), force=force)
    console = terminal()
    print_audit(findings, out, console)
    next_step = f"fastmri-cls build-tfrecords {shlex.join(sources)} --out DATASET"
    console.print(f"next: {next_step}", soft_wrap=True)
    if as_json:
        print_document(json.dumps({"out": str(out), **findings}, ensure_ascii=False))
