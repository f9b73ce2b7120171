"""`fastmri-cls build-tfrecords`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fastmri_cls.cli.metadata import AllowUnlisted, Classes, Inherit, PatientPattern, Tables
from fastmri_cls.cli.output import AsJson, print_document


class Resize(StrEnum):
    """How images are resized."""

    bilinear = "bilinear"
    nearest = "nearest"
    lanczos = "lanczos"


class Channels(StrEnum):
    """Channels stored."""

    auto = "auto"
    grey = "1"
    rgb = "3"


class Encoding(StrEnum):
    """How pixels are stored."""

    raw = "raw"
    png = "png"
    jpeg = "jpeg"


class Leakage(StrEnum):
    """What to do with training images that a test image repeats."""

    report = "report"
    drop = "drop"
    fail = "fail"


def build_tfrecords(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]SOURCE...", help="Folders of class folders, perhaps under Training/Testing."),
    ],
    out: Annotated[Path, typer.Option(help="The dataset folder to make.")],
    image_size: Annotated[int, typer.Option(min=16, max=2048, help="Pixels, square.")] = 224,
    resize: Annotated[Resize, typer.Option(help="bilinear is antialiased.")] = Resize.bilinear,
    channels: Annotated[Channels, typer.Option(help="auto: 1 where all images are grey, else 3.")] = Channels.auto,
    encoding: Annotated[Encoding, typer.Option(help="raw reads fastest; jpeg is smallest and lossy.")] = Encoding.raw,
    split: Annotated[
        str,
        typer.Option(
            metavar="grouped|published",
            help="grouped: pool all images and keep duplicates and patients together; published: the sources' own "
            "Training/Testing folders. A column split in a --table decides before either.",
        ),
    ] = "grouped",
    val_fraction: Annotated[float, typer.Option(min=0.0, max=0.9, help="Of what is not test.")] = 0.2,
    test_fraction: Annotated[float, typer.Option(min=0.0, max=0.9, help="Of all images; for grouped.")] = 0.2,
    leakage: Annotated[
        Leakage, typer.Option(help="published: training images that a test image repeats are kept, dropped, an error.")
    ] = Leakage.report,
    keep_copies: Annotated[bool, typer.Option("--keep-copies", help="grouped: keep exact copies too.")] = False,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Cut what is not test into K folds instead of train and val.")
    ] = None,
    classes: Classes = None,
    table: Tables = None,
    allow_unlisted: AllowUnlisted = False,
    patient_pattern: PatientPattern = None,
    inherit: Inherit = None,
    shards: Annotated[int | None, typer.Option(min=1, help="Of each split; by default one for 2048 images.")] = None,
    max_rejected: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of bad files that is no error.")] = 0.05,
    allow_missing_classes: Annotated[
        bool, typer.Option("--allow-missing-classes", help="Accept a source or split without a class of another.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 0,  # what numpy takes
    force: Annotated[bool, typer.Option("--force", help="Replace OUT.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build a dataset of TFRecord shards from folders of images.

    Example: `fastmri-cls build-tfrecords nickparvar=archive1 bhuvaji=archive2 --out data/mri`
    """
    from fastmri_cls.dataset import Dataset
    from fastmri_cls.foundation.cpu import available_cores
    from fastmri_cls.records.build import build_dataset
    from fastmri_cls.records.options import BuildOptions, MetadataOptions, SplitOptions
    from fastmri_cls.report.tables import print_dataset
    from fastmri_cls.sources.classes import ClassNames, read_classes
    from fastmri_cls.sources.folders import parse_sources

    options = BuildOptions(
        image_size=image_size,
        resize=resize.value,
        channels=channels.value,
        encoding=encoding.value,
        splitting=SplitOptions(split, val_fraction, test_fraction, leakage.value, keep_copies, folds, seed),
        metadata=MetadataOptions(tuple(table or ()), allow_unlisted, patient_pattern, inherit),
        shards=shards,
        max_rejected=max_rejected,
        allow_missing_classes=allow_missing_classes,
    )
    class_names = read_classes(classes) if classes else ClassNames()
    manifest = build_dataset(
        parse_sources(sources), class_names, options, out, workers or available_cores(), force=force
    )
    print_dataset(Dataset(out))
    if as_json:
        counts = {name: split.num_examples for name, split in manifest.splits.items()}
        print_document(json.dumps({"out": str(out), "splits": counts, "rejected": len(manifest.rejected)}))
