"""Systems -> the numbers of a comparison: accuracies and AUCs with intervals, their differences, paired tests.

All systems are evaluated on the same bootstrap draws of groups, so that the difference of two systems is paired within
each draw. The accuracy or AUC of a system is the mean over its repeats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from fastmri_cls.comparison.runs import ComparedRun, System, joined_groups
from fastmri_cls.evaluation.metrics import BOOTSTRAP_SEED
from fastmri_cls.evaluation.paired import DeLong, McNemar, delong_macro, detectable_difference, holm, mcnemar
from fastmri_cls.evaluation.sets import evaluation_sets
from fastmri_cls.evaluation.statistics import (
    cluster_bootstrap,
    difference_ci,
    percentile_ci,
    proportion_ci,
    weighted_accuracy,
    weighted_auc_macro,
)
from fastmri_cls.runs.metrics import Estimate
from fastmri_cls.runs.predictions import Predictions

_POOLED, _MEAN, _AUC = "pooled", "mean", "auc"


@dataclass(frozen=True)
class SetAccuracies:
    """Accuracies on one test set.

    Attributes:
        images: how many images the set has.
        by_system: {system: accuracy}.
    """

    images: int
    by_system: dict[str, Estimate]


@dataclass(frozen=True)
class Difference:
    """First system minus second on all test images; 95 % intervals from a bootstrap over groups.

    Attributes:
        first: name of the first system.
        second: name of the second system.
        accuracy: difference of the accuracies.
        auc: difference of the macro AUCs; None if one of them is not defined.
        detectable: the smallest difference of the accuracies that these images can show, see `detectable_difference`.
    """

    first: str
    second: str
    accuracy: Estimate
    auc: Estimate | None
    detectable: float | None


@dataclass(frozen=True)
class PairedTest:
    """One repeat of a system against one repeat of another.

    Attributes:
        first: name of the first system.
        second: name of the second system.
        repeat: seed and fold of both.
        mcnemar: test of the accuracies.
        mcnemar_holm: its p-value, corrected by Holm for all tests of the comparison.
        delong: test of the macro AUCs.
        delong_holm: its p-value, corrected likewise; None if the test is not defined.
    """

    first: str
    second: str
    repeat: str
    mcnemar: McNemar
    mcnemar_holm: float | None
    delong: DeLong
    delong_holm: float | None


@dataclass(frozen=True)
class Numbers:
    """The numbers of a comparison.

    Attributes:
        sources: names of the sources of test images.
        sets: {test set: accuracies}, with `pooled` and `mean` last.
        auc: {system: macro AUC on all test images}; None if it is not defined.
        differences: of all pairs of systems.
        tests: of all pairs of systems, repeat by repeat.
        are_groups_joined: whether the runs know different groups of the test images, see `joined_groups`.
    """

    sources: list[str]
    sets: dict[str, SetAccuracies]
    auc: dict[str, Estimate | None]
    differences: list[Difference]
    tests: list[PairedTest]
    are_groups_joined: bool = False

    @property
    def shown_sets(self) -> dict[str, SetAccuracies]:
        """The sets to show: with a single source, `pooled` and `mean` equal that source and are omitted."""
        omitted = (_POOLED, _MEAN) if len(self.sources) == 1 else ()
        return {name: accuracies for name, accuracies in self.sets.items() if name not in omitted}


def compute(systems: Sequence[System]) -> Numbers:
    """Return the numbers of `systems`; the predictions of all runs must be in the same order."""
    runs = [run for system in systems for run in system.runs]
    groups, are_joined = joined_groups(runs)
    first = replace(runs[0].tests, groups=groups)
    correct = np.stack([run.tests.predicted == run.tests.labels for run in runs])
    sets = _common_sets(runs)
    draws = {
        name: np.concatenate(
            [weighted_accuracies(correct[:, chosen], weights) for weights in _weights(first.where(chosen))], axis=1
        )
        for name, chosen in sets.items()
    }
    means, auc_blocks = [], []
    for weights in _weights(first):
        by_source = [weighted_accuracies(correct[:, sets[name]], weights[:, sets[name]]) for name in first.source_names]
        means.append(np.mean(by_source, axis=0))
        auc_blocks.append(
            np.stack([weighted_auc_macro(first.labels, run.tests.probabilities, weights) for run in runs])
        )
    draws |= {_MEAN: np.concatenate(means, axis=1), _AUC: np.concatenate(auc_blocks, axis=1)}
    rows = _rows_of(systems)
    accuracies = {
        name: SetAccuracies(
            int(chosen.sum()),
            {
                system: _accuracy(correct[rows[system]][:, chosen], draws[name][rows[system]], first.groups[chosen])
                for system in rows
            },
        )
        for name, chosen in sets.items()
    }
    macro_aucs = [run.metrics[_POOLED].auc_macro for run in runs]
    aucs = np.array([estimate.value if estimate else np.nan for estimate in macro_aucs])
    return Numbers(
        first.source_names,
        accuracies | {_MEAN: _mean_of_sources(rows, correct, draws[_MEAN], sets, first)},
        {
            system: _estimate(aucs[chosen].mean(), percentile_ci(draws[_AUC][chosen].mean(axis=0)), _sd(aucs[chosen]))
            for system, chosen in rows.items()
        },
        [_difference(a, b, rows, correct, aucs, draws, first.groups) for a, b in combinations(rows, 2)],
        paired_tests(systems),
        are_joined,
    )


def _weights(p: Predictions) -> Iterator[np.ndarray]:
    """Yield the bootstrap draws that the intervals of metrics.json come from too."""
    return cluster_bootstrap(p.groups, p.labels, BOOTSTRAP_SEED)


def weighted_accuracies(correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [runs, draws], the accuracy of `correct` bool [runs, n] in draws with `weights` [draws, n]."""
    return np.stack([weighted_accuracy(run, weights) for run in correct])


def paired_tests(systems: Sequence[System]) -> list[PairedTest]:
    """Return the tests of all pairs of systems on all test images, repeat by repeat."""
    pairs = [(a, b, *pair) for a, b in combinations(systems, 2) for pair in _paired_repeats(a, b)]
    accuracy, auc = [], []
    for _, _, one, other in pairs:
        labels = one.tests.labels
        accuracy.append(mcnemar(one.tests.predicted == labels, other.tests.predicted == labels))
        auc.append(delong_macro(labels, one.tests.probabilities, other.tests.probabilities))
    accuracy_holm, auc_holm = holm([test.p for test in accuracy]), holm([test.p for test in auc])
    return [
        PairedTest(a.name, b.name, _name_of_pair(one, other), accuracy[i], accuracy_holm[i], auc[i], auc_holm[i])
        for i, (a, b, one, other) in enumerate(pairs)
    ]


def _paired_repeats(a: System, b: System) -> list[tuple[ComparedRun, ComparedRun]]:
    """Return the repeats of equal seed and fold; if the systems share none, pair them in order."""
    by_repeat = {run.repeat: run for run in b.runs}
    same = [(run, by_repeat[run.repeat]) for run in a.runs if run.repeat in by_repeat]
    return same or list(zip(a.runs, b.runs, strict=False))


def _name_of_pair(one: ComparedRun, other: ComparedRun) -> str:
    return one.repeat_name if one.repeat == other.repeat else f"{one.repeat_name} / {other.repeat_name}"


def _common_sets(runs: Sequence[ComparedRun]) -> dict[str, np.ndarray]:
    """Return the test sets, bool [n] each; an image is clean if it is clean for every run."""
    clean = np.all([run.tests.clean for run in runs], axis=0)
    tests = runs[0].tests
    return evaluation_sets(replace(tests, clean=clean))


def _rows_of(systems: Sequence[System]) -> dict[str, slice]:
    """Return the rows that each system has in an array over all runs."""
    ends = np.cumsum([len(system.runs) for system in systems]).tolist()
    return {s.name: slice(end - len(s.runs), end) for s, end in zip(systems, ends, strict=True)}


def _accuracy(correct: np.ndarray, drawn: np.ndarray, groups: np.ndarray) -> Estimate:
    """Return a system's accuracy on one set.

    Args:
        correct: bool [repeats, n].
        drawn: float [repeats, draws], the accuracy in each bootstrap draw.
        groups: int [n].
    """
    by_repeat = correct.mean(axis=1)
    low, high = proportion_ci(drawn.mean(axis=0), correct.ravel(), np.tile(groups, len(correct))) or (None, None)
    return Estimate(float(by_repeat.mean()), low, high, _sd(by_repeat))


def _mean_of_sources(
    rows: dict[str, slice], correct: np.ndarray, drawn: np.ndarray, sets: dict[str, np.ndarray], first: Predictions
) -> SetAccuracies:
    """Return the mean over the sources; each source has the same weight.

    Args:
        rows: {system: its rows of `correct` and `drawn`}.
        correct: bool [runs, n].
        drawn: float [runs, draws], the mean over the sources in each bootstrap draw.
        sets: {test set: its images, bool [n]}.
        first: predictions of the first run, for sources and groups.
    """
    by_run = np.mean([correct[:, sets[name]].mean(axis=1) for name in first.source_names], axis=0)
    found = {}
    for system, chosen in rows.items():
        repeats = correct[chosen]
        bounds = proportion_ci(drawn[chosen].mean(axis=0), repeats.ravel(), np.tile(first.groups, len(repeats)))
        low, high = bounds or (None, None)
        found[system] = Estimate(float(by_run[chosen].mean()), low, high, _sd(by_run[chosen]))
    return SetAccuracies(len(first), found)


def _difference(
    a: str,
    b: str,
    rows: dict[str, slice],
    correct: np.ndarray,
    aucs: np.ndarray,
    draws: dict[str, np.ndarray],
    groups: np.ndarray,
) -> Difference:
    def drawn(name: str) -> np.ndarray:
        return np.asarray(draws[name][rows[a]].mean(axis=0) - draws[name][rows[b]].mean(axis=0))

    by_image = correct[rows[a]].mean(axis=0) - correct[rows[b]].mean(axis=0)
    accuracy = _estimate(by_image.mean(), difference_ci(drawn(_POOLED), by_image, groups))
    assert accuracy is not None  # an accuracy is always defined
    auc = _estimate(aucs[rows[a]].mean() - aucs[rows[b]].mean(), percentile_ci(drawn(_AUC)))
    return Difference(a, b, accuracy, auc, detectable_difference(by_image, float(drawn(_POOLED).std(ddof=1))))


def _estimate(value: float, bounds: Sequence[float] | None, sd: float | None = None) -> Estimate | None:
    """Return an estimate; None if the value is not defined (NaN)."""
    low, high = bounds or (None, None)
    return Estimate(float(value), low, high, sd) if np.isfinite(value) else None


def _sd(values: np.ndarray) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
