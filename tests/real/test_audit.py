"""The audit on the real sets, against the plain rule computed without any of its shortcuts."""

import numpy as np
import pytest

from benchmarks.audit import all_pairs, plain_rule_pairs
from fastmri_cls.auditing.leakage import Columns, count_groups, count_leaks
from fastmri_cls.duplicates.groups import connected_groups
from fastmri_cls.duplicates.pairs import Duplicates, find_duplicates
from fastmri_cls.foundation.cpu import available_cores
from fastmri_cls.records.catalogue import collect
from fastmri_cls.records.ingest import ingest
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.scan import scan

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def catalogue(real_data):
    """1500 random images of both sets."""
    files = scan([Source(name, real_data / name) for name in ("nickparvar", "bhuvaji")], ClassNames()).files
    chosen = np.sort(np.random.default_rng(0).permutation(len(files))[:1500])
    return collect(ingest([files[number] for number in chosen], None, workers=2))


@pytest.fixture(scope="module")
def duplicates(catalogue) -> Duplicates:
    return find_duplicates(catalogue.fingerprints)


def test_pairs_are_those_of_whole_image_hashes_and_plain_thumbnails(catalogue, duplicates):
    found = all_pairs(duplicates)
    for name, expected in plain_rule_pairs([file.path for file in catalogue.files]).items():
        assert len(expected) > 200
        both = len(expected & found)
        assert both / len(expected) >= 0.95, name
        assert both / len(found) >= 0.95, name


def test_most_duplicates_are_mirrored_or_turned(duplicates):
    assert sum(pair.mirrored for pair in duplicates.pairs) > 0.5 * len(duplicates.pairs)


def test_few_duplicates_have_another_label(catalogue, duplicates):
    labels = catalogue.labels
    assert sum(labels[pair.a] != labels[pair.b] for pair in duplicates.pairs) < 0.02 * len(duplicates.pairs)


def test_the_published_groups_of_the_whole_sets_stay_as_they_are(real_data):
    """The figures of the docs, found before equal images were collapsed; no bound of the search is reached."""
    files = scan([Source(name, real_data / name) for name in ("nickparvar", "bhuvaji")], ClassNames()).files
    catalogue = collect(ingest(files, None, workers=available_cores()))
    duplicates = find_duplicates(catalogue.fingerprints)
    groups = connected_groups(len(catalogue), duplicates.pairs)
    columns = Columns(catalogue.sources, catalogue.given_splits, catalogue.labels)
    found = count_groups(groups, columns)
    assert (len(files), found["independent"], found["across_splits"], found["conflicting"]) == (10283, 3692, 885, 8)
    assert (duplicates.crowded, duplicates.cut) == (0, 0)
    assert count_leaks(duplicates, groups, columns)["nickparvar"]["any"] == {
        "exact": 216, "upright": 439, "mirrored": 524, "linked": 0, "clean": 132,
    }  # fmt: skip
