"""The gallery of disagreements: test images, read back from the dataset folder of a RUN, with what each model says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fastmri_cls.comparison.disagreements import Disagreement, truth_of
from fastmri_cls.comparison.runs import ComparedRun, System
from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.quiet import import_tensorflow
from fastmri_cls.report.html import jpeg_uri
from fastmri_cls.report.test_images import Key, stored_images

_MOST_PICTURES = 24


@dataclass(frozen=True)
class Call:
    """What one system predicts for a picture.

    Attributes:
        system: its name.
        predicted: the class.
        confidence: its probability.
        right: whether it is the true class.
    """

    system: str
    predicted: str
    confidence: str
    right: bool


@dataclass(frozen=True)
class Compared:
    """One picture of the gallery.

    Attributes:
        source: its source.
        filename: its file, relative to the source.
        truth: the true class.
        image: an address that holds it; None if no dataset folder has it any more.
        calls: of each system.
    """

    source: str
    filename: str
    truth: str
    image: str | None
    calls: list[Call]


def gallery(systems: Sequence[System], disagreements: Sequence[Disagreement]) -> list[Compared]:
    """Return the first disagreements, with their pictures if a dataset folder still has them."""
    shown = disagreements[:_MOST_PICTURES]
    if not shown:
        return []
    import_tensorflow()
    tests = systems[0].runs[0].tests
    keys = [truth_of(tests, image.index)[:2] for image in shown]
    pictures = read_pictures([run for system in systems for run in system.runs], set(keys))
    return [
        Compared(
            source=key[0],
            filename=key[1],
            truth=truth_of(tests, image.index)[2],
            image=jpeg_uri(pictures[key]) if key in pictures else None,
            calls=[
                Call(name, image.prediction[name], f"{image.confidence[name]:.2f}", image.right[name])
                for name in image.prediction
            ],
        )
        for image, key in zip(shown, keys, strict=True)
    ]


def read_pictures(runs: Iterable[ComparedRun], wanted: set[Key]) -> dict[Key, np.ndarray]:
    """Return test images, uint8 [size, size, channels], from the first dataset folder that still exists.

    Args:
        runs: their dataset folders are tried in order; of an evaluation on another dataset no folder is known.
        wanted: source and file name of each image.

    Returns:
        {key: image}; empty if no folder is there, or none is the dataset of its run any more.
    """
    own = (run for run in runs if run.is_on_own_dataset)
    folders = dict.fromkeys((run.config.data, run.config.dataset.fingerprint) for run in own)
    for directory, fingerprint in folders:
        try:
            dataset = Dataset(directory, verify=True)
        except UserError:
            continue
        if dataset.fingerprint == fingerprint:
            return stored_images(dataset, wanted)
    return {}
