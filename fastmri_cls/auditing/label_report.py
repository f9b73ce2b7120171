"""Doubtful labels for people: a sentence, a table, and the most doubtful images of each class as pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fastmri_cls.auditing.findings import DoubtfulLabels
from fastmri_cls.foundation.tables import Cell, Table
from fastmri_cls.report.html import jpeg_uri

_MAX_PICTURES = 96  # of all classes: about 1 MB
_PICTURE = 192  # pixels of the longer side


@dataclass(frozen=True)
class DoubtfulPicture:
    """One image of the ranking, as the page shows it.

    Attributes:
        rank: its place among all images, from 1.
        label: its class.
        predicted: what the classifier says and how surely.
        agrees: whether that is the label.
        name: source and path.
        split: empty if unknown.
        copies: how many more images of its group have the same class.
        uri: the picture.
    """

    rank: int
    label: str
    predicted: str
    agrees: bool
    name: str
    split: str
    copies: int
    uri: str


def labels_sentence(found: DoubtfulLabels) -> str:
    """Return what was found, and how far it can be trusted, in a sentence or two."""
    return (
        f"Doubtful labels: {found['suspected']:,} of {found['images']:,} labels are suspected to be wrong. A linear "
        f"classifier on features of {found['backbone']}, trained without the image, its duplicates and its patient, "
        f"agrees with {found['accuracy']:.1%} of all labels. labels.csv ranks all images."
    )


def labels_table(found: DoubtfulLabels) -> Table:
    """Return the suspected labels by source, split and class."""
    rows: list[tuple[Cell, ...]] = [
        (source, split, *(f"{suspected:,} of {images:,}" for suspected, images in counts.values()))
        for source, splits in found["by_source"].items()
        for split, counts in splits.items()
    ]
    classes = next(counts for splits in found["by_source"].values() for counts in splits.values())
    return Table(
        "labels",
        "Suspected labels",
        ("source", "split", *classes),
        rows,
        "By the class that the image has now. A suspicion is no proof: an unusual image is doubtful, too.",
    )


def doubtful_pictures(
    found: DoubtfulLabels, order: np.ndarray, pixels: Callable[[Sequence[int]], list[np.ndarray]]
) -> list[tuple[str, list[DoubtfulPicture]]]:
    """Return the most doubtful images of each class; of a group of duplicates and patients only the first.

    Args:
        found: the ranking.
        order: int [n], indices of the images in the order of the ranking.
        pixels: decodes the images of the given numbers.
    """
    ranked = found["ranked"]
    groups: dict[tuple[str, int], list[int]] = {}  # of (class, group), the places in the ranking
    for place, row in enumerate(ranked):
        groups.setdefault((row["class"], row["group"]), []).append(place)
    classes = sorted({row["class"] for row in ranked})
    of_class = {
        name: [places for (label, _), places in groups.items() if label == name][: _MAX_PICTURES // len(classes) or 1]
        for name in classes
    }
    shown = [places[0] for chosen in of_class.values() for places in chosen]
    decoded = dict(zip(shown, pixels([int(order[place]) for place in shown]), strict=True))

    def picture(places: list[int]) -> DoubtfulPicture:
        row = ranked[places[0]]
        return DoubtfulPicture(
            rank=places[0] + 1,
            label=row["class"],
            predicted=f"{row['predicted']} {row['probability']:.2f}",
            agrees=row["predicted"] == row["class"],
            name=f"{row['source']}/{row['path']}",
            split=row["split"],
            copies=len(places) - 1,
            uri=jpeg_uri(decoded[places[0]], _PICTURE),
        )

    return [(name, [picture(places) for places in chosen]) for name, chosen in of_class.items()]
