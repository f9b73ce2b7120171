"""Every number of a comparison against scikit-learn, scipy and numpy called directly."""

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from fastmri_cls.comparison.disagreements import disagreements_table, find_disagreements
from fastmri_cls.comparison.findings import findings_of
from fastmri_cls.comparison.runs import System, group_into_systems, read_runs
from fastmri_cls.comparison.statistics import Numbers, compute
from fastmri_cls.comparison.tables import (
    classes_table,
    cost_table,
    differences_table,
    paired_tests_table,
    runs_table,
    sets_table,
    table_one,
)
from fastmri_cls.evaluation.paired import detectable_difference
from fastmri_cls.evaluation.statistics import cluster_bootstrap
from fastmri_cls.runs.metrics import Estimate
from fastmri_cls.runs.predictions import Predictions
from tests.comparison_runs import CLASSES, make_predictions, write_run

SKILLS = {"convnext-tiny": 3.0, "small-cnn": 1.4}


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> list[System]:
    """Two models with two seeds each, and one with a single run."""
    folder = tmp_path_factory.mktemp("runs")
    paths = [
        write_run(folder / f"{model}-{seed}", make_predictions(skill=skill, luck=seed), model=model, seed=seed)
        for model, skill in SKILLS.items()
        for seed in (0, 1)
    ]
    paths.append(write_run(folder / "densenet", make_predictions(skill=1.6, luck=7), model="densenet121-radimagenet"))
    return group_into_systems(read_runs(paths))


@pytest.fixture(scope="module")
def numbers(systems: list[System]) -> Numbers:
    return compute(systems)


def accuracy(p: Predictions) -> float:
    return float(metrics.accuracy_score(p.labels, p.predicted))


def auc(p: Predictions) -> float:
    return float(np.mean([metrics.roc_auc_score(p.labels == c, p.probabilities[:, c]) for c in range(4)]))


def redrawn(repeats: list[Predictions], metric: Callable[[Predictions], float]) -> np.ndarray:
    """The mean metric of `repeats` in every draw of the bootstrap, each draw written out as a set of images."""
    first = repeats[0]
    values = []
    for weights in np.concatenate(list(cluster_bootstrap(first.groups, first.labels, seed=0))):
        rows = np.repeat(np.arange(len(first)), weights.astype(int))
        values.append(np.mean([metric(p.where(rows)) for p in repeats]))
    return np.array(values)


def bounds(values: np.ndarray) -> list[float]:
    return np.quantile(values, (0.025, 0.975)).tolist()


@pytest.mark.slow
def test_a_systems_accuracy_is_the_mean_of_its_repeats_with_their_deviation(systems, numbers):
    for system in systems:
        values = [accuracy(p) for p in system.all_tests]
        found = numbers.sets["pooled"].by_system[system.name]
        assert found.value == pytest.approx(np.mean(values))
        assert found.sd == (pytest.approx(np.std(values, ddof=1)) if len(values) > 1 else None)
        assert numbers.auc[system.name].value == pytest.approx(np.mean([auc(p) for p in system.all_tests]))


@pytest.mark.slow
def test_its_interval_is_that_of_the_mean_over_redrawn_groups(systems, numbers):
    system = systems[0]
    found = numbers.sets["pooled"].by_system[system.name]
    assert [found.low, found.high] == pytest.approx(bounds(redrawn(system.all_tests, accuracy)))


def test_the_interval_of_a_single_run_is_that_of_its_metrics_json(systems, numbers):
    (run,) = systems[2].runs
    name = systems[2].name
    for set_name, found in run.metrics.tests.items():
        mine = numbers.sets[set_name].by_system[name]
        assert mine.value == pytest.approx(found.accuracy.value)
        assert [mine.low, mine.high] == pytest.approx([found.accuracy.low, found.accuracy.high])
    auc, own = numbers.auc[name], run.metrics["pooled"].auc_macro
    assert [auc.low, auc.high] == pytest.approx([own.low, own.high])


def test_every_test_set_is_there_and_the_mean_weighs_sources_the_same(systems, numbers):
    assert list(numbers.sets) == ["alpha", "alpha-clean", "beta", "beta-clean", "pooled", "mean"]
    for system in systems:
        by_source = [
            np.mean([accuracy(p.where(p.sources == source)) for p in system.all_tests]) for source in ("alpha", "beta")
        ]
        assert numbers.sets["alpha"].by_system[system.name].value == pytest.approx(by_source[0])
        assert numbers.sets["mean"].by_system[system.name].value == pytest.approx(np.mean(by_source))
        clean = [accuracy(p.where((p.sources == "beta") & p.clean)) for p in system.all_tests]
        assert numbers.sets["beta-clean"].by_system[system.name].value == pytest.approx(np.mean(clean))


@pytest.mark.slow
def test_differences_are_taken_within_each_draw(systems, numbers):
    first, second = systems[:2]
    (found,) = [d for d in numbers.differences if (d.first, d.second) == (first.name, second.name)]
    drawn = redrawn(first.all_tests, accuracy) - redrawn(second.all_tests, accuracy)
    assert [found.accuracy.low, found.accuracy.high] == pytest.approx(bounds(drawn))
    values = [np.mean([auc(p) for p in system.all_tests]) for system in (first, second)]
    assert found.auc.value == pytest.approx(values[0] - values[1])
    assert len(numbers.differences) == 3
    right = [np.mean([p.predicted == p.labels for p in system.all_tests], axis=0) for system in (first, second)]
    assert found.detectable == pytest.approx(detectable_difference(right[0] - right[1], np.std(drawn, ddof=1)))


def test_paired_tests_run_over_equal_seeds_and_holm_over_all_of_them(systems, numbers):
    seeds = [(test.first, test.second, test.repeat) for test in numbers.tests]
    a, b, c = (system.name for system in systems)
    assert seeds == [(a, b, "seed 0"), (a, b, "seed 1"), (a, c, "seed 0"), (b, c, "seed 0")]
    p_values = []
    for test in numbers.tests:
        pair = [
            s.runs[int(test.repeat[-1])].tests for name in (test.first, test.second) for s in systems if s.name == name
        ]
        right = [p.predicted == p.labels for p in pair]
        b_, c_ = np.sum(right[0] & ~right[1]), np.sum(~right[0] & right[1])
        assert (test.mcnemar.only_first, test.mcnemar.only_second) == (b_, c_)
        p_values.append(stats.binomtest(int(b_), int(b_ + c_)).pvalue)
        assert test.mcnemar.p == pytest.approx(p_values[-1])
        assert test.delong.difference == pytest.approx(auc(pair[0]) - auc(pair[1]))
    for place, p in enumerate(p_values):
        smaller = [q for q in p_values if q <= p]
        corrected = max(q * (len(p_values) - sorted(p_values).index(q)) for q in smaller)
        assert numbers.tests[place].mcnemar_holm == pytest.approx(min(1, corrected))


def test_systems_without_a_common_seed_are_tested_in_order(tmp_path):
    runs = [
        write_run(tmp_path / "a", make_predictions(), seed=3),
        write_run(tmp_path / "b", make_predictions(luck=1), model="convnext-tiny", seed=4),
    ]
    (test,) = compute(group_into_systems(read_runs(runs))).tests
    assert test.repeat == "seed 3 / seed 4"


def test_table_one_holds_the_papers_numbers_beside_ours(systems, numbers):
    table = table_one(systems, numbers)
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert rows["convnext-tiny"]["paper's accuracy"] == 0.9261
    assert rows["convnext-tiny"]["paper's AUC"] == 0.985
    assert rows["densenet121-radimagenet"]["paper's accuracy"] == 0.6762
    assert rows["small-cnn"]["paper's accuracy"] is None
    for system in systems:
        p = system.all_tests
        kappas = [metrics.cohen_kappa_score(one.labels, one.predicted) for one in p]
        balanced = [metrics.balanced_accuracy_score(one.labels, one.predicted) for one in p]
        assert rows[system.name]["kappa"] == pytest.approx(np.mean(kappas))
        assert rows[system.name]["balanced acc."] == pytest.approx(np.mean(balanced))
        assert rows[system.name]["runs"] == len(system.runs)


def test_the_table_of_sets_ends_with_the_baselines(systems, numbers):
    run = systems[0].runs[0]
    baselines = {"pooled": {"majority class": 0.25}, "alpha": {"majority class": 0.3}}
    run = replace(run, metrics=replace(run.metrics, baselines=baselines))
    table = sets_table([replace(systems[0], runs=(run,)), *systems[1:]], numbers)
    assert table.rows[-1] == ("majority class", 0.3, None, None, None, 0.25, None)
    assert table.columns[1] == "alpha (100)"


def test_models_are_compared_with_the_baselines_of_their_own_training_images(systems, numbers):
    pooled = {system.name: numbers.sets["pooled"].by_system[system.name] for system in systems}
    first, second, third = pooled
    middle = (pooled[first].low + pooled[first].value) / 2
    own = {
        first: {"majority class": 0.2, "metadata only": middle},
        second: {"majority class": 0.1, "metadata only": 0.05},
        third: {"majority class": 0.99},
    }

    def with_baselines(system):
        run = replace(system.runs[0], metrics=replace(system.runs[0].metrics, baselines={"pooled": own[system.name]}))
        return replace(system, runs=(run, *system.runs[1:]))

    found = findings_of(numbers, own)
    where = "accurate than the best baseline without a network on the same training images"
    assert found[1:4] == [
        f"Clearly more {where}: {second} (majority class 0.100).",
        f"Not clearly more {where}: {first} (metadata only {middle:.3f}).",
        f"Not more {where}: {third} (majority class 0.990).",
    ]
    best = max(pooled, key=lambda name: pooled[name].value)
    assert ", ".join(f"{name} {value:.3f}" for name, value in own[best].items()) in found[0]

    rows = {row[0]: row[-2] for row in sets_table([with_baselines(system) for system in systems], numbers).rows}
    assert rows[f"majority class, training images of {second}"] == 0.1
    assert rows[f"majority class, training images of {third}"] == 0.99


def test_of_a_single_source_nothing_is_shown_twice(tmp_path):
    alpha = make_predictions()
    alpha = alpha.where(alpha.sources == "alpha")
    systems = group_into_systems(read_runs([write_run(tmp_path / "run", alpha)]))
    numbers = compute(systems)
    assert numbers.sets["pooled"].by_system == numbers.sets["alpha"].by_system
    table = sets_table(systems, numbers)
    assert table.columns == ("model", "alpha (100)", "alpha-clean (75)")
    assert "mean" not in table.note


def test_the_table_of_classes_is_scikit_learns(systems):
    rows = {(row[0], row[1]): row for row in classes_table(systems).rows}
    for system in systems:
        for label, name in enumerate(CLASSES):
            _, _, images, sensitivity, specificity, area, *_ = rows[system.name, name]
            assert images == np.sum(system.all_tests[0].labels == label)
            for found, metric in (
                (sensitivity, lambda p, c=label: metrics.recall_score(p.labels == c, p.predicted == c)),
                (specificity, lambda p, c=label: metrics.recall_score(p.labels != c, p.predicted != c)),
                (area, lambda p, c=label: metrics.roc_auc_score(p.labels == c, p.probabilities[:, c])),
            ):
                values = [metric(p) for p in system.all_tests]
                assert isinstance(found, Estimate)
                assert found.value == pytest.approx(np.mean(values))
                if len(values) > 1:
                    assert found.sd == pytest.approx(np.std(values, ddof=1))


def test_cost_counts_epochs_and_seconds_of_the_histories(systems):
    rows = {row[0]: row for row in cost_table(systems).rows}
    _, epochs, training, phase1, phase2, rate, _, paper = rows["convnext-tiny"]
    assert epochs.value == 5
    assert training.value == 11 + 12 + 13 + 21 + 22  # history.csv of comparison_runs.py
    assert (phase1.value, phase2.value, rate) == (12, 21.5, 100)
    assert paper.value == 1420
    assert rows["small-cnn"][-1] is None


def test_every_run_has_a_row(systems, numbers):
    table = runs_table(systems)
    assert len(table.rows) == 5
    assert [row[1] for row in table.rows] == [0, 1, 0, 1, 0]
    for row, run in zip(table.rows, (run for system in systems for run in system.runs), strict=True):
        assert row[3].value == pytest.approx(accuracy(run.tests))
    assert len(differences_table(numbers).rows) == 3
    assert len(paired_tests_table(numbers).rows) == 4


def test_disagreements_are_what_some_have_right_and_others_not_the_starkest_first(systems):
    found = find_disagreements(systems)
    first = [system.runs[0].tests for system in systems]
    right = np.array([p.predicted == p.labels for p in first])
    assert {d.index for d in found} == {i for i in range(160) if 0 < right[:, i].sum() < 3}
    gaps = []
    for image in found:
        of_truth = [float(p.probabilities[image.index, p.labels[image.index]]) for p in first]
        gaps.append(max(of_truth) - min(of_truth))
        assert list(image.right.values()) == right[:, image.index].tolist()
    assert gaps == sorted(gaps, reverse=True)
    row = disagreements_table(systems, found).rows[0]
    image = found[0].index
    assert row[:3] == (first[0].sources[image], first[0].filenames[image], CLASSES[first[0].labels[image]])
    assert row[3] == CLASSES[first[0].predicted[image]]


def test_pairs_of_three_systems(numbers, systems):
    names = [system.name for system in systems]
    assert [(d.first, d.second) for d in numbers.differences] == list(combinations(names, 2))
