"""`compare` as its users meet it: files, table, one offline page, errors of one line."""

import csv
import json

import numpy as np
import pytest
from sklearn import metrics

from fastmri_cls.comparison.report import compare_runs
from fastmri_cls.foundation.errors import UserError
from tests.comparison_runs import make_predictions, write_run
from tests.html_pages import Page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def compared(cli, tmp_path_factory):
    """Two models with two seeds, compared: (folder, completed process, predictions by model and seed)."""
    folder = tmp_path_factory.mktemp("compare")
    predictions = {
        (model, seed): make_predictions(skill=skill, luck=seed)
        for model, skill in (("convnext-tiny", 3.0), ("small-cnn", 1.2))
        for seed in (0, 1)
    }
    runs = [write_run(folder / f"{m}-{s}", p, model=m, seed=s) for (m, s), p in predictions.items()]
    return folder / "out", cli("compare", *runs, "--out", folder / "out", "--json"), predictions


def test_it_prints_table_one_and_the_reports_path(compared):
    out, result, _ = compared
    assert result.returncode == 0, result.stderr
    assert "convnext-tiny" in result.stderr
    assert f"report: {out / 'report.html'}" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("next: ")


def test_stdout_is_json_with_the_numbers_themselves(compared):
    out, result, predictions = compared
    found = json.loads(result.stdout)
    assert found == json.loads((out / "comparison.json").read_text())
    accuracies = [np.mean(p.predicted == p.labels) for (model, _), p in predictions.items() if model == "small-cnn"]
    assert found["accuracy"]["pooled"]["small-cnn"]["value"] == pytest.approx(np.mean(accuracies))
    assert len(found["paired_tests"]) == 2


def test_every_table_is_there_in_three_forms(compared):
    out, *_ = compared
    for name in ("table1", "test-sets", "differences", "paired-tests", "classes", "cost", "runs"):
        for kind in ("csv", "md", "tex"):
            assert (out / "tables" / f"{name}.{kind}").stat().st_size > 50
    with (out / "tables" / "disagreements.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all((row["convnext-tiny"] == row["true class"]) != (row["small-cnn"] == row["true class"]) for row in rows)


def test_the_page_needs_nothing_from_elsewhere(compared):
    out, *_ = compared
    page = Page(out / "report.html")
    assert page.needs == []
    assert not page.tags & {"script", "link", "iframe", "object"}
    text = (out / "report.html").read_text()
    assert "url(" not in text.replace("url(#", "")  # of a clipping path in the drawing itself
    assert "@import" not in text
    assert text.count("<figcaption>") == len(list((out / "figures").iterdir()))


def test_the_pages_tables_are_those_of_the_csv_files(compared):
    out, _, predictions = compared
    page = Page(out / "report.html")
    header, *rows = page.tables["Accuracy and AUC on all test images"]
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        p = [p for (model, _), p in predictions.items() if model == cells["model"]]
        values = [metrics.accuracy_score(one.labels, one.predicted) for one in p]
        assert cells["accuracy"].startswith(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} [")
        assert cells["kappa"] == f"{np.mean([metrics.cohen_kappa_score(o.labels, o.predicted) for o in p]):.3f}"
    for title, name in (("Paired tests", "paired-tests"), ("Every run", "runs"), ("Accuracy by test set", "test-sets")):
        with (out / "tables" / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.reader(file))) == len(page.tables[title])
    assert [row[0] for row in page.tables["Every run"][1:]] == ["convnext-tiny"] * 2 + ["small-cnn"] * 2


def test_the_findings_name_the_best_and_say_whether_it_can_be_told_apart(compared):
    out, *_ = compared
    text = (out / "report.html").read_text()
    assert "The most accurate of 2 models, convnext-tiny, has an accuracy of" in text
    assert "convnext-tiny is more accurate than small-cnn" in text
    assert "in 2 of 2 pairs of runs" in text
    (difference,) = json.loads((out / "comparison.json").read_text())["differences"]
    assert f"can show a difference in accuracy of {difference['detectable']:.3f} or more" in text
    assert "Without pictures" in text  # the runs' dataset folder never was


def test_a_single_run_makes_a_report_without_tests(cli, tmp_path):
    run = write_run(tmp_path / "run", make_predictions())
    result = cli("compare", run, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "out" / "tables" / "paired-tests.csv").exists()
    assert "Disagreements" not in (tmp_path / "out" / "report.html").read_text()


def test_equal_models_cannot_be_told_apart(cli, tmp_path):
    runs = [write_run(tmp_path / model, make_predictions(), model=model) for model in ("small-cnn", "convnext-tiny")]
    result = cli("compare", *runs, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert (
        "do not show a difference in accuracy between small-cnn and convnext-tiny"
        in (tmp_path / "out" / "report.html").read_text()
    )


def test_different_images_are_one_line_on_stderr_and_nothing_is_written(cli, tmp_path):
    tests = make_predictions()
    runs = [write_run(tmp_path / "a", tests), write_run(tmp_path / "b", tests.where(np.arange(90)), seed=1)]
    result = cli("compare", *runs, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "evaluated on other images" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_things_is_left_alone(cli, tmp_path):
    run = write_run(tmp_path / "run", make_predictions())
    (tmp_path / "out" / "tables").mkdir(parents=True)
    (tmp_path / "out" / "tables" / "mine.csv").write_text("mine")
    result = cli("compare", run, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "exists already and is not a comparison" in result.stderr
    assert (tmp_path / "out" / "tables" / "mine.csv").read_text() == "mine"


def test_a_folder_that_holds_more_than_a_comparison_is_never_replaced(tmp_path):
    run = write_run(tmp_path / "runs" / "a", make_predictions(skill=2.0, luck=0))
    (tmp_path / "runs" / "comparison.json").write_text("{}")
    with pytest.raises(UserError, match="holds the runs themselves"):
        compare_runs([run], tmp_path / "runs", force=True)
    study = tmp_path / "study"
    study.mkdir()
    (study / "study.json").write_text("{}")
    (study / "comparison.json").write_text("{}")
    with pytest.raises(UserError, match="is a study"):
        compare_runs([run], study, force=True)
    assert (run / "config.json").exists()


def test_a_comparison_is_replaced_by_force_only(tmp_path):
    runs = [write_run(tmp_path / name, make_predictions(), model=name) for name in ("small-cnn", "convnext-tiny")]
    compare_runs(runs, tmp_path / "out", force=False)
    with pytest.raises(UserError, match="--force"):
        compare_runs(runs[:1], tmp_path / "out", force=False)
    assert (tmp_path / "out" / "tables" / "paired-tests.csv").exists()
    compare_runs(runs[:1], tmp_path / "out", force=True)
    assert not (tmp_path / "out" / "tables" / "paired-tests.csv").exists()
    assert (tmp_path / "out" / "tables" / "table1.csv").exists()


def test_no_run_is_a_usage_error(cli, tmp_path):
    assert cli("compare", "--out", tmp_path / "out").returncode == 2
