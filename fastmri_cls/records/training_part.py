"""Leave training images out on purpose: of whole sources, or of all but a fraction of the groups.

Test images stay as they are. So datasets that differ in nothing else answer how accuracy grows with the number of
training images, and how well a model does on images of a source it was not trained on.
"""

import numpy as np

from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.options import SplitOptions


def check_training_part(options: SplitOptions, sources: set[str]) -> None:
    """Refuse a fraction out of range and a source that does not exist.

    Raises:
        UserError: see above.
    """
    if not 0 < options.train_fraction <= 1:
        raise UserError(f"--train-fraction {options.train_fraction:g}: give a fraction above 0, at most 1")
    for name in options.train_source:
        if name not in sources:
            raise UserError(f"--train-source {name}: no such source; choose of {', '.join(sorted(sources))}")


def drop_sources(split: np.ndarray, sources: np.ndarray, reason: np.ndarray, train_source: tuple[str, ...]) -> None:
    """Leave out the images that are not test images and not of `train_source`.

    Args:
        split: str [n], "" for left out; changed.
        sources: str [n].
        reason: str [n], why an image is left out; changed.
        train_source: the sources to train on; all if empty.
    """
    if train_source:
        outside = ~np.isin(split, ("", "test")) & ~np.isin(sources, train_source)
        split[outside], reason[outside] = "", "its source is for testing alone"


def drop_groups(
    split: np.ndarray, labels: np.ndarray, groups: np.ndarray, reason: np.ndarray, options: SplitOptions
) -> None:
    """Keep `train_fraction` of the groups of each class in each split but the test set, at least one.

    A group with images of several classes belongs to its most frequent one. The groups are kept in an order drawn from
    the seed, so those of a smaller fraction are among those of a larger one.

    Args:
        split: str [n], "" for left out; changed.
        labels: str [n].
        groups: int [n].
        reason: str [n], why an image is left out; changed.
        options: the fraction and the seed.
    """
    if options.train_fraction == 1:
        return
    _, classes = np.unique(labels, return_inverse=True)
    for number, name in enumerate(sorted(set(split.tolist()) - {"", "test"})):
        members = np.flatnonzero(split == name)
        found, group = np.unique(groups[members], return_inverse=True)
        votes = np.zeros((len(found), classes.max() + 1), np.int64)
        np.add.at(votes, (group, classes[members]), 1)
        majority = votes.argmax(axis=1)
        order = np.random.default_rng((options.seed, number)).permutation(len(found))
        kept = np.zeros(len(found), bool)
        for label in np.unique(majority):
            ranked = order[majority[order] == label]
            kept[ranked[: max(1, round(options.train_fraction * len(ranked)))]] = True
        outside = members[~kept[group]]
        split[outside], reason[outside] = "", f"outside --train-fraction {options.train_fraction:g}"
