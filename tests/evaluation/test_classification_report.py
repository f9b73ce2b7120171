"""`fc.classification_report` of plain arrays is what metrics.json says of predictions."""

import numpy as np
import pytest

from fastmri_cls.evaluation.metrics import classification_report, set_metrics
from fastmri_cls.foundation.errors import UserError
from tests.evaluation.drawn import CLASSES, predictions

pytestmark = pytest.mark.slow


def test_a_report_of_arrays_is_that_of_predictions():
    p = predictions()
    by_index = classification_report(p.labels, p.probabilities, groups=p.groups, classes=CLASSES)
    assert by_index == set_metrics(p)
    names = np.array(CLASSES)[p.labels].tolist()
    patients = [f"patient {group}" for group in p.groups]  # another order of groups: other draws
    by_name = classification_report(names, p.probabilities.tolist(), groups=patients)
    assert by_name.accuracy.value == by_index.accuracy.value
    assert list(by_name.per_class) == list(CLASSES)
    assert by_name.accuracy.low == pytest.approx(by_index.accuracy.low, abs=0.01)


def test_copies_narrow_the_interval_of_a_report_only_if_it_is_not_told_of_them():
    p = predictions(200)
    labels, probabilities, originals = (np.repeat(a, 5, axis=0) for a in (p.labels, p.probabilities, np.arange(200)))
    single, told, untold = (
        report.accuracy.high - report.accuracy.low
        for report in (
            classification_report(p.labels, p.probabilities),
            classification_report(labels, probabilities, groups=originals),
            classification_report(labels, probabilities),
        )
    )
    assert told == pytest.approx(single, rel=0.15)
    assert untold == pytest.approx(single / np.sqrt(5), rel=0.15)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"y_prob": [0.2, 0.8]}, r"y_prob: shape \(2,\)"),
        ({"y_prob": [[1.0], [1.0]]}, r"y_prob: shape \(2, 1\)"),
        ({"y_prob": [[0.5, 0.5], [0.2, 0.3]]}, r"y_prob: row 1 is \[0\.2, 0\.3\]"),
        ({"y_prob": [[1.5, -0.5], [0.2, 0.8]]}, "y_prob: row 0"),
        ({"y_prob": [[float("nan"), 1], [0.2, 0.8]]}, "y_prob: row 0"),
        ({"y_true": [0, 2]}, "y_true: label 2 is none of the 2 classes 0, 1"),
        ({"y_true": [-1, 1]}, "y_true: label -1"),
        ({"y_true": [0]}, r"y_true: shape \(1,\)"),
        ({"y_true": [0.0, 1.0]}, "y_true: float64 labels"),
        ({"y_true": ["a", "c"], "classes": ["a", "b"]}, "y_true: label c"),
        ({"y_true": ["a", "a"]}, "classes: a; y_prob has 2 columns"),
        ({"classes": ["a", "a"]}, "classes: a, a; y_prob has 2 columns"),
        ({"groups": [1]}, r"groups: shape \(1,\)"),
        ({"draws": 0}, "draws: 0"),
        ({"y_prob": [[0.5, 0.5], [1.0]]}, "y_prob: its rows differ in length"),
        ({"y_prob": [["a", "b"], ["c", "d"]]}, "y_prob: holds values that are no numbers"),
        ({"groups": ["a", None]}, r"groups: no group for 1 of 2 images \(the first: number 1\)"),
        ({"groups": ["a", float("nan")]}, "groups: no group for 1 of 2 images"),
        ({"groups": [float("nan"), float("nan")]}, "groups: no group for 2 of 2 images"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_by_name(changes, problem):
    arguments = {"y_true": [0, 1], "y_prob": [[0.6, 0.4], [0.2, 0.8]]} | changes
    with pytest.raises(UserError, match=f"^{problem}"):
        classification_report(**arguments)


def test_names_and_groups_as_pandas_has_them_are_those_of_numpy():
    names, groups, y_prob = ["a", "b", "b"], ["x", "y", 3], [[0.6, 0.4], [0.2, 0.8], [0.9, 0.1]]
    expected = classification_report(names, y_prob, groups=["x", "y", "3"], draws=50)
    found = classification_report(np.array(names, object), y_prob, groups=np.array(groups, object), draws=50)
    assert found == expected
