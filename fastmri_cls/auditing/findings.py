"""audit.json as a type."""

from typing import TypedDict

from fastmri_cls.auditing.leakage import Leaks


class RejectedFile(TypedDict):
    """A file that is not a usable image."""

    path: str
    reason: str


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
    """

    images: dict[str, dict[str, int]]
    groups: dict[str, int]
    pairs: dict[str, dict[str, int]]
    search: dict[str, int]
    test_sets: dict[str, Leaks]
    patients: dict[str, object]
    baselines: dict[str, dict[str, float]]
    rejected: list[RejectedFile]
