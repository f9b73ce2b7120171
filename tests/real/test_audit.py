"""The audit on the real sets, against the plain rule computed without any of its shortcuts."""

import numpy as np
import pytest

from benchmarks.audit import plain_rule_pairs
from fastmri_cls.duplicates.pairs import find_pairs
from fastmri_cls.records.catalogue import collect
from fastmri_cls.records.ingest import ingest
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import Source
from fastmri_cls.sources.scan import scan

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def catalogue(real_data):
    """1500 random images of both sets."""
    files = [
        file
        for name in ("nickparvar", "bhuvaji")
        for file in scan([Source(name, real_data / name)], ClassNames()).files
    ]
    chosen = np.sort(np.random.default_rng(0).permutation(len(files))[:1500])
    return collect(ingest([files[number] for number in chosen], None, workers=2))


@pytest.fixture(scope="module")
def found(catalogue):
    return {(pair.a, pair.b): pair for pair in find_pairs(catalogue.fingerprints)}


def test_pairs_are_those_of_whole_image_hashes_and_plain_thumbnails(catalogue, found):
    for name, expected in plain_rule_pairs([file.path for file in catalogue.files]).items():
        assert len(expected) > 200
        both = len(expected & found.keys())
        assert both / len(expected) >= 0.95, name
        assert both / len(found) >= 0.95, name


def test_most_copies_are_mirrored_or_turned(found):
    assert sum(pair.mirrored for pair in found.values()) > 0.5 * len(found)


def test_few_copies_have_another_label(catalogue, found):
    labels = catalogue.labels
    assert sum(labels[a] != labels[b] for a, b in found) < 0.02 * len(found)
