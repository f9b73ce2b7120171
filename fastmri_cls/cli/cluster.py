"""The option --dask of commands that can spread their work over a cluster."""

from typing import Annotated

import typer

Dask = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS|local:N",
        help="Work on a Dask cluster whose workers see the same files (extra cluster); local:N starts one here.",
    ),
]
