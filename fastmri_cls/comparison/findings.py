"""The numbers of a comparison in sentences: the best model, the baselines, which models differ, what can be shown."""

from collections.abc import Mapping

from fastmri_cls.comparison.statistics import Difference, Numbers
from fastmri_cls.evaluation.paired import POWER, SIGNIFICANCE
from fastmri_cls.evaluation.sets import POOLED
from fastmri_cls.report.findings import baseline_findings, first_sentence, listed
from fastmri_cls.runs.metrics import Estimate


def findings_of(numbers: Numbers, baselines: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return the findings on all test images; the first sentence has the best model beside its baselines.

    Args:
        numbers: of the comparison.
        baselines: {system: {shortcut baseline: accuracy on all test images}}.
    """
    pooled = numbers.sets[POOLED]
    accuracies = pooled.by_system
    best = max(accuracies, key=lambda name: accuracies[name].value)
    is_alone = len(accuracies) == 1
    sentences = [first_sentence(_subject(best, accuracies), accuracies[best], pooled.images, baselines[best])]
    if all(of_system == baselines[best] for of_system in baselines.values()):
        sentences += baseline_findings(accuracies, baselines[best])
    else:
        sentences += _against_own_baselines(accuracies, baselines)
    sentences += [_difference(numbers, d, best) for d in numbers.differences if best in (d.first, d.second)]
    if is_alone:
        return sentences
    return [*sentences, *_other_pairs(numbers, best), _what_can_be_shown(numbers)]


def _subject(best: str, accuracies: Mapping[str, Estimate]) -> str:
    """Return the best model as the subject of a sentence that says of how many it is the best, and whether it ties."""
    if len(accuracies) == 1:
        return best
    equal = sum(found.value == accuracies[best].value for found in accuracies.values())
    if equal == len(accuracies):
        return f"One of {equal} equally accurate models, {best},"
    which = "The most accurate" if equal == 1 else f"One of the {equal} most accurate"
    return f"{which} of {len(accuracies)} models, {best},"


def _against_own_baselines(
    accuracies: Mapping[str, Estimate], baselines: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """Compare each system with the best baseline of its own training images, where these differ."""
    verdicts: dict[str, list[str]] = {"Clearly more": [], "Not clearly more": [], "Not more": []}
    for name, found in accuracies.items():
        if not baselines[name]:
            continue
        baseline, value = max(baselines[name].items(), key=lambda item: item[1])
        verdict = "Not more" if found.value <= value else "Clearly more"
        if verdict == "Clearly more" and (found.low or 0) <= value:
            verdict = "Not clearly more"
        verdicts[verdict].append(f"{name} ({baseline} {value:.3f})")
    return [
        f"{verdict} accurate than the best baseline without a network on the same training images: {'; '.join(names)}."
        for verdict, names in verdicts.items()
        if names
    ]


def _difference(numbers: Numbers, difference: Difference, best: str) -> str:
    """Say whether the data show a difference between the best system and another."""
    first, second = difference.first, difference.second
    other = second if first == best else first
    claim = (
        f"{best} is more accurate than {other}"
        if _is_shown(difference)
        else f"The data do not show a difference in accuracy between {best} and {other}"
    )
    tests = [test for test in numbers.tests if (test.first, test.second) == (first, second)]
    significant = sum(test.mcnemar_holm is not None and test.mcnemar_holm < SIGNIFICANCE for test in tests)
    runs = "1 pair" if len(tests) == 1 else f"{len(tests)} pairs"
    return (
        f"{claim}: {first} minus {second} is {difference.accuracy}. McNemar's test with Holm's correction gives "
        f"p < {SIGNIFICANCE} in {significant} of {runs} of runs."
    )


def _other_pairs(numbers: Numbers, best: str) -> list[str]:
    """Say which of the other systems differ from each other; nothing with two systems."""
    others = [d for d in numbers.differences if best not in (d.first, d.second)]
    if not others:
        return []
    differing = [f"{d.first} from {d.second}" for d in others if _is_shown(d)]
    if not differing:
        return ["The data show no difference between any two of the other models."]
    if len(others) == 1:
        return [f"{others[0].first} differs from {others[0].second}."]
    return [f"Of the {len(others)} pairs of the other models, {len(differing)} differ: {listed(differing)}."]


def _what_can_be_shown(numbers: Numbers) -> str:
    """Say how large a difference these test images can show at all."""
    known = sorted(d.detectable for d in numbers.differences if d.detectable is not None)
    if not known:
        return (
            "These test images cannot show any difference in accuracy between the models: there are too few, or the "
            "models agree on nearly all of them."
        )
    range_ = f"{known[0]:.3f}" if len(known) == 1 else f"{known[0]:.3f} to {known[-1]:.3f}, depending on the pair,"
    return (
        f"These test images can show a difference in accuracy of {range_} or more: it would be found in "
        f"{POWER:.0%} of such test sets (Connor 1987, with groups counted as in the intervals). Smaller differences "
        "mostly stay hidden."
    )


def _is_shown(difference: Difference) -> bool:
    """Whether the interval of the difference excludes 0."""
    found = difference.accuracy
    return found.low is not None and found.high is not None and not found.low <= 0 <= found.high
