"""Which test images lie in a training set, and what a model is worth on the others."""

from dataclasses import replace

import numpy as np
import pytest

from fastmri_cls.dataset import Dataset
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.images_csv import read_images_csv
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.referee.trained_on import Seen, compare_seen, seen_in_folder, seen_in_published_training
from fastmri_cls.report.trained_on import trained_on_findings
from fastmri_cls.runs.metrics import SeenPart, TrainedOn
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
from tests.comparison_runs import make_predictions

pytestmark = pytest.mark.slow


def test_seen_images_are_those_whose_group_reaches_into_the_published_training_folders(data, phantom_sources):
    """The dataset has no patients, so that its groups, made by the build from the files, are an independent count."""
    rows = read_images_csv(data.path)
    groups = {row.group for row in rows if row.filename.startswith("Training/")}
    facts = data.facts(data.manifest.test_splits)
    expected = np.isin(facts.groups, list(groups))
    found = seen_in_published_training(data, ())
    assert 0 < expected.sum() < len(expected)
    assert found.seen.tolist() == expected.tolist()
    assert [name.startswith(f"{s}/Training/") for name, s in zip(found.duplicate_of, facts.sources, strict=True)].count(
        True
    )
    assert ((found.duplicate_of != "") == found.seen).all()


def test_training_images_that_the_dataset_leaves_out_are_seen_by_their_groups(phantom_sources, tmp_path):
    sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
    found = {}
    for leakage in ("report", "drop"):
        options = BuildOptions(image_size=64, splitting=SplitOptions("published", leakage=leakage))
        build_dataset(sources, ClassNames(), options, tmp_path / leakage, workers=1)
        found[leakage] = seen_in_published_training(Dataset(tmp_path / leakage), ())
    assert found["report"].seen.any()
    assert found["drop"].seen.tolist() == found["report"].seen.tolist()
    assert found["drop"].not_compared == 0
    assert ((found["drop"].duplicate_of != "") == found["drop"].seen).all()


def test_images_that_could_not_be_compared_are_in_the_finding():
    part = SeenPart(0, None, 10, None, None)
    (sentence,) = trained_on_findings(TrainedOn(["a: Training"], 100, 7, {"pooled": part}))
    assert "7 of the training images could not be compared" in sentence
    (sentence,) = trained_on_findings(TrainedOn(["a: Training"], 100, 0, {"pooled": part}))
    assert "compared" not in sentence


def test_a_training_set_elsewhere_is_compared_in_every_orientation(data, tmp_path):
    from PIL import Image

    splits = data.manifest.test_splits
    facts = data.facts(splits)
    images = data.images(splits, range(3))
    for number, turn in enumerate((np.fliplr, np.flipud, lambda image: np.rot90(image, 2))):
        folder = tmp_path / "theirs" / facts.class_names[number]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(turn(images[number][:, :, 0]))).save(folder / f"{number}.png")
    found = seen_in_folder(data, tmp_path / "theirs")
    assert found.seen[:3].all()
    same_group = np.isin(facts.groups, facts.groups[:3])
    assert found.seen.tolist() == same_group.tolist()
    assert found.orientation[:3].tolist() == ["hflip", "vflip", "rot180"]


def test_the_difference_between_seen_and_unseen_is_that_of_the_two_accuracies():
    tests = make_predictions()
    seen = np.arange(len(tests)) % 4 < 2
    wrong = tests.probabilities[:, ::-1]
    tests = replace(tests, probabilities=np.where(seen[:, None], tests.probabilities, wrong))
    blank = np.full(len(tests), "")
    part = compare_seen(tests, Seen(("alpha",), 10, 0, seen, blank, blank)).sets["pooled"]
    correct = tests.predicted == tests.labels
    assert part.seen_accuracy.value == correct[seen].mean()
    assert part.difference.value == pytest.approx(correct[seen].mean() - correct[~seen].mean())
    assert 0 < part.difference.low < part.difference.value < part.difference.high


def test_a_part_without_an_error_has_an_interval_of_the_difference_all_the_same():
    tests = make_predictions()
    truth = np.eye(4, dtype=np.float32)[tests.labels]
    seen = np.arange(len(tests)) % 4 < 2
    blank = np.full(len(tests), "")
    part = compare_seen(replace(tests, probabilities=truth), Seen(("a",), 10, 0, seen, blank, blank)).sets["pooled"]
    assert part.difference.value == 0
    # Newcombe's square-and-add of two exact intervals [low, 1] of 40 groups each.
    width = 1 - part.seen_accuracy.low
    assert (part.difference.low, part.difference.high) == pytest.approx((-width, width))
