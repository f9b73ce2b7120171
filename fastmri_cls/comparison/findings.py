"""The numbers of a comparison in sentences: the best model, whether the others differ from it, and the baselines."""

from collections.abc import Mapping

from fastmri_cls.comparison.statistics import Difference, Numbers
from fastmri_cls.report.findings import baseline_findings

_SIGNIFICANT = 0.05


def findings_of(numbers: Numbers, baselines: Mapping[str, float]) -> list[str]:
    """Return the findings on all test images.

    Args:
        numbers: of the comparison.
        baselines: {shortcut baseline: accuracy on all test images}.
    """
    accuracies = numbers.sets["pooled"].by_system
    best = max(accuracies, key=lambda name: accuracies[name].value or 0.0)
    if len(accuracies) == 1:
        sentences = [f"{best} has an accuracy of {accuracies[best]} on all test images."]
    else:
        sentences = [f"{best} has the highest accuracy on all test images: {accuracies[best]}."]
    sentences += baseline_findings(accuracies, baselines)
    sentences += [_difference(numbers, d, best) for d in numbers.differences if best in (d.first, d.second)]
    return sentences


def _difference(numbers: Numbers, difference: Difference, best: str) -> str:
    """Say whether the data show a difference between the best system and another."""
    first, second, found = difference.first, difference.second, difference.accuracy
    other = second if first == best else first
    excludes_zero = found.low is not None and found.high is not None and not found.low <= 0 <= found.high
    claim = (
        f"{best} is more accurate than {other}"
        if excludes_zero
        else f"The data do not show a difference in accuracy between {best} and {other}"
    )
    tests = [test for test in numbers.tests if (test.first, test.second) == (first, second)]
    significant = sum(test.mcnemar_holm is not None and test.mcnemar_holm < _SIGNIFICANT for test in tests)
    runs = "1 pair" if len(tests) == 1 else f"{len(tests)} pairs"
    return (
        f"{claim}: {first} minus {second} is {found}. McNemar's test with Holm's correction gives p < {_SIGNIFICANT} "
        f"in {significant} of {runs} of runs."
    )
