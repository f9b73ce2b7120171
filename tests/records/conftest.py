"""Small sources whose images are known to be distinct, or copies where a test wants them to be."""

import csv
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.ndimage import gaussian_filter

from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.manifest import Manifest
from fastmri_cls.records.options import BuildOptions, MetadataOptions, SplitOptions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources

Build = Callable[..., Manifest]
MakeSource = Callable[[str, dict[str, int]], Path]


def draw(number: int, size: int = 72) -> np.ndarray:
    """Return a grey cloud, uint8 [size, size]; two numbers never look alike."""
    cloud = gaussian_filter(np.random.default_rng(number).standard_normal((size, size)), size / 12)
    return ((cloud - cloud.min()) / np.ptp(cloud) * 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    """Save pixels; the format is the suffix's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def options(*, metadata: MetadataOptions | None = None, **splitting: object) -> BuildOptions:
    return BuildOptions(image_size=32, splitting=SplitOptions(**splitting), metadata=metadata or MetadataOptions())


def with_table(path: Path, rows: list[dict[str, str]], *, allow_unlisted: bool = False) -> MetadataOptions:
    """Write `rows` as a table to `path` and return the options to build with it."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return MetadataOptions((str(path),), allow_unlisted)


def records(directory: Path, split: str) -> list[dict[str, object]]:
    """Read a split's records with the protocol buffers alone."""
    found = []
    for path in sorted(directory.glob(f"{split}-*.tfrecord")):
        for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            features = tf.train.Example.FromString(serialized).features.feature
            found.append(
                {key: (list(f.bytes_list.value) or list(f.int64_list.value))[0] for key, f in features.items()}
            )
    return found


def shard_bytes(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(directory.glob("*.tfrecord"))}


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    """Make a source: `source("one", **{"Training/a": 20})` draws 20 distinct images into one/Training/a/00.png, ..."""
    drawn = iter(range(1_000_000))

    def make(name: str, counts: dict[str, int]) -> Path:
        for folder, count in counts.items():
            for index in range(count):
                save(tmp_path / name / folder / f"{index:02d}.png", draw(next(drawn)))
        return tmp_path / name

    return make


@pytest.fixture
def two_classes(source: MakeSource) -> Path:
    return source("one", {"Training/a": 30, "Training/b": 20, "Testing/a": 6, "Testing/b": 4})


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Manifest]:
    """Build `tmp_path/out` at 32 px from sources with options."""

    def run(
        sources: list[Path],
        options: BuildOptions | None = None,
        classes: ClassNames | None = None,
        *,
        out: str = "out",
        workers: int = 1,
        force: bool = False,
    ) -> Manifest:
        parsed = parse_sources([str(source) for source in sources])
        chosen = options or BuildOptions(image_size=32)
        return build_dataset(parsed, classes or ClassNames(), chosen, tmp_path / out, workers, force=force)

    return run


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that are logged."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("fastmri_cls")
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler])
    return lines
