"""audit.json as a type."""

from typing import NotRequired, TypedDict

from fastmri_cls.auditing.leakage import Leaks


class RejectedFile(TypedDict):
    """A file that is not a usable image."""

    path: str
    reason: str


# Not written as a class because `class` is a key; it is what audit.csv calls the label.
RankedLabel = TypedDict(
    "RankedLabel",
    {
        "source": str, "path": str, "split": str, "class": str,
        "quality": float,  # the probability of the label, predicted out of fold
        "suspected": bool,  # among the labels that cleanlab takes for wrong
        "predicted": str,  # the most probable class
        "probability": float,  # its probability
        "group": int,
    },
)  # fmt: skip


class DoubtfulLabels(TypedDict):
    """How far a classifier that has not seen an image supports its label.

    Attributes:
        backbone: whose features were used.
        weights: name of its published weights.
        folds: number of folds of the out-of-fold predictions.
        images: number of images.
        accuracy: fraction of the labels that the out-of-fold predictions agree with.
        suspected: number of labels that cleanlab takes for wrong.
        by_source: {source: {split: {class: [suspected, images]}}}.
        ranked: all images, the most doubtful label first.
    """

    backbone: str
    weights: str
    folds: int
    images: int
    accuracy: float
    suspected: int
    by_source: dict[str, dict[str, dict[str, list[int]]]]
    ranked: list[RankedLabel]


class Findings(TypedDict):
    """What an audit found; the keys are those of audit.json.

    Attributes:
        images: {source: {split: images}}.
        groups: number of groups of duplicates by kind, see `count_groups`.
        pairs: {kind of duplicate: {place: pairs}}, see `count_pairs`.
        search: bounds of the search that were reached: images with too many candidates, pairs left out.
        test_sets: {source: leakage into its test images}.
        patients: how many images have a known patient, and from where; see `describe_patients`.
        baselines: {test set: {shortcut baseline: accuracy}}.
        rejected: files that are not usable images.
        labels: doubtful labels, if they were asked for.
    """

    images: dict[str, dict[str, int]]
    groups: dict[str, int]
    pairs: dict[str, dict[str, int]]
    search: dict[str, int]
    test_sets: dict[str, Leaks]
    patients: dict[str, object]
    baselines: dict[str, dict[str, float]]
    rejected: list[RejectedFile]
    labels: NotRequired[DoubtfulLabels]
