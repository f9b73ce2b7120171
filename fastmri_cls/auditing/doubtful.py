"""The part of an audit about doubtful labels: every image ranked by how little a classifier supports its label."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastmri_cls.auditing.collection import Collection
from fastmri_cls.auditing.features import extract_features, find_pretrained
from fastmri_cls.auditing.findings import DoubtfulLabels, RankedLabel
from fastmri_cls.auditing.labels import FOLDS, check_groups, require_cleanlab, score_labels
from fastmri_cls.auditing.leakage import Columns
from fastmri_cls.models.pretrained import Published


def find_weights() -> Published:
    """Return the weights to use; called before anything is read.

    Raises:
        UserError: the extra `labels` or pretrained weights are missing.
    """
    require_cleanlab()
    return find_pretrained()


def rank_labels(
    images: Collection, published: Published, groups: np.ndarray, representatives: np.ndarray
) -> tuple[DoubtfulLabels, np.ndarray]:
    """Rank the labels of all images, the most doubtful first.

    Args:
        images: n images.
        published: the weights of the backbone.
        groups: int [n], groups of duplicates and patients.
        representatives: int [n], for each image the first one with the same pixels.

    Returns:
        What audit.json says of labels, and the indices of the images in the order of its ranking, int [n].

    Raises:
        UserError: a class has too few independent groups, or the weights cannot be loaded.
    """
    known = images.columns
    check_groups(known.labels, groups)
    scores = score_labels(extract_features(images, published, representatives), known.labels, groups)
    predicted = scores.classes[scores.probabilities.argmax(axis=1)]
    order = scores.ranked
    ranked: list[RankedLabel] = [
        {
            "source": str(known.sources[image]),
            "path": images.paths[image],
            "split": str(known.splits[image]),
            "class": str(known.labels[image]),
            "quality": round(float(scores.quality[image]), 6),
            "suspected": bool(scores.is_issue[image]),
            "predicted": str(predicted[image]),
            "probability": round(float(scores.probabilities[image].max()), 4),
            "group": int(groups[image]),
        }
        for image in order.tolist()
    ]
    found: DoubtfulLabels = {
        "backbone": published.model,
        "weights": published.name,
        "folds": FOLDS,
        "images": len(ranked),
        "accuracy": float((predicted == known.labels).mean()),
        "suspected": int(scores.is_issue.sum()),
        "by_source": _count_suspected(known, scores.is_issue),
        "ranked": ranked,
    }
    return found, order


def _count_suspected(columns: Columns, suspected: np.ndarray) -> dict[str, dict[str, dict[str, list[int]]]]:
    """Return {source: {split: {class: [suspected, images]}}}; without split folders the split is `all`."""
    counts: dict[str, dict[str, dict[str, list[int]]]] = {}
    for source in dict.fromkeys(columns.sources.tolist()):
        for split in dict.fromkeys(columns.splits[columns.sources == source].tolist()):
            here = (columns.sources == source) & (columns.splits == split)
            of_class = {label: here & (columns.labels == label) for label in np.unique(columns.labels).tolist()}
            counts.setdefault(source, {})[split or "all"] = {
                label: [int((images & suspected).sum()), int(images.sum())] for label, images in of_class.items()
            }
    return counts


def write_labels_csv(path: Path, ranked: Sequence[RankedLabel]) -> None:
    """Write labels.csv: one row an image, the most doubtful label first."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ("rank", *ranked[0]))
        writer.writeheader()
        for rank, row in enumerate(ranked, 1):
            writer.writerow({"rank": rank, **row, "suspected": int(row["suspected"])})
