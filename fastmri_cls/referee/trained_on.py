"""Which test images a model was trained on: those that lie in a training set, or duplicate one of its images.

Duplicates are those of `duplicates.pairs`, in four orientations, and whatever a chain of duplicates joins. Patients do
not count here: another slice of a patient is not a duplicate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from fastmri_cls.dataset import Dataset
from fastmri_cls.duplicates.fingerprints import Fingerprints
from fastmri_cls.duplicates.groups import connected_groups
from fastmri_cls.duplicates.hashing import Fingerprint, fingerprint
from fastmri_cls.duplicates.pairs import find_duplicates
from fastmri_cls.evaluation.metrics import BOOTSTRAP_SEED
from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.evaluation.statistics import cluster_bootstrap, percentile_ci, proportion_ci, weighted_proportion
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.foundation.progress import track
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.ingest import ingest
from fastmri_cls.records.split_names import TEST, VAL, kind_of
from fastmri_cls.runs.metrics import Estimate, SeenPart, TrainedOn
from fastmri_cls.runs.predictions import Predictions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources, printable
from fastmri_cls.sources.layout import SPLITS
from fastmri_cls.sources.scan import scan

_BATCH = 64  # stored images decoded at once
_TRAINING = ("train", VAL)  # published validation images are part of what a model was made with


@dataclass(frozen=True)
class Seen:
    """Which test images are in a training set.

    Attributes:
        training_sets: its parts, by name.
        images: images in it.
        not_compared: images of it that the dataset leaves out, if it is not known what they duplicate.
        seen: bool [n], one entry for each test image, in the dataset's order.
        duplicate_of: str [n], a training image that each seen one duplicates: itself, the most similar, or one that
            a chain of duplicates leads to; empty for the others.
        orientation: str [n], the flip or turn between the two; empty where it is a chain, or nothing.
    """

    training_sets: tuple[str, ...]
    images: int
    not_compared: int
    seen: np.ndarray
    duplicate_of: np.ndarray
    orientation: np.ndarray


def seen_in_published_training(dataset: Dataset, sources: Sequence[str]) -> Seen | None:
    """Find the test images that lie in the published Training folders of the dataset's sources, or duplicate them.

    Args:
        dataset: the dataset, which may have pooled and split the images anew.
        sources: names of sources; empty for all.

    Training images that the dataset leaves out (`--leakage drop`) are not there to be compared. If the dataset knows no
    patients, its groups hold duplicates alone and tell which test images such an image duplicates.

    Returns:
        None if no source has a Training folder.

    Raises:
        UserError: there is no such source, or it has no Training folder.
    """
    rows = read_images_csv(dataset.path)
    is_published = dataset.manifest.split == "published"
    training = [
        row
        for row in rows
        if row.source in (sources or dataset.manifest.source_names)
        and _is_training(row.filename, row.split if is_published else "")
    ]
    names = tuple(dict.fromkeys(row.source for row in training))
    without = [source for source in sources if source not in names]
    if without:
        raise UserError(f"--trained-on {without[0]}: that source of the dataset has no Training folder")
    if not training:
        return None
    splits = list(dataset.splits)
    facts = dataset.facts(splits)
    hashes = {row.sha256 for row in training}  # a file that was left out has the pixels of one that is stored
    in_training = np.array([sha256 in hashes for sha256 in facts.sha256.tolist()])
    stored = set(facts.sha256[in_training].tolist())
    fingerprints = Fingerprints(_stored(dataset, splits))
    is_test = np.array([kind_of(name) == TEST for name in facts.splits.tolist()])
    files = [f"{source}/{name}" for source, name in zip(facts.sources.tolist(), facts.filenames.tolist(), strict=True)]
    seen, duplicate_of, orientation = _match(fingerprints, is_test, in_training, files)
    left_out = [row for row in training if row.sha256 not in stored]
    patients = dataset.manifest.patients
    if patients and not patients.known and not patients.volumes:
        by_group = {row.group: f"{row.source}/{row.filename}" for row in left_out}
        originals = [by_group.get(group, "") for group in facts.groups[is_test].tolist()]
        duplicate_of = np.where(seen, duplicate_of, originals)
        seen |= duplicate_of != ""
        left_out = []
    sets = tuple(f"{name}: Training" for name in names)
    return Seen(sets, len(training), len(left_out), seen, duplicate_of, orientation)


def seen_in_folder(dataset: Dataset, folder: Path) -> Seen:
    """Find the test images that lie in a folder or ZIP archive of class folders, or duplicate an image of it.

    Args:
        dataset: the dataset.
        folder: its Training images are the training set; all of its images, if it has no Training folder.

    Raises:
        UserError: it cannot be read, or none of its files is an image.
    """
    files = scan(parse_sources([f"trained-on={folder}"]), ClassNames(), (), allow_unlisted=False).files
    files = [file for file in files if file.split in _TRAINING] or files
    splits = dataset.manifest.test_splits
    fingerprints = Fingerprints(_stored(dataset, splits))
    tests = len(fingerprints)
    names = [""] * tests
    for file, image in ingest(files, None, available_cores(), title="reading the training set"):
        if not isinstance(image, str):
            fingerprints.append(image.fingerprint)
            names.append(printable(file.filename))
    if len(names) == tests:
        raise UserError(f"--trained-on {folder}: none of {len(files)} files is an image")
    is_test = np.arange(len(names)) < tests
    seen, duplicate_of, orientation = _match(fingerprints, is_test, ~is_test, names)
    return Seen((folder.name,), len(names) - tests, len(files) - len(names) + tests, seen, duplicate_of, orientation)


def compare_seen(tests: Predictions, found: Seen) -> TrainedOn:
    """Return the accuracy on seen and unseen test images of each source and of all, with intervals over groups.

    Args:
        tests: the predictions of all test images, in the dataset's order.
        found: which of them are seen.
    """
    masks = {source: tests.sources == source for source in tests.source_names}
    masks |= {POOLED: np.ones(len(tests), bool)}
    return TrainedOn(
        training_sets=list(found.training_sets),
        images=found.images,
        not_compared=found.not_compared,
        sets={name: _part(tests.where(mask), found.seen[mask]) for name, mask in masks.items()},
    )


def _part(tests: Predictions, seen: np.ndarray) -> SeenPart:
    correct = tests.predicted == tests.labels
    draws = [
        (weighted_proportion(correct, seen, weights), weighted_proportion(correct, ~seen, weights))
        for weights in cluster_bootstrap(tests.groups, tests.labels, BOOTSTRAP_SEED)
    ]
    drawn_seen, drawn_unseen = (np.concatenate(side) for side in zip(*draws, strict=True))
    first = _accuracy(tests.where(seen), drawn_seen)
    second = _accuracy(tests.where(~seen), drawn_unseen)
    difference = _difference(first, second, drawn_seen - drawn_unseen) if first and second else None
    return SeenPart(int(seen.sum()), first, int((~seen).sum()), second, difference)


def _difference(first: Estimate, second: Estimate, drawn: np.ndarray) -> Estimate:
    """Return the difference of two accuracies with its interval.

    If all images of a part are right, or none, the bootstrap does not see how uncertain that part is. The interval then
    combines the two parts' own intervals by square-and-add (Newcombe 1998, Statistics in Medicine 17, 873-890). There
    is none if one of the parts has none.
    """
    value = first.value - second.value
    low, high, other_low, other_high = first.low, first.high, second.low, second.high
    if low is None or high is None or other_low is None or other_high is None:
        return Estimate(value)
    if {first.value, second.value} & {0.0, 1.0}:
        below = np.hypot(first.value - low, other_high - second.value)
        above = np.hypot(high - first.value, second.value - other_low)
        return Estimate(value, float(value - below), float(value + above))
    return Estimate(value, *(percentile_ci(drawn) or ()))


def _accuracy(part: Predictions, drawn: np.ndarray) -> Estimate | None:
    correct = part.predicted == part.labels
    return Estimate(float(correct.mean()), *(proportion_ci(drawn, correct, part.groups) or ())) if len(part) else None


def _is_training(filename: str, split: str) -> bool:
    """Whether a file is in a published training set, by its folders or else by its split in a published one."""
    folders = (SPLITS.get(part.casefold()) for part in PurePosixPath(filename).parts[:-1])
    named = next((name for name in folders if name), None)
    return named in _TRAINING if named else bool(split) and kind_of(split) != TEST


def _stored(dataset: Dataset, splits: Sequence[str]) -> Iterator[Fingerprint]:
    """Yield the fingerprint of each stored image; its sha256 is that of the source's pixels."""
    batches = sum(-(-dataset.count(split) // _BATCH) for split in splits)
    for images, facts in track(dataset.records(splits, _BATCH), "comparing with the training set", batches):
        for image, sha256 in zip(images, facts.sha256.tolist(), strict=True):
            yield replace(fingerprint(image[:, :, 0] if image.shape[2] == 1 else image), sha256=sha256)


def _match(
    fingerprints: Fingerprints, is_test: np.ndarray, in_training: np.ndarray, files: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each test image whether it is seen, a training image that it duplicates, and how that is turned."""
    pairs = find_duplicates(fingerprints).pairs
    groups = connected_groups(len(fingerprints), pairs)
    training = np.flatnonzero(in_training)
    seen = np.isin(groups, groups[training])
    # From the weakest evidence to the strongest: a chain, a pair of duplicates, the image itself.
    member = dict(zip(groups[training].tolist(), training.tolist(), strict=True))
    origin = {image: (member[groups[image]], "") for image in np.flatnonzero(seen & is_test).tolist()}
    for pair in sorted(pairs, key=lambda pair: pair.similarity):
        for image, other in ((pair.a, pair.b), (pair.b, pair.a)):
            if is_test[image] and in_training[other]:
                origin[image] = (other, pair.orientation)
    for image in np.flatnonzero(in_training & is_test).tolist():
        origin[image] = (image, "id")
    tested = np.flatnonzero(is_test).tolist()
    of = [files[origin[image][0]] if image in origin else "" for image in tested]
    turned = [origin[image][1] if image in origin else "" for image in tested]
    return seen[is_test], np.array(of), np.array(turned)
