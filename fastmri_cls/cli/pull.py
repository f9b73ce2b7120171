"""`fastmri-cls pull`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, command_line, print_document


def pull(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="USER/NAME of a RUN, datasets/USER/NAME of a dataset; or with @REVISION."),
    ],
    out: Annotated[Path, typer.Option(help="The folder to make.")],
    as_json: AsJson = False,
) -> None:
    """Download a RUN or a dataset from the Hugging Face hub (extra `hub`), and check it before anything in it is used.

    Example: `fastmri-cls pull user/mri-small-cnn --out runs/theirs`
    """
    import fastmri_cls as fc

    found = fc.pull(name, out)
    if isinstance(found, fc.Dataset):
        kind, following = "dataset", command_line("train", "--data", out, "--model", "small-cnn", "--out", "RUN")
    else:
        kind, following = "RUN", command_line("predict", out, "IMAGE...")
    print(f"{kind}: {out}\nnext: {following}")
    if as_json:
        print_document(json.dumps({"kind": kind.lower(), "path": str(out)}))
