"""`fastmri-cls verify`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.output import AsJson, command_line, print_document


def verify(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="A dataset folder made by build-tfrecords.")],
    as_json: AsJson = False,
) -> None:
    """Check every shard, record, checksum and label of a dataset folder, and its sources, against its dataset.json.

    Example: `fastmri-cls verify data/mri`
    """
    from fastmri_cls.records.manifest import read_manifest
    from fastmri_cls.records.verify import find_problems

    manifest = read_manifest(data)
    problems = find_problems(data, manifest)
    images = manifest.num_images
    for problem in problems:
        print(problem)
    if as_json:
        print_document(json.dumps({"images": images, "problems": problems}, ensure_ascii=False))
    if problems:
        raise typer.Exit(1)
    print(f"{data}: {images} images in {len(manifest.splits)} splits are as dataset.json says")
    print(f"next: {command_line('train', '--data', data, '--model', 'small-cnn', '--out', 'RUN')}")
