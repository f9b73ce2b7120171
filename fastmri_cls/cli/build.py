"""`fastmri-cls build-tfrecords`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.cluster import Dask
from fastmri_cls.cli.metadata import PANEL, AllowUnlisted, Classes, Inherit, PatientPattern, Slices, Tables
from fastmri_cls.cli.output import AsJson, command_line, print_document
from fastmri_cls.records.options import (
    LARGEST_IMAGE,
    LARGEST_PART,
    LARGEST_SEED,
    SMALLEST_IMAGE,
    Channels,
    Encoding,
    Leakage,
    Resize,
)

_IMAGES, _SPLIT = "Images", "Split"


def build_tfrecords(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]SOURCE...",
            help="Folders of class folders, perhaps under Training/Testing, or ZIP archives of them.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The dataset folder to make.")],
    image_size: Annotated[
        int, typer.Option(min=SMALLEST_IMAGE, max=LARGEST_IMAGE, help="Pixels, square.", rich_help_panel=_IMAGES)
    ] = 224,
    resize: Annotated[
        Resize,
        typer.Option(metavar="FILTER", help="bilinear (antialiased), nearest or lanczos.", rich_help_panel=_IMAGES),
    ] = "bilinear",
    channels: Annotated[
        Channels, typer.Option(help="3 keeps every colour; auto: 1 if images are grey.", rich_help_panel=_IMAGES)
    ] = "auto",
    encoding: Annotated[
        Encoding, typer.Option(help="raw reads fastest; jpeg is smallest and lossy.", rich_help_panel=_IMAGES)
    ] = "raw",
    split: Annotated[
        str,
        typer.Option(
            metavar="grouped|published",
            help="grouped: pool all images and keep duplicates and patients together; published: the sources' own "
            "Training/Testing folders. A column split in a --table decides before either.",
            rich_help_panel=_SPLIT,
        ),
    ] = "grouped",
    val_fraction: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=LARGEST_PART,
            metavar="FRACTION",
            help="Fraction of the images outside the test set.",
            rich_help_panel=_SPLIT,
        ),
    ] = 0.2,
    test_fraction: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=LARGEST_PART,
            metavar="FRACTION",
            help="Fraction of all images, for grouped.",
            rich_help_panel=_SPLIT,
        ),
    ] = 0.2,
    leakage: Annotated[
        Leakage,
        typer.Option(
            help="published: keep, drop or refuse training images that a test image repeats.", rich_help_panel=_SPLIT
        ),
    ] = "report",
    keep_copies: Annotated[
        bool, typer.Option("--keep-copies", help="With grouped: keep exact duplicates too.", rich_help_panel=_SPLIT)
    ] = False,
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Divide the images outside the test set into K folds, not train and val.",
            rich_help_panel=_SPLIT,
        ),
    ] = None,
    train_fraction: Annotated[
        float,
        typer.Option(
            metavar="FRACTION",
            help="Fraction of the groups outside the test set to keep, for a learning curve.",
            rich_help_panel=_SPLIT,
        ),
    ] = 1.0,
    train_source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Train and validate on this source alone; test on all. May be given again.",
            rich_help_panel=_SPLIT,
        ),
    ] = None,
    classes: Classes = None,
    table: Tables = None,
    allow_unlisted: AllowUnlisted = False,
    patient_pattern: PatientPattern = None,
    inherit: Inherit = None,
    slices: Slices = "content",
    shards: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Shards of each split. [default: one per 2048 images]")
    ] = None,
    max_rejected: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="FRACTION", help="Fraction of unreadable files to accept.")
    ] = 0.05,
    allow_missing_classes: Annotated[
        bool,
        typer.Option(
            "--allow-missing-classes",
            help="Accept a source or split that lacks a class which another one has.",
            rich_help_panel=PANEL,
        ),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Number of processes. [default: one per core]")
    ] = None,
    dask: Dask = None,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=LARGEST_SEED, help="Seed of the split and the order of training images.", rich_help_panel=_SPLIT
        ),
    ] = 0,
    force: Annotated[bool, typer.Option("--force", help="Replace the dataset folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a dataset of TFRecord shards from folders of images.

    Example: `fastmri-cls build-tfrecords nickparvar=archive1 bhuvaji=archive2 --out data/mri`
    """
    import fastmri_cls as fc
    from fastmri_cls.report.tables import print_dataset

    dataset = fc.build_dataset(
        sources,
        out,
        image_size=image_size,
        resize=resize,
        channels=channels,
        encoding=encoding,
        split=split,
        val_fraction=val_fraction,
        test_fraction=test_fraction,
        leakage=leakage,
        keep_duplicates=keep_copies,
        folds=folds,
        train_fraction=train_fraction,
        train_source=train_source or (),
        classes=classes,
        table=table or (),
        allow_unlisted=allow_unlisted,
        patient_pattern=patient_pattern,
        inherit=inherit,
        slices=slices,
        shards=shards,
        max_rejected=max_rejected,
        allow_missing_classes=allow_missing_classes,
        workers=workers,
        dask=dask,
        seed=seed,
        overwrite=force,
    )
    print_dataset(dataset)
    print(f"next: {command_line('train', '--data', out, '--model', 'small-cnn', '--out', 'RUN')}")
    if as_json:
        counts = {name: split.num_examples for name, split in dataset.splits.items()}
        rejected = len(dataset.manifest.rejected)
        print_document(json.dumps({"out": str(out), "splits": counts, "rejected": rejected}))
