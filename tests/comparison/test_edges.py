"""A comparison where something ties, is missing, or was evaluated elsewhere than it was trained."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from fastmri_cls.comparison import pictures
from fastmri_cls.comparison.findings import findings_of
from fastmri_cls.comparison.report import analyse, write_comparison
from fastmri_cls.comparison.runs import group_into_systems, read_runs
from fastmri_cls.comparison.statistics import Difference, Numbers, SetAccuracies, compute
from fastmri_cls.comparison.tables import differences_table, sets_table, table_one
from fastmri_cls.runs.metrics import Estimate
from fastmri_cls.runs.protocol import PROTOCOLS
from tests.comparison_runs import make_predictions, write_run


def numbers_of(*accuracies: float, detectable: float | None = None) -> Numbers:
    found = {name: Estimate(value, value - 0.1, value + 0.1) for name, value in zip("ABC", accuracies, strict=True)}
    difference = Difference("A", "B", Estimate(0.0, -0.1, 0.1), None, detectable)
    return Numbers(["alpha"], {"pooled": SetAccuracies(160, found)}, {}, [difference], [])


def findings(numbers: Numbers) -> list[str]:
    return findings_of(numbers, {name: {} for name in "ABC"})


def test_models_that_tie_are_not_called_the_most_accurate() -> None:
    best = [findings(numbers_of(*values))[0] for values in ((0.7, 0.8, 0.6), (0.8, 0.8, 0.6), (0.8, 0.8, 0.8))]
    assert best[0].startswith("The most accurate of 3 models, B, has an accuracy of 0.800")
    assert best[1].startswith("One of the 2 most accurate of 3 models, A, has an accuracy of 0.800")
    assert best[2].startswith("One of 3 equally accurate models, A, has an accuracy of 0.800")


def test_test_images_that_can_show_nothing_are_not_said_to_be_agreed_on() -> None:
    assert (
        "can show a difference in accuracy of 0.050 or more" in findings(numbers_of(0.7, 0.8, 0.6, detectable=0.05))[-1]
    )
    assert "there are too few, or the models agree on nearly all" in findings(numbers_of(0.7, 0.8, 0.6))[-1]


def test_models_that_agree_on_every_image_differ_by_0_within_the_exact_interval(tmp_path: Path) -> None:
    tests = make_predictions()
    numbers = compute(
        group_into_systems(
            read_runs([write_run(tmp_path / model, tests, model=model) for model in ("small-cnn", "convnext-tiny")])
        )
    )
    (found,) = numbers.differences
    most = 1 - 0.025 ** (1 / 80)  # of 80 groups
    assert (found.accuracy.low, found.accuracy.high) == pytest.approx((-most, most))
    assert (found.auc.value, found.auc.low) == (0, None)
    assert "not the choice of seeds" in differences_table(numbers).note


def test_a_source_without_a_clean_image_is_said_to_leak(tmp_path: Path) -> None:
    tests = make_predictions()
    tests = replace(tests, clean=tests.clean & (tests.sources == "alpha"))
    systems = group_into_systems(read_runs([write_run(tmp_path / "run", tests)]))
    table = sets_table(systems, compute(systems))
    assert [column for column in table.columns if "clean" in column] == ["alpha-clean (75)"]
    assert " Of beta every test image has a duplicate, or its patient, in training or validation." in table.note
    clean = replace(tests, clean=np.ones(len(tests), bool))
    systems = group_into_systems(read_runs([write_run(tmp_path / "clean", clean)]))
    assert "clean" not in sets_table(systems, compute(systems)).note


def test_groups_that_one_run_knows_count_for_all_in_whatever_order_they_are_given(tmp_path: Path) -> None:
    tests = make_predictions()  # groups of two
    patients = np.arange(160) // 2 // 5 * 10 + 7  # groups of ten, in other numbers
    folders = [
        write_run(tmp_path / "a", tests, model="small-cnn"),
        write_run(tmp_path / "b", replace(tests, groups=patients), model="convnext-tiny"),
    ]
    alone = [run.metrics["pooled"].accuracy for run in read_runs(folders)]
    assert (alone[0].low, alone[0].high) != (alone[1].low, alone[1].high)
    for order in (folders, folders[::-1]):
        systems = group_into_systems(read_runs(order))
        numbers = compute(systems)
        for found in numbers.sets["pooled"].by_system.values():
            assert (found.low, found.high) == (alone[1].low, alone[1].high)
        assert "a group here joins those of all runs" in table_one(systems, numbers).note
    same = write_run(tmp_path / "c", replace(tests, groups=160 - tests.groups), model="convnext-tiny")
    systems = group_into_systems(read_runs([folders[0], same]))
    assert "joins" not in table_one(systems, compute(systems)).note


def test_a_system_that_was_selected_on_test_images_is_named(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / name, make_predictions(), protocol=asdict(PROTOCOLS[name]))
        for name in ("paper", "notebook")
    ]
    systems = group_into_systems(read_runs(folders))
    note = table_one(systems, compute(systems)).note
    assert (
        "small-cnn, notebook: early stopping, the learning rate and the choice of the epoch went by images of" in note
    )
    assert "paper: early" not in note


@pytest.mark.slow
def test_runs_evaluated_on_another_dataset_are_said_to_be_and_show_no_picture_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both datasets may have a file of the same name."""
    folders = []
    for model in ("small-cnn", "convnext-tiny"):
        run = write_run(tmp_path / model, make_predictions(luck=len(model)), model=model)
        folder = run / "evaluations" / "other"
        folder.mkdir(parents=True)
        for name in ("metrics.json", "predictions.csv"):
            (run / name).rename(folder / name)
        plain = json.loads((folder / "metrics.json").read_text())
        plain["dataset"] = {"name": "elsewhere", "fingerprint": "e" * 64}
        (folder / "metrics.json").write_text(json.dumps(plain))
        folders.append(folder)
    monkeypatch.setattr(pictures, "Dataset", lambda *_, **__: pytest.fail("the training dataset was opened"))
    (tmp_path / "out").mkdir()
    write_comparison(analyse(folders), tmp_path / "out")
    text = " ".join((tmp_path / "out" / "report.html").read_text(encoding="utf-8").split())
    assert "on 160 test images of elsewhere (alpha, beta)." in text
    assert "split grouped" not in text
    assert f"<dt>evaluated on</dt><dd>elsewhere (fingerprint {'e' * 12})</dd>" in text
    assert "trained in float32 on nowhere (grouped, fingerprint ffffffffffff), evaluated in float32" in text
    assert "fastmri-cls compare small-cnn/evaluations/other convnext-tiny/evaluations/other --out DIR" in text
    assert "Without pictures: the dataset that was evaluated is not in a folder that these runs name." in text
