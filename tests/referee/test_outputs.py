"""What somebody else's outputs are taken for, and which evaluations of functions and tables are told apart."""

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import special

import fastmri_cls as fc
from fastmri_cls.comparison.runs import group_into_systems, read_runs
from fastmri_cls.dataset import Dataset
from fastmri_cls.referee.judging import judge
from fastmri_cls.referee.predicting import as_probabilities

pytestmark = pytest.mark.slow

LOGITS = [[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]]


@pytest.mark.parametrize(
    ("outputs", "expected", "name"),
    [
        ([[0.7, 0.2, 0.1], [0, 1, 0]], [[0.7, 0.2, 0.1], [0, 1, 0]], "probabilities"),
        ([[1.0000001, 0, -1e-8], [0.3, 0.3, 0.4]], [[1, 0, 0], [0.3, 0.3, 0.4]], "probabilities"),
        ([[70, 20, 10], [33, 33, 33]], [[0.7, 0.2, 0.1], [1 / 3, 1 / 3, 1 / 3]], "percentages"),
        ([[0.5, 0.5, 1], [0, 0, 0]], [[0.25, 0.25, 0.5], [1 / 3, 1 / 3, 1 / 3]], "scores"),
        (LOGITS, special.softmax(LOGITS, axis=1), "logits"),
        ([[70, 20, 10], [90, 20, 10]], special.softmax([[70, 20, 10], [90, 20, 10]], axis=1), "logits"),
    ],
)
def test_outputs_become_probabilities_by_their_range_and_their_sums(outputs, expected, name):
    found, what = as_probabilities(np.array(outputs, np.float32))
    assert what.startswith(name)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def certain(label: int):
    """A function that names one class for every image."""
    return lambda images: np.eye(4)[np.full(len(images), label)]


def test_another_function_does_not_replace_the_results_of_the_first(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastmri_cls.referee.run.result_figures", lambda *_: {})  # take most of the time
    first = fc.evaluate(certain(0), data, tmp_path / "a", classes=data.classes)
    again = fc.evaluate(certain(0), data, tmp_path / "a", classes=data.classes)
    assert again.metrics == first.metrics
    with pytest.raises(fc.UserError, match=r"a: exists already, .*; choose another"):
        fc.evaluate(certain(1), data, tmp_path / "a", classes=data.classes)
    fc.evaluate(certain(1), data, tmp_path / "b", classes=data.classes)
    systems = group_into_systems(read_runs([tmp_path / "a", tmp_path / "b"]))
    assert [system.name for system in systems] == ["function, folder a", "function, folder b"]
    fc.evaluate(certain(1), data, tmp_path / "c", classes=data.classes)
    with pytest.raises(fc.UserError, match=r"c: is of the same model as .*b; leave one out"):
        group_into_systems(read_runs([tmp_path / "b", tmp_path / "c"]))


def test_a_table_without_some_validation_images_says_why_nothing_is_calibrated(data, tmp_path) -> None:
    facts = data.facts([*data.manifest.test_splits, "val"])
    columns = (facts.sources.tolist(), facts.filenames.tolist(), facts.class_names.tolist())
    files = list(zip(*columns, strict=True))[:-1]
    spelt = {"notumor": "no_tumor"}  # another spelling is not another label
    with (tmp_path / "theirs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "filename", "label", *data.classes])
        writer.writerows([source, name, spelt.get(label, label), 0.4, 0.3, 0.2, 0.1] for source, name, label in files)
    found = judge(tmp_path / "theirs.csv", data, None, None)
    count = data.count("val")
    assert found.validation is None
    assert found.notes == (
        f"The table has rows for {count - 1} of {count} validation images. A calibration needs all of them, so there "
        "is none.",
    )
