"""What the campaign damages copies of: small sources, datasets and finished RUNs, made by the tool itself."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from fastmri_cls.sources.phantom import CLASSES, draw_phantom
from tests.campaign.runner import Zygote

SIZE = 32  # pixels of every dataset
PLAIN = ("--batch-size", "8", "--precision", "float32", "--xla", "off")  # nothing to be tried out first
TRAIN = ("--model", "small-cnn", "--phase1-epochs", "1", "--phase2-epochs", "1", *PLAIN)


@dataclass(frozen=True)
class Materials:
    """Never changed; `copy` gives what may be.

    Fields:
        source: Training/Testing of the four classes. dataset: made of it. other: as many bytes, other images.
        run, second: trained on `dataset` with two seeds.
    """

    source: Path
    dataset: Path
    other: Path
    run: Path
    second: Path


def make_materials(folder: Path, zygotes: Sequence[Zygote]) -> Materials:
    """Make them by the commands themselves, two at a time."""
    given = Materials(*(folder / name for name in ("source", "dataset", "other", "run", "second")))
    draw_source(given.source, seed=0)
    draw_source(folder / "other-source", seed=1)
    builds = [
        (*build_arguments(source, out), "--split", "published")
        for source, out in ((given.source, given.dataset), (folder / "other-source", given.other))
    ]
    trainings = [
        ("train", "--data", given.dataset, "--out", out, "--seed", seed, "--deterministic", *TRAIN)
        for seed, out in ((0, given.run), (1, given.second))
    ]
    with ThreadPoolExecutor(2) as pool:
        for commands in (builds, trainings):
            list(pool.map(_succeed, zygotes, commands))
    return given


def draw_source(folder: Path, seed: int, training: int = 10, testing: int = 4) -> Path:
    """Draw a source of phantoms in the published layout; equal seeds give equal images."""
    for split, count in (("Training", training), ("Testing", testing)):
        for number, label in enumerate(CLASSES):
            rng = np.random.default_rng([seed, number, count])
            (folder / split / label).mkdir(parents=True)
            for index in range(count):
                save_image(draw_phantom(label, rng, 48)[0], folder / split / label / f"{index:03}.png")
    return folder


def save_image(pixels: np.ndarray, path: Path) -> Path:
    """Save pixels as the format the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def build_arguments(source: object, out: Path, *flags: object) -> tuple[object, ...]:
    """The command that builds a small dataset."""
    return ("build-tfrecords", f"mri={source}", "--out", out, "--image-size", SIZE, "--workers", 1, *flags)


def copy(folder: Path, to: Path) -> Path:
    """Copy a folder and return the copy."""
    return Path(shutil.copytree(folder, to))


def _succeed(zygote: Zygote, arguments: tuple[object, ...]) -> None:
    ended = zygote.run(*arguments)
    assert ended.code == 0, f"{arguments}: {ended.stderr}"
