"""The mistakes of a model as pictures: its worst errors, its least sure hits, examples of each confusion.

Which images are chosen depends on predictions alone. The number of pictures is bounded, so that a page with all of them
stays near 1 MB; predictions.csv lists every image.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.report.html import jpeg_uri
from fastmri_cls.report.test_images import Key, source_images, stored_images
from fastmri_cls.runs.predictions import Predictions

WORST, LEAST_SURE = 18, 6  # pictures, each with its heat map
_CONFUSIONS, _OF_A_CONFUSION = 24, 6
_CLASSES_SHOWN = 4  # probabilities of a picture
_PICTURE, _SMALL = 288, 160  # pixels of the longer side

# (stored images uint8 [n, size, size, channels], class numbers int [n], pictures uint8) -> pictures with heat maps over
# them, uint8 [height, width, 3]; None if they cannot be computed on this machine
Overlay = Callable[[np.ndarray, np.ndarray, Sequence[np.ndarray]], list[np.ndarray] | None]


@dataclass(frozen=True)
class Shown:
    """One test image.

    Attributes:
        source: its source.
        filename: its file, relative to the source.
        truth: the true class.
        predicted: the predicted class.
        confidence: the probability of the predicted class.
        probabilities: {class: probability} of the most probable classes and the true one, descending.
        picture: the image as an address that holds it; empty if the dataset does not have it.
        heat: the image with the Grad-CAM for the predicted class over it; empty without one.
    """

    source: str
    filename: str
    truth: str
    predicted: str
    confidence: float
    probabilities: dict[str, float]
    picture: str
    heat: str

    @property
    def is_right(self) -> bool:
        """Whether the true class is predicted."""
        return self.truth == self.predicted


@dataclass(frozen=True)
class Confusion:
    """The images of one class that are taken for another.

    Attributes:
        anchor: of the page.
        truth: the true class.
        predicted: the predicted class.
        images: how many there are.
        shown: some of them, the surest first.
    """

    anchor: str
    truth: str
    predicted: str
    images: int
    shown: list[Shown]


@dataclass(frozen=True)
class Mistakes:
    """What the section of a report shows.

    Attributes:
        images: number of test images.
        errors: number of wrong predictions.
        classes: names in label order.
        counts: the confusion matrix of all test images, true classes in rows.
        worst: wrong predictions with the highest confidence.
        unsure: right predictions with the lowest confidence.
        confusions: the largest cells beside the diagonal, the largest first.
        without_heat: why there are no heat maps, as a sentence; empty with them.
    """

    images: int
    errors: int
    classes: tuple[str, ...]
    counts: list[list[int]]
    worst: list[Shown]
    unsure: list[Shown]
    confusions: list[Confusion]
    without_heat: str

    @property
    def rows(self) -> list[tuple[str, list[tuple[str, int, str]]]]:
        """The confusion matrix as (true class, [(predicted class, images, anchor or nothing)])."""
        anchors = {(found.truth, found.predicted): found.anchor for found in self.confusions}
        return [
            (truth, [(name, n, anchors.get((truth, name), "")) for name, n in zip(self.classes, row, strict=True)])
            for truth, row in zip(self.classes, self.counts, strict=True)
        ]

    @property
    def has_pictures(self) -> bool:
        """Whether the images themselves could be read."""
        return any(shown.picture for shown in (*self.worst, *self.unsure))


def find_mistakes(tests: Predictions, dataset: Dataset, overlay: Overlay | None = None) -> Mistakes:
    """Choose the images and read their pictures.

    Args:
        tests: of all test images.
        dataset: has them; its sources are used where their files are still there.
        overlay: draws heat maps; None for a model that is no Keras model, or none of whose layers gives a feature map.
    """
    worst, unsure, confusions = worst_errors(tests), least_sure_hits(tests), _largest_confusions(tests)
    large = [*worst, *unsure]
    small = [number for _, members in confusions for number in members[:_OF_A_CONFUSION]]
    stored = stored_images(dataset, _keys(tests, [*large, *small]))
    pictures = {**stored, **source_images(dataset, _keys(tests, large))}
    heats, reason = _heat_maps(tests, [i for i in large if _key(tests, i) in stored], stored, pictures, overlay)

    def show(number: int) -> Shown:
        key = _key(tests, number)
        uri = jpeg_uri(pictures[key], _PICTURE) if key in pictures else ""
        return _describe(tests, number, uri, heats.get(number, ""))

    def show_small(number: int) -> Shown:
        key = _key(tests, number)
        return _describe(tests, number, jpeg_uri(stored[key], _SMALL) if key in stored else "", "")

    labels = range(len(tests.classes))
    return Mistakes(
        images=len(tests),
        errors=int((tests.predicted != tests.labels).sum()),
        classes=tests.classes,
        counts=[[int(((tests.labels == a) & (tests.predicted == b)).sum()) for b in labels] for a in labels],
        worst=[show(number) for number in worst],
        unsure=[show(number) for number in unsure],
        confusions=[
            Confusion(
                f"confusion-{truth}-{predicted}",
                tests.classes[truth],
                tests.classes[predicted],
                len(members),
                [show_small(number) for number in members[:_OF_A_CONFUSION]],
            )
            for (truth, predicted), members in confusions
        ],
        without_heat=reason,
    )


def worst_errors(tests: Predictions) -> list[int]:
    """Return the wrong predictions, those with the highest confidence first; the groups take turns."""
    wrong = np.flatnonzero(tests.predicted != tests.labels)
    return _in_turns(tests, wrong[np.argsort(-_confidence(tests)[wrong], kind="stable")])[:WORST]


def least_sure_hits(tests: Predictions) -> list[int]:
    """Return the right predictions, those with the lowest confidence first; the groups take turns."""
    right = np.flatnonzero(tests.predicted == tests.labels)
    return _in_turns(tests, right[np.argsort(_confidence(tests)[right], kind="stable")])[:LEAST_SURE]


def _largest_confusions(tests: Predictions) -> list[tuple[tuple[int, int], list[int]]]:
    """Return the cells of the confusion matrix beside the diagonal, the largest first, with their images in order."""
    cells: dict[tuple[int, int], list[int]] = {}
    wrong = np.flatnonzero(tests.predicted != tests.labels)
    for number in _in_turns(tests, wrong[np.argsort(-_confidence(tests)[wrong], kind="stable")]):
        cells.setdefault((int(tests.labels[number]), int(tests.predicted[number])), []).append(number)
    return sorted(cells.items(), key=lambda cell: (-len(cell[1]), cell[0]))[:_CONFUSIONS]


def _in_turns(tests: Predictions, ordered: np.ndarray) -> list[int]:
    """Sort images so that every group comes once before any comes again: duplicates do not fill the page."""
    turns: dict[int, int] = {}
    queue = []
    for place, number in enumerate(ordered.tolist()):
        group = int(tests.groups[number])
        turns[group] = turns.get(group, 0) + 1
        queue.append((turns[group], place, number))
    return [number for _, _, number in sorted(queue)]


def _heat_maps(
    tests: Predictions,
    numbers: Sequence[int],
    stored: dict[Key, np.ndarray],
    pictures: dict[Key, np.ndarray],
    overlay: Overlay | None,
) -> tuple[dict[int, str], str]:
    """Return {image: address of its picture with the heat map}, or why there is none."""
    if overlay is None:
        return {}, "Without heat maps: they need a Keras model whose layers give feature maps."
    if not numbers:
        return {}, ""
    keys = _keys(tests, numbers)
    heats = overlay(np.stack([stored[key] for key in keys]), tests.predicted[numbers], [pictures[key] for key in keys])
    if heats is None:
        return {}, "Without heat maps: the memory of this machine did not suffice for them."
    return {number: jpeg_uri(heat, _PICTURE) for number, heat in zip(numbers, heats, strict=True)}, ""


def _describe(tests: Predictions, number: int, picture: str, heat: str) -> Shown:
    row = tests.probabilities[number]
    truth, predicted = int(tests.labels[number]), int(tests.predicted[number])
    listed = [*np.argsort(-row, kind="stable")[:_CLASSES_SHOWN].tolist()]
    listed += [truth] if truth not in listed else []
    source, filename = _key(tests, number)
    return Shown(
        source=source,
        filename=filename,
        truth=tests.classes[truth],
        predicted=tests.classes[predicted],
        confidence=float(row[predicted]),
        probabilities={tests.classes[label]: float(row[label]) for label in listed},
        picture=picture,
        heat=heat,
    )


def _confidence(tests: Predictions) -> np.ndarray:
    return np.asarray(tests.probabilities.max(axis=1))


def _key(tests: Predictions, number: int) -> Key:
    return str(tests.sources[number]), str(tests.filenames[number])


def _keys(tests: Predictions, numbers: Iterable[int]) -> list[Key]:
    return [_key(tests, number) for number in numbers]
