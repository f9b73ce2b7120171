"""The options of `build-tfrecords` and `audit` that say which images are read, and what is known of them."""

from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.records import options

PANEL = "Labels and patients"

Classes = Annotated[
    Path | None,
    typer.Option(help="A file of class names, one a line in label order: `name: alias, …`.", rich_help_panel=PANEL),
]
Slices = Annotated[
    str,
    typer.Option(
        metavar="content|middle|all|N",
        rich_help_panel="Images",
        help="Axial slices of NIfTI volumes to take: those with content, the middle one, all, or N evenly spread.",
    ),
]
Tables = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]FILE",
        help="CSV or TSV with the column filename (relative to its source) and any of label, patient, split. "
        "NAME= limits it to one source. Repeatable.",
        rich_help_panel=PANEL,
    ),
]
AllowUnlisted = Annotated[
    bool,
    typer.Option("--allow-unlisted", help="Accept images that a table leaves out.", rich_help_panel=PANEL),
]
PatientPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Find patients in file names: the first group is the id, as in '(sub-[0-9]+)_'.",
        rich_help_panel=PANEL,
    ),
]
Inherit = Annotated[
    options.Inherit | None,
    typer.Option(
        help="patients: an image without a patient gets that of the image it duplicates.", rich_help_panel=PANEL
    ),
]
