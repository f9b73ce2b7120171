"""The gallery of mistakes: which images, their pictures from source or shard, and a page that says what is missing."""

import base64
import io
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.templates import render
from fastmri_cls.report.mistakes import LEAST_SURE, WORST, find_mistakes, least_sure_hits, worst_errors
from fastmri_cls.report.test_images import source_images, stored_images
from fastmri_cls.runs.predictions import Predictions
from tests.comparison_runs import make_predictions


@pytest.fixture(scope="module")
def tests(dataset) -> Predictions:
    """Predictions of a poor model for all test images of `dataset`."""
    opened = Dataset(dataset)
    facts = opened.facts(opened.manifest.test_splits)
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), len(facts)).astype(np.float32)
    return Predictions(
        facts.splits, facts.sources, facts.filenames, facts.groups, facts.clean, facts.labels, drawn, opened.classes
    )


def size_of(uri: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size


def test_the_worst_errors_are_the_surest_and_the_least_sure_hits_the_least_sure():
    p = replace(make_predictions(), groups=np.arange(160))
    confidence, right = p.probabilities.max(axis=1), p.predicted == p.labels
    assert worst_errors(p) == sorted(np.flatnonzero(~right), key=lambda i: -confidence[i])[:WORST]
    assert least_sure_hits(p) == sorted(np.flatnonzero(right), key=lambda i: confidence[i])[:LEAST_SURE]


def test_duplicates_come_after_all_others():
    p = make_predictions(skill=0.5)  # groups of two
    first = worst_errors(p)[:WORST]
    assert len(set(p.groups[first])) == WORST


def test_pictures_have_the_size_of_the_source_and_are_the_stored_ones_without_it(dataset, tests, phantom_sources):
    opened = Dataset(dataset)
    keys = [(str(tests.sources[i]), str(tests.filenames[i])) for i in worst_errors(tests)]
    assert {image.shape[:2] for image in stored_images(opened, keys).values()} == {(64, 64)}
    found = source_images(opened, keys)
    assert set(found) == set(keys)
    for (source, filename), pixels in found.items():
        with Image.open(phantom_sources[source] / filename) as file:
            assert pixels.shape[1::-1] == file.size


def test_a_source_that_changed_is_not_shown_as_what_was_tested(dataset, tests, phantom_sources, tmp_path, monkeypatch):
    opened = Dataset(dataset)
    source, filename = str(tests.sources[0]), str(tests.filenames[0])
    shutil.copytree(phantom_sources[source], tmp_path / source)
    moved = [{**s, "path": str(tmp_path / s["name"])} for s in opened.manifest.sources]
    monkeypatch.setattr(opened, "manifest", replace(opened.manifest, sources=moved))
    assert source_images(opened, [(source, filename)])
    Image.new("L", (64, 64), 7).save(tmp_path / source / filename, "PNG")
    assert source_images(opened, [(source, filename)]) == {}
    (tmp_path / source / filename).unlink()
    assert source_images(opened, [(source, filename)]) == {}


def test_heat_maps_stand_beside_pictures_of_their_size(dataset, tests):
    asked = []

    def overlay(images, classes, pictures):
        asked.append((images.shape, classes.tolist()))
        return [np.zeros((*picture.shape[:2], 3), np.uint8) for picture in pictures]

    found = find_mistakes(tests, Dataset(dataset), overlay)
    shown = [*found.worst, *found.unsure]
    assert asked[0][0] == (len(shown), 64, 64, 1)
    assert [tests.classes[label] for label in asked[0][1]] == [image.predicted for image in shown]
    assert all(size_of(image.picture) == size_of(image.heat) for image in shown)
    assert found.without_heat == ""


def test_every_confusion_has_its_images_and_the_page_its_anchors(dataset, tests):
    found = find_mistakes(tests, Dataset(dataset), lambda *_: None)
    assert (
        sum(confusion.images for confusion in found.confusions)
        == found.errors
        == (tests.predicted != tests.labels).sum()
    )
    for confusion in found.confusions:
        assert {(image.truth, image.predicted) for image in confusion.shown} == {(confusion.truth, confusion.predicted)}
    page = render("report/templates/mistakes.html", mistakes=found)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(re.findall(r'id="([^"]+)"', page))
    assert page.count("<img") == page.count('alt="') > WORST
    assert "the memory of this machine did not suffice" in page
    assert found.worst[0].filename in page


def test_a_run_without_errors_says_so(dataset, tests):
    right = replace(tests, probabilities=np.eye(4, dtype=np.float32)[tests.labels] * 0.9 + 0.025)
    page = render("report/templates/mistakes.html", mistakes=find_mistakes(right, Dataset(dataset)))
    assert f"No error: all {len(tests)} test images are classified correctly." in page
    assert "Worst errors" not in page
    assert "Least sure hits" in page
