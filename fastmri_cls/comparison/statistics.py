"""Systems -> the numbers of a comparison: draws of the bootstrap shared by all of them, differences, paired tests.

Every system is judged in the same draws of groups, so that what one difference of two systems owes to the images they
share cancels. An accuracy or AUC of a system is the mean over its repeats.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from fastmri_cls.comparison.runs import Run, System
from fastmri_cls.evaluation.metrics import BOOTSTRAP_SEED, evaluation_sets
from fastmri_cls.evaluation.paired import DeLong, McNemar, delong_macro, holm, mcnemar
from fastmri_cls.evaluation.statistics import (
    bootstrap_weights,
    interval,
    share_interval,
    weighted_accuracy,
    weighted_auc_macro,
)
from fastmri_cls.report.text_tables import Estimate
from fastmri_cls.runs.predictions import Predictions

_POOLED, _MEAN, _AUC = "pooled", "mean", "auc"


@dataclass(frozen=True)
class SetAccuracies:
    """Accuracy on one test set, by system."""

    images: int
    by_system: dict[str, Estimate]


@dataclass(frozen=True)
class Difference:
    """First system minus second on all test images, with 95 % intervals from a bootstrap over groups."""

    first: str
    second: str
    accuracy: Estimate
    auc: Estimate


@dataclass(frozen=True)
class PairedTest:
    """One repeat of the first system against one of the second; Holm corrects for all tests of the comparison."""

    first: str
    second: str
    repeat: str
    mcnemar: McNemar
    mcnemar_holm: float | None
    delong: DeLong
    delong_holm: float | None


@dataclass(frozen=True)
class Numbers:
    """What a comparison computes from predictions: `sets` by name (`pooled` and `mean` last), AUC on all images."""

    sources: list[str]
    sets: dict[str, SetAccuracies]
    auc: dict[str, Estimate]
    differences: list[Difference]
    tests: list[PairedTest]

    @property
    def shown_sets(self) -> dict[str, SetAccuracies]:
        """The sets for people: of a single source, all images together and the mean are that source once more."""
        again = (_POOLED, _MEAN) if len(self.sources) == 1 else ()
        return {name: of_set for name, of_set in self.sets.items() if name not in again}


def compute(systems: Sequence[System]) -> Numbers:
    """Return the numbers of `systems`, whose runs have their predictions in one order."""
    runs = [run for system in systems for run in system.runs]
    first = runs[0].tests
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
        of_sources = [
            weighted_accuracies(correct[:, sets[name]], weights[:, sets[name]]) for name in first.source_names
        ]
        means.append(np.mean(of_sources, axis=0))
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
    aucs = np.array([_auc(run) for run in runs])
    return Numbers(
        first.source_names,
        accuracies | {_MEAN: _mean_of_sources(rows, correct, draws[_MEAN], sets, first)},
        {
            system: Estimate(float(aucs[chosen].mean()), interval(draws[_AUC][chosen].mean(axis=0)), _sd(aucs[chosen]))
            for system, chosen in rows.items()
        },
        [_difference(a, b, rows, correct.mean(axis=1), aucs, draws) for a, b in combinations(rows, 2)],
        paired_tests(systems),
    )


def _weights(p: Predictions) -> Iterator[np.ndarray]:
    """The draws metrics.json's intervals come from too."""
    return bootstrap_weights(p.groups, p.labels, BOOTSTRAP_SEED)


def weighted_accuracies(correct: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return float64 [runs, draws] of `correct` bool [runs, n] and `weights` [draws, n]."""
    return np.stack([weighted_accuracy(one, weights) for one in correct])


def paired_tests(systems: Sequence[System]) -> list[PairedTest]:
    """Return the tests of all pairs of systems, repeat by repeat, on all test images."""
    pairs = [(a, b, *pair) for a, b in combinations(systems, 2) for pair in _paired_repeats(a, b)]
    accuracy, auc = [], []
    for _, _, one, other in pairs:
        labels = one.tests.labels
        accuracy.append(mcnemar(one.tests.predicted == labels, other.tests.predicted == labels))
        auc.append(delong_macro(labels, one.tests.probabilities, other.tests.probabilities))
    corrected = holm([test.p for test in accuracy]), holm([test.p for test in auc])
    return [
        PairedTest(a.name, b.name, _name_of_pair(one, other), *of_accuracy, *of_auc)
        for (a, b, one, other), of_accuracy, of_auc in zip(
            pairs, zip(accuracy, corrected[0], strict=True), zip(auc, corrected[1], strict=True), strict=True
        )
    ]


def _paired_repeats(a: System, b: System) -> list[tuple[Run, Run]]:
    """The repeats of equal seed and fold; where the systems share none, in order."""
    by_repeat = {run.repeat: run for run in b.runs}
    same = [(run, by_repeat[run.repeat]) for run in a.runs if run.repeat in by_repeat]
    return same or list(zip(a.runs, b.runs, strict=False))


def _name_of_pair(one: Run, other: Run) -> str:
    return one.repeat_name if one.repeat == other.repeat else f"{one.repeat_name} / {other.repeat_name}"


def _common_sets(runs: Sequence[Run]) -> dict[str, np.ndarray]:
    """The test sets as bool [n]; an image is clean where it is for every run, whatever each was trained on."""
    clean = np.all([run.tests.clean for run in runs], axis=0)
    tests = runs[0].tests
    return evaluation_sets(replace(tests, clean=clean))


def _rows_of(systems: Sequence[System]) -> dict[str, slice]:
    """Return which rows of an array over all runs are a system's."""
    ends = np.cumsum([len(system.runs) for system in systems]).tolist()
    return {s.name: slice(end - len(s.runs), end) for s, end in zip(systems, ends, strict=True)}


def _accuracy(correct: np.ndarray, drawn: np.ndarray, groups: np.ndarray) -> Estimate:
    """Of `correct` bool [repeats, n] and draws [repeats, draws]."""
    by_repeat = correct.mean(axis=1)
    bounds = share_interval(drawn.mean(axis=0), correct.ravel(), np.tile(groups, len(correct)))
    return Estimate(float(by_repeat.mean()), bounds, _sd(by_repeat))


def _mean_of_sources(
    rows: dict[str, slice], correct: np.ndarray, drawn: np.ndarray, sets: dict[str, np.ndarray], first: Predictions
) -> SetAccuracies:
    """The mean of the test sets, each counting the same."""
    by_run = np.mean([correct[:, sets[name]].mean(axis=1) for name in first.source_names], axis=0)
    found = {}
    for system, chosen in rows.items():
        repeats = correct[chosen]
        bounds = share_interval(drawn[chosen].mean(axis=0), repeats.ravel(), np.tile(first.groups, len(repeats)))
        found[system] = Estimate(float(by_run[chosen].mean()), bounds, _sd(by_run[chosen]))
    return SetAccuracies(len(first), found)


def _difference(
    a: str, b: str, rows: dict[str, slice], accuracies: np.ndarray, aucs: np.ndarray, draws: dict[str, np.ndarray]
) -> Difference:
    def of(values: np.ndarray, drawn: np.ndarray) -> Estimate:
        value = values[rows[a]].mean() - values[rows[b]].mean()
        return Estimate(float(value), interval(drawn[rows[a]].mean(axis=0) - drawn[rows[b]].mean(axis=0)))

    return Difference(a, b, of(accuracies, draws[_POOLED]), of(aucs, draws[_AUC]))


def _auc(run: Run) -> float:
    """The macro AUC of all test images: the one draw in which every image is there once."""
    once = np.ones((1, len(run.tests)))
    return float(weighted_auc_macro(run.tests.labels, run.tests.probabilities, once)[0])


def _sd(values: np.ndarray) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
