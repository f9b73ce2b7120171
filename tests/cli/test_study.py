"""`study` with real training on drawn slices: every number and figure of its report against a direct computation."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from fastmri_cls.comparison.report import analyse, draw
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.runs.predictions import Predictions, read_predictions
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
from tests.html_pages import Page

pytestmark = pytest.mark.slow

SYSTEMS = ("small-cnn, contrast 1", "small-cnn, contrast 1.5")


# Precision and XLA are given, so that nothing is measured first; tests/study/test_run.py covers `auto`.
FLAGS = (
    "--models", "small-cnn", "--ablate", "contrast", "--seeds", 0, "--phase1-epochs", 2, "--phase2-epochs", 1,
    "--precision", "float32", "--xla", "off",
)  # fmt: skip


@pytest.fixture(scope="module")
def folds(phantom_sources, tmp_path_factory) -> Path:
    """A dataset of drawn slices cut into two folds."""
    out = tmp_path_factory.mktemp("folds") / "dataset"
    sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
    build_dataset(sources, ClassNames(), BuildOptions(image_size=32, splitting=SplitOptions(folds=2)), out, workers=1)
    return out


@pytest.fixture(scope="module")
def finished(cli, folds, tmp_path_factory):
    """A study of small-cnn with and without contrast skew on both folds: (folder, completed process)."""
    out = tmp_path_factory.mktemp("study") / "out"
    return out, cli("study", "--data", folds, *FLAGS, "--out", out, "--json", timeout=550)


@pytest.fixture(scope="module")
def predictions(finished) -> dict[str, list[Predictions]]:
    """By system, as the cells' predictions.csv have them."""
    out, _ = finished
    return {
        system: [read_predictions(cell(out, contrast, fold) / "predictions.csv") for fold in (0, 1)]
        for system, contrast in zip(SYSTEMS, ("1", "1.5"), strict=True)
    }


def cell(out: Path, contrast: str, fold: int) -> Path:
    return out / "runs" / f"small-cnn-contrast{contrast}-seed0-fold{fold}"


def rows_of(out: Path, table: str) -> list[dict[str, str]]:
    with (out / "tables" / f"{table}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def auc(p: Predictions) -> float:
    return float(np.mean([metrics.roc_auc_score(p.labels == c, p.probabilities[:, c]) for c in range(4)]))


def test_the_study_ends_well_and_prints_its_table(finished):
    out, result = finished
    assert result.returncode == 0, result.stderr
    assert f"report: {out / 'report.html'}" in result.stderr
    assert set(json.loads(result.stdout)["systems"]) == set(SYSTEMS)


def test_every_cell_is_a_whole_run_of_its_fold(finished):
    out, _ = finished
    assert [row["fold"] for row in rows_of(out, "runs")] == ["0", "1", "0", "1"]
    for run in (out / "runs").iterdir():
        config = json.loads((run / "config.json").read_text())
        assert config["fold"] == int(run.name[-1])
        assert config["protocol"]["contrast"] == (1.5 if "contrast1.5" in run.name else 1.0)
        assert "Not a medical device" in (run / "README.md").read_text()
        assert json.loads((run / "calibration.json").read_text())["images"] > 0
        assert set(json.loads((run / "metrics.json").read_text())["baselines"]["pooled"]) == {
            "majority class",
            "metadata only",
            "1-nearest neighbour",
        }


def test_table_one_is_computed_from_the_cells_predictions(finished, predictions):
    out, _ = finished
    for row in rows_of(out, "table1"):
        p = predictions[row["model"]]
        accuracies = [metrics.accuracy_score(one.labels, one.predicted) for one in p]
        assert float(row["accuracy"]) == pytest.approx(np.mean(accuracies))
        assert float(row["accuracy sd"]) == pytest.approx(np.std(accuracies, ddof=1))
        assert float(row["AUC"]) == pytest.approx(np.mean([auc(one) for one in p]))
        assert float(row["kappa"]) == pytest.approx(
            np.mean([metrics.cohen_kappa_score(o.labels, o.predicted) for o in p])
        )
        assert float(row["accuracy low"]) <= float(row["accuracy"]) <= float(row["accuracy high"])


def test_paired_tests_are_scipys_on_the_cells_predictions(finished, predictions):
    out, _ = finished
    rows = rows_of(out, "paired-tests")
    assert [row["run"] for row in rows] == ["seed 0, fold 0", "seed 0, fold 1"]
    for fold, row in enumerate(rows):
        first, second = (predictions[row[name]][fold] for name in ("first", "second"))
        right, other = first.predicted == first.labels, second.predicted == second.labels
        b, c = int(np.sum(right & ~other)), int(np.sum(~right & other))
        assert (int(row["only first right"]), int(row["only second right"])) == (b, c)
        assert float(row["McNemar p"]) == pytest.approx(stats.binomtest(b, b + c).pvalue if b + c else 1.0)
        assert float(row["AUC difference"]) == pytest.approx(auc(first) - auc(second))


def test_the_sets_table_has_the_baselines_of_the_dataset(finished, predictions):
    out, _ = finished
    rows = {row["model"]: row for row in rows_of(out, "test-sets")}
    tests = predictions[SYSTEMS[0]][0]
    majority = float(rows["majority class"][f"pooled ({len(tests)})"])
    assert majority in [pytest.approx(np.mean(tests.labels == c)) for c in range(4)]
    alpha = tests.sources == "alpha"
    found = float(rows[SYSTEMS[0]][f"alpha ({alpha.sum()})"])
    assert found == pytest.approx(np.mean([np.mean((p.predicted == p.labels)[alpha]) for p in predictions[SYSTEMS[0]]]))


def test_cost_is_read_from_the_cells_histories(finished):
    out, _ = finished
    for row, contrast in zip(rows_of(out, "cost"), ("1", "1.5"), strict=True):
        seconds, phase1 = [], []
        for fold in (0, 1):
            with (cell(out, contrast, fold) / "history.csv").open() as file:
                epochs = list(csv.DictReader(file))
            seconds.append(sum(float(epoch["seconds"]) for epoch in epochs))
            phase1 += [float(epoch["seconds"]) for epoch in epochs if epoch["phase"] == "1"]
        assert float(row["training"]) == pytest.approx(np.mean(seconds))
        assert float(row["epoch, phase 1"]) == pytest.approx(np.median(phase1))
        assert float(row["epochs"]) == 3


def test_the_figures_are_drawn_from_the_cells(finished, predictions):
    """The figures that the report embeds, their artists read back."""
    out, _ = finished
    drawn = draw(analyse(sorted((out / "runs").iterdir())))
    assert len(drawn) == len(list((out / "figures").iterdir())) == 8
    for axes, p in zip(drawn["Confusion matrices"].axes, predictions.values(), strict=True):
        counts = sum(metrics.confusion_matrix(one.labels, one.predicted, labels=range(4)) for one in p)
        np.testing.assert_allclose(axes.images[0].get_array(), counts / counts.sum(axis=1, keepdims=True))
    for bars, p in zip(drawn["Accuracy by class"].axes[0].containers, predictions.values(), strict=True):
        recalls = [metrics.recall_score(one.labels, one.predicted, average=None, labels=range(4)) for one in p]
        np.testing.assert_allclose([bar.get_width() for bar in bars], np.mean(recalls, axis=0))
    for label, axes in enumerate(drawn["ROC curves"].axes):
        for line, (name, p) in zip(axes.lines, predictions.items(), strict=True):
            areas = [metrics.roc_auc_score(one.labels == label, one.probabilities[:, label]) for one in p]
            assert line.get_label() == f"{name}, AUC {np.mean(areas):.3f}"
    for line, (name, p) in zip(drawn["Accuracy against training time"].axes[0].lines, predictions.items(), strict=True):
        assert line.get_label() == name
        np.testing.assert_allclose(line.get_ydata(), [np.mean(one.predicted == one.labels) for one in p])
    learning = drawn["Learning curves"].axes[1]
    with (cell(out, "1", 0) / "history.csv").open() as file:
        validation = [float(row["val_accuracy"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(learning.lines[0].get_ydata(), validation)


def test_the_page_is_whole_and_shows_the_disagreements_pictures(finished, predictions):
    out, _ = finished
    page = Page(out / "report.html")
    assert page.needs == []
    assert not page.tags & {"script", "link", "iframe"}
    first = [p[0].predicted == p[0].labels for p in predictions.values()]
    disagreeing = int(np.sum(first[0] != first[1]))
    assert len(rows_of(out, "disagreements")) == disagreeing
    pictures = [address for address in page.addresses if address.startswith("data:image/jpeg")]
    assert len(pictures) == min(disagreeing, 24)


def test_the_same_command_again_trains_nothing(cli, folds, finished):
    out, _ = finished
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")}
    assert cli("study", "--data", folds, *FLAGS, "--out", out).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*")} == before


def test_evaluating_a_cell_again_gives_the_same_metrics_to_the_last_digit(cli, folds, finished, tmp_path):
    out, _ = finished
    run = cell(out, "1", 0)
    result = cli("evaluate", run, "--data", folds, "--out", tmp_path / "again")
    assert result.returncode == 0, result.stderr
    for name in ("metrics.json", "predictions.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (run / name).read_bytes()


def test_the_page_of_a_cell_needs_nothing_from_elsewhere_and_has_its_numbers(finished, predictions):
    out, _ = finished
    page = Page(cell(out, "1", 0) / "report.html")
    assert page.needs == []
    assert "script" not in page.tags
    p = predictions[SYSTEMS[0]][0]
    rows = {row[0]: row for row in page.tables["Metrics by test set"]}
    assert rows["pooled"][2].startswith(f"{np.mean(p.predicted == p.labels):.3f} [")
    agreement = {row[0]: row for row in page.tables["Agreement and calibration by test set"]}
    assert agreement["pooled"][2] == f"{metrics.cohen_kappa_score(p.labels, p.predicted):.3f}"
    classes = {row[0]: row for row in page.tables[f"Classes, test set pooled ({len(p):,} images)"]}
    recalls = metrics.recall_score(p.labels, p.predicted, average=None, labels=range(4))
    for name, recall in zip(p.classes, recalls, strict=True):
        assert classes[name][3].startswith(f"{recall:.3f} [")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--nonsense", "1"), "No such option"),
        (("--seed", "1"), "set by study itself"),
        (("--seeds", "a,b"), "not a list of whole numbers"),
    ],
)
def test_flags_that_train_does_not_know_are_a_usage_error_at_once(cli, tmp_path, flags, said):
    result = cli("study", "--data", tmp_path, "--models", "small-cnn", "--out", tmp_path / "out", *flags)
    assert result.returncode == 2
    assert said in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_model_is_one_line(cli, dataset, tmp_path):
    result = cli("study", "--data", dataset, "--models", "nonsense", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "nonsense" in result.stderr
