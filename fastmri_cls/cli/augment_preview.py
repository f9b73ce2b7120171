"""`fastmri-cls augment-preview`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.completion import complete_policy
from fastmri_cls.cli.output import AsJson, check_png, print_document


def augment_preview(
    data: Annotated[Path, typer.Option(help="A dataset folder made by build-tfrecords.")],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="The PNG file to write.")],
    augment: Annotated[
        str,
        typer.Option(
            metavar="none|paper|paper+flip|randaugment|augmix|cutmix|mixup",
            help="Augmentation policy.",
            autocompletion=complete_policy,
        ),
    ] = "paper",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the random draws.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Draw one image of each class as stored and as training sees it.

    Example: `fastmri-cls augment-preview --data data/mri --augment randaugment --out preview.png`
    """
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.quiet import import_tensorflow

    check_png("--out", out)
    dataset = Dataset(data, verify=True)
    import_tensorflow()
    from fastmri_cls.foundation.atomic import new_file
    from fastmri_cls.report.augmented import augmented_grid

    figure = augmented_grid(dataset, augment, seed=seed)
    with new_file(out) as temporary:
        figure.savefig(temporary)
    print(f"preview: {out}")
    if as_json:
        print_document(json.dumps({"preview": str(out)}))
