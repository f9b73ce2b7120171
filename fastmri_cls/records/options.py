"""What a dataset is built with, and the flags that say so on a command line."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SplitOptions:
    """How images are split.

    Fields:
        method: `grouped`, `published`, or the path of a CSV.
        val_fraction: share of what is not test. test_fraction: share of everything (`grouped` alone).
        leakage: what becomes of training images that a test image repeats where the test set is given: report (keep),
            drop or fail.
        keep_copies: keep exact copies where `grouped` would keep one of them.
        folds: divide what is not test into this many folds instead of train and val.
    """

    method: str = "grouped"
    val_fraction: float = 0.2
    test_fraction: float = 0.2
    leakage: str = "report"
    keep_copies: bool = False
    folds: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class BuildOptions:
    """What a dataset is built with; equal sources and options give byte-identical shards.

    Fields:
        image_size: pixels, square. resize: bilinear (antialiased), nearest or lanczos.
        channels: auto (1 where all images are grey, else 3), 1 or 3. encoding: raw, png or jpeg.
        shards: of every split; None makes one for every 2048 examples.
        max_rejected: the share of unreadable files that is still no reason to stop.
        allow_missing_classes: accept a source, or a split, that lacks a class another one has.
    """

    image_size: int = 224
    resize: str = "bilinear"
    channels: str = "auto"
    encoding: str = "raw"
    splitting: SplitOptions = field(default=SplitOptions())
    shards: int | None = None
    max_rejected: float = 0.05
    allow_missing_classes: bool = False


def as_flags(options: BuildOptions) -> list[str]:
    """Return the command line's flags for every option that is not at its default."""
    flags: list[str] = []
    for name, value in _flat(options).items():
        if value != _flat(BuildOptions())[name]:
            flag = f"--{name.replace('_', '-')}"
            flags += [flag] if value is True else [flag, str(value)]
    return flags


def _flat(options: BuildOptions) -> dict[str, Any]:
    values = asdict(options)
    splitting = values.pop("splitting")
    return {**values, "split": splitting.pop("method"), **splitting}
