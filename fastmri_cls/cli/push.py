"""`fastmri-cls push`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, print_document


def push(
    folder: Annotated[Path, typer.Argument(metavar="RUN|DATASET", help="A finished RUN folder, or a dataset folder.")],
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="The repository; made if it does not exist.")],
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="ID",
            help="The licence that others get, as the hub names it: cc-by-4.0, apache-2.0, ... Required.",
        ),
    ] = None,
    private: Annotated[
        bool, typer.Option("--private/--public", help="Who sees a new repository; --public allows an old public one.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Upload the images of a dataset.")] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a RUN or a dataset to the Hugging Face hub (extra `hub`), with its card.

    No path of this machine and no file name of an image is uploaded. Of a RUN no image is uploaded either; the images
    of a dataset are, pixel by pixel.

    Example: `fastmri-cls push runs/first user/mri-small-cnn --license cc-by-4.0`
    """
    import fastmri_cls as fc

    pushed = fc.push(folder, name, license=license_, private=private, yes=yes)
    print(f"{pushed.page}  ({'private' if pushed.private else 'public'})")
    if pushed.repository.kind == "dataset":
        print(f"next: fastmri-cls pull datasets/{pushed.repository.id} --out DIR")
    else:
        print(f"next: fastmri-cls predict {pushed.repository} IMAGE...")
    if as_json:
        shown = {"repository": str(pushed.repository), "page": pushed.page, "private": pushed.private}
        print_document(json.dumps(shown))
