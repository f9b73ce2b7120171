"""What a dataset is built with, and the flags that say so on a command line.

A wrong value is refused here as well as by the command line, since Python callers come past it.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from fastmri_cls.foundation.option_checks import check_choice, check_range

Resize = Literal["bilinear", "nearest", "lanczos"]
Channels = Literal["auto", "1", "3"]
Encoding = Literal["raw", "png", "jpeg"]
Leakage = Literal["report", "drop", "fail"]
Inherit = Literal["patients"]

SMALLEST_IMAGE, LARGEST_IMAGE = 16, 2048  # pixels
LARGEST_PART = 0.9  # of the images, for test or validation
LARGEST_SEED = 2**32 - 1  # numpy's


@dataclass(frozen=True)
class MetadataOptions:
    """What is known of images besides their folders, and which slices of volumes are images.

    Attributes:
        table: tables of labels, patients or splits, `FILE` or `NAME=FILE` for the source NAME alone.
        allow_unlisted: accept images that a table leaves out.
        patient_pattern: regular expression; its first group, found in a file's name, is the patient.
        inherit: `patients`: images without a patient get that of the image they duplicate.
        slices: of NIfTI volumes, see `parse_selection`.
    """

    table: tuple[str, ...] = ()
    allow_unlisted: bool = False
    patient_pattern: str | None = None
    inherit: str | None = None
    slices: str = "content"

    def __post_init__(self) -> None:
        """Refuse a value that is not among the choices, as a UserError."""
        if self.inherit is not None:
            check_choice("--inherit", self.inherit, get_args(Inherit))


@dataclass(frozen=True)
class SplitOptions:
    """How images are split.

    Attributes:
        method: `grouped` or `published`. A table with a column `split` decides before either.
        val_fraction: fraction of the images that are not test.
        test_fraction: fraction of all images, for `grouped`.
        leakage: what to do with training images that a test image repeats, for given test sets: report (keep), drop
            or fail.
        keep_copies: keep exact duplicates, of which `grouped` would keep one.
        folds: divide the images that are not test into this many folds instead of train and val.
        train_fraction: fraction of the groups that are not test to keep.
        train_source: names of the sources to train and validate on; all if empty. Test images stay.
        seed: of the split and of the order of training records.
    """

    method: str = "grouped"
    val_fraction: float = 0.2
    test_fraction: float = 0.2
    leakage: str = "report"
    keep_copies: bool = False
    folds: int | None = None
    train_fraction: float = 1.0
    train_source: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a value that is out of range or not among the choices, as a UserError."""
        check_choice("--leakage", self.leakage, get_args(Leakage))
        check_range("--val-fraction", self.val_fraction, 0, LARGEST_PART)
        check_range("--test-fraction", self.test_fraction, 0, LARGEST_PART)
        check_range("--seed", self.seed, 0, LARGEST_SEED)
        check_range("--folds", self.folds, 2)


@dataclass(frozen=True)
class BuildOptions:
    """What a dataset is built with; equal sources and options give byte-identical shards.

    Attributes:
        image_size: pixels, square.
        resize: bilinear (antialiased), nearest or lanczos.
        channels: auto (1 if all images are grey, else 3), 1 or 3.
        encoding: raw, png or jpeg.
        splitting: how images are split.
        metadata: tables and patients.
        shards: number of shards of every split; None makes one for every 2048 examples.
        max_rejected: the fraction of unreadable files that is accepted.
        allow_missing_classes: accept a source, or a split, that lacks a class another one has.
    """

    image_size: int = 224
    resize: str = "bilinear"
    channels: str = "auto"
    encoding: str = "raw"
    splitting: SplitOptions = field(default=SplitOptions())
    metadata: MetadataOptions = field(default=MetadataOptions())
    shards: int | None = None
    max_rejected: float = 0.05
    allow_missing_classes: bool = False

    def __post_init__(self) -> None:
        """Refuse a value that is out of range or not among the choices, as a UserError."""
        check_range("--image-size", self.image_size, SMALLEST_IMAGE, LARGEST_IMAGE)
        check_choice("--resize", self.resize, get_args(Resize))
        check_choice("--channels", self.channels, get_args(Channels))
        check_choice("--encoding", self.encoding, get_args(Encoding))
        check_range("--max-rejected", self.max_rejected, 0, 1)
        check_range("--shards", self.shards, 1)


def as_flags(options: BuildOptions) -> list[str]:
    """Return the command line's flags for every option that is not at its default."""
    flags: list[str] = []
    defaults = _flat(BuildOptions())
    for name, value in _flat(options).items():
        if value == defaults[name]:
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(flag)
        else:
            for entry in value if isinstance(value, tuple) else (value,):
                flags += [flag, str(entry)]
    return flags


def _flat(options: BuildOptions) -> dict[str, Any]:
    values = asdict(options)
    splitting, metadata = values.pop("splitting"), values.pop("metadata")
    return {**values, **metadata, "split": splitting.pop("method"), **splitting}
