"""Paired tests against published worked examples and against their definitions, computed another way."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy import special, stats
from sklearn.metrics import roc_auc_score

from fastmri_cls.evaluation.paired import auc_components, delong, delong_macro, detectable_difference, holm, mcnemar

# DeLong, DeLong and Clarke-Pearson (1988): albumin, total protein, K-G score and outcome of 43 patients, as printed in
# the SAS/STAT manual, LOGISTIC procedure, example "Comparing Receiver Operating Characteristic Curves".
OVARIAN_CANCER = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1  3.8 5.7 5 1
3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0
4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1
4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1
2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


@pytest.fixture
def ovarian_cancer() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    albumin, protein, score, outcome = np.array(OVARIAN_CANCER.split(), float).reshape(-1, 4).T
    return outcome == 1, albumin, protein, 10 - score


def test_delong_gives_the_published_areas_and_contrasts(ovarian_cancer):
    positive, albumin, protein, score = ovarian_cancer
    for values, area in ((albumin, 0.7366), (protein, 0.6478), (score, 0.7258)):
        assert auc_components(positive, values)[positive].sum() == pytest.approx(area, abs=5e-5)
    assert delong(positive, albumin, score) == pytest.approx((0.0108, 0.0953, 0.9102), abs=5e-5)
    assert delong(positive, protein, score)[:2] == pytest.approx((-0.0780, 0.1046), abs=5e-5)


def direct_delong(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The definition: V10 and V01 of every pair, then S10 / m + S01 / n of the difference."""

    def components(scores):
        x, y = scores[positive], scores[~positive]
        kernel = np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in y] for a in x])
        return kernel.mean(axis=1), kernel.mean(axis=0), kernel.mean()

    (a10, a01, a), (b10, b01, b) = components(first), components(second)
    s10, s01 = np.cov(np.stack([a10, b10])), np.cov(np.stack([a01, b01]))
    s = s10 / len(a10) + s01 / len(a01)
    return a - b, float(np.sqrt(s[0, 0] + s[1, 1] - 2 * s[0, 1]))


@pytest.mark.parametrize("decimals", [8, 1])
def test_delong_is_its_definition_over_all_pairs_ties_included(decimals):
    rng = np.random.default_rng(0)
    positive = rng.random(80) < 0.4
    first, second = np.round(rng.normal(positive, 1), decimals), np.round(rng.normal(positive * 0.5, 1), decimals)
    found = delong(positive, first, second)
    difference, error = direct_delong(positive, first, second)
    assert found.difference == pytest.approx(difference)
    assert found.difference == pytest.approx(roc_auc_score(positive, first) - roc_auc_score(positive, second))
    assert found.standard_error == pytest.approx(error)
    assert found.p == pytest.approx(2 * stats.norm.cdf(-abs(difference) / error))


def probabilities(labels: np.ndarray, skill: float, rng: np.random.Generator) -> np.ndarray:
    return special.softmax(rng.normal(0, 1, (len(labels), 3)) + skill * np.eye(3)[labels], axis=1)


def test_with_two_classes_the_macro_test_is_delongs():
    rng = np.random.default_rng(1)
    labels = (rng.random(70) < 0.5).astype(int)
    first, second = rng.random(70), rng.random(70)
    both = delong_macro(labels, np.stack([1 - first, first], axis=1), np.stack([1 - second, second], axis=1))
    assert both == pytest.approx(delong(labels == 1, first, second))


@pytest.mark.slow
def test_the_macro_error_is_that_of_a_jackknife():
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(3), (60, 80, 100))
    first, second = probabilities(labels, 1.5, rng), probabilities(labels, 1.0, rng)

    def macro(kept):
        return np.mean(
            [
                roc_auc_score(labels[kept] == c, first[kept, c]) - roc_auc_score(labels[kept] == c, second[kept, c])
                for c in range(3)
            ]
        )

    everything = np.ones(240, bool)
    found = delong_macro(labels, first, second)
    assert found.difference == pytest.approx(macro(everything))
    variance = 0.0
    for label in range(3):
        left_out = [macro(everything & (np.arange(240) != i)) for i in np.flatnonzero(labels == label)]
        variance += (len(left_out) - 1) * np.var(left_out)
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=0.02)


@pytest.mark.slow
def test_the_macro_test_rejects_a_true_hypothesis_in_5_percent_of_studies():
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(3), 60)
    rejected = [
        delong_macro(labels, probabilities(labels, 1.5, rng), probabilities(labels, 1.5, rng)).p < 0.05
        for _ in range(1500)
    ]
    assert 0.035 <= np.mean(rejected) <= 0.065


def test_equal_scores_do_not_differ_and_one_class_has_no_test():
    labels = np.arange(30) % 3
    same = probabilities(labels, 1.0, np.random.default_rng(0))
    assert delong_macro(labels, same, same) == (0.0, 0.0, 1.0)
    assert delong_macro(np.zeros(30, int), same, same[::-1]).p is None


def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_images():
    """11 against 1 of 12 discordant: 2 (C(12,0) + C(12,1)) / 2^12, by hand."""
    first = np.array([True] * 11 + [False] * 1 + [True] * 50 + [False] * 8)
    second = np.array([False] * 11 + [True] * 1 + [True] * 50 + [False] * 8)
    assert mcnemar(first, second) == (11, 1, pytest.approx(2 * 13 / 4096))
    assert mcnemar(second, first) == (1, 11, pytest.approx(2 * 13 / 4096))
    assert mcnemar(first, first) == (0, 0, 1.0)


@pytest.mark.parametrize(("b", "c"), [(9, 3), (5, 5), (0, 7), (20, 9)])
def test_mcnemar_sums_all_outcomes_as_unlikely_as_the_one_seen(b, c):
    first = np.array([True] * b + [False] * c)
    tail = sum(comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c)
    assert mcnemar(first, ~first).p == pytest.approx(min(1.0, 2 * tail))


def test_holm_multiplies_by_the_number_of_hypotheses_left():
    """Holm's rule by hand: .01 x 4, .02 x 3, .03 x 2 = .06, .04 x 1 lifted to .06."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, None, 0.7]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_holm_rejects_what_the_sequential_rule_rejects():
    rng = np.random.default_rng(0)
    for _ in range(50):
        p_values = (rng.random(7) ** 3).tolist()
        rejected, order = set(), np.argsort(p_values)
        for step, place in enumerate(order):
            if p_values[place] > 0.05 / (7 - step):
                break
            rejected.add(place)
        assert {place for place, p in enumerate(holm(p_values)) if p <= 0.05} == rejected


def test_holm_is_the_closed_test_of_bonferroni():
    """The adjusted p-value is the largest Bonferroni p-value of any set of hypotheses that holds this one."""
    p_values = [0.012, 0.2, 0.04, 0.03]
    for place, corrected in enumerate(holm(p_values)):
        sets = [chosen for chosen in product((False, True), repeat=4) if chosen[place]]
        bonferroni = [min(1, sum(s) * min(p for p, inside in zip(p_values, s, strict=True) if inside)) for s in sets]
        assert corrected == pytest.approx(max(bonferroni))


def test_mcnemars_test_finds_the_detectable_difference_in_80_percent_of_test_sets():
    rng = np.random.default_rng(0)
    n, psi = 900, 0.15
    differences = np.repeat([1, -1, 0], [70, 65, n - 135])  # 15 % discordant
    delta = detectable_difference(differences, np.std(differences) / np.sqrt(n))
    chances = [(psi + delta) / 2, (psi - delta) / 2, 1 - psi]
    found = [stats.binomtest(int(b), int(b + c)).pvalue < 0.05 for b, c, _ in rng.multinomial(n, chances, size=1000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)  # the exact test is a little less powerful


def test_duplicates_do_not_make_a_smaller_difference_detectable():
    differences = np.repeat([1, -1, 0], [30, 20, 250])
    error = np.std(differences) / np.sqrt(300)
    alone = detectable_difference(differences, error)
    assert detectable_difference(np.tile(differences, 4), error) == pytest.approx(alone)
    assert detectable_difference(differences, error / 2) == pytest.approx(alone)  # no more images than there are


def test_models_that_hardly_differ_would_have_to_differ_more():
    """If all disagreements are one-sided, six are significant (p = 2 / 2^6), five are not (p = 2 / 2^5)."""
    delta = detectable_difference(np.repeat([1, 0], [2, 998]), np.sqrt(0.002 / 1000))
    assert 6 / 1000 < delta < 10 / 1000
    assert detectable_difference(np.zeros(50), 0.0) is None
    assert detectable_difference(np.array([1.0, 0.0, 0.0]), 0.3) is None


def test_a_class_with_a_single_image_has_no_standard_error_of_the_auc():
    """S10 of DeLong divides by m - 1."""
    rng = np.random.default_rng(5)
    labels = np.array([0] + [1] * 20 + [2] * 20)
    first, second = probabilities(labels, 1.5, rng), probabilities(labels, 1.0, rng)
    found = delong_macro(labels, first, second)
    assert found.difference != 0
    assert found[1:] == (None, None)
    assert delong_macro(labels, first, first) == (0.0, 0.0, 1.0)
