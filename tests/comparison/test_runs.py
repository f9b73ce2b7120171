"""Which runs can be compared, which are repeats of each other, and what a system is called."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fastmri_cls.comparison import runs
from fastmri_cls.comparison.runs import group_into_systems, read_runs
from fastmri_cls.foundation.errors import UserError
from tests.comparison_runs import make_predictions, write_run


@pytest.mark.slow
def test_runs_of_other_seeds_are_repeats_of_one_system(tmp_path):
    paths = [
        write_run(tmp_path / f"{model}{seed}", make_predictions(luck=seed), model=model, seed=seed)
        for seed in (1, 0)
        for model in ("small-cnn", "convnext-tiny")
    ]
    systems = group_into_systems(read_runs(paths))
    assert [(s.name, [run.config.seed for run in s.runs]) for s in systems] == [
        ("small-cnn", [0, 1]),
        ("convnext-tiny", [0, 1]),
    ]


def test_folds_are_repeats_too(tmp_path):
    paths = [write_run(tmp_path / str(fold), make_predictions(luck=fold), fold=fold) for fold in (0, 1, 2)]
    (system,) = group_into_systems(read_runs(paths))
    assert [run.repeat_name for run in system.runs] == ["seed 0, fold 0", "seed 0, fold 1", "seed 0, fold 2"]


def test_systems_of_one_model_are_named_by_what_differs(tmp_path):
    paths = [write_run(tmp_path / str(n), make_predictions(), precision=p) for n, p in enumerate(("a16", "b32"))]
    systems = group_into_systems(read_runs(paths))
    assert [system.name for system in systems] == ["small-cnn, precision a16", "small-cnn, precision b32"]


def test_a_run_given_twice_counts_once_and_that_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(runs.log, "warning", said.append)
    path = write_run(tmp_path / "run", make_predictions())
    (tmp_path / "link").symlink_to(path)
    assert len(read_runs([path, tmp_path / "link", path])) == 1
    assert said == [f"{tmp_path / 'link'}: is given twice; it counts once", f"{path}: is given twice; it counts once"]


def test_predictions_are_brought_into_one_order(tmp_path):
    tests = make_predictions()
    shuffled = tests.where(np.random.default_rng(0).permutation(len(tests)))
    first, second = read_runs(
        [write_run(tmp_path / "a", tests), write_run(tmp_path / "b", shuffled, model="convnext-tiny")]
    )
    np.testing.assert_array_equal(first.tests.filenames, second.tests.filenames)
    np.testing.assert_array_equal(first.tests.probabilities, second.tests.probabilities)


def test_runs_on_different_images_are_refused_with_the_number_they_share(tmp_path):
    tests = make_predictions()
    paths = [write_run(tmp_path / "a", tests), write_run(tmp_path / "b", tests.where(np.arange(100)), seed=1)]
    with pytest.raises(UserError, match=r"b: was evaluated on other images than .*a \(100 in common, of 100 and 160\)"):
        read_runs(paths)


def test_an_image_with_another_label_is_another_image(tmp_path):
    tests = make_predictions()
    relabelled = replace(tests, labels=np.roll(tests.labels, 1))
    with pytest.raises(UserError, match="other images"):
        read_runs([write_run(tmp_path / "a", tests), write_run(tmp_path / "b", relabelled, seed=1)])


def test_other_classes_are_refused(tmp_path):
    tests = make_predictions()
    renamed = replace(tests, classes=("a", "b", "c", "d"))
    with pytest.raises(UserError, match="has other classes"):
        read_runs([write_run(tmp_path / "a", tests), write_run(tmp_path / "b", renamed, seed=1)])


def test_the_same_repeat_twice_is_refused(tmp_path):
    paths = [write_run(tmp_path / name, make_predictions()) for name in ("a", "b")]
    with pytest.raises(UserError, match=r"b: repeats .*a with the same seed 0"):
        group_into_systems(read_runs(paths))


@pytest.mark.parametrize("missing", ["config.json", "metrics.json", "history.csv", "predictions.csv"])
def test_an_unfinished_run_is_named(tmp_path, missing):
    run = write_run(tmp_path / "a", make_predictions())
    (run / missing).unlink()
    with pytest.raises(UserError, match=missing):
        read_runs([run])


def test_metrics_of_other_predictions_are_noticed(tmp_path):
    run = write_run(tmp_path / "a", make_predictions())
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["tests"]["pooled"]["accuracy"] += 0.01
    (run / "metrics.json").write_text(json.dumps(metrics))
    with pytest.raises(UserError, match="its metrics do not go with its predictions"):
        read_runs([run])


def test_evaluations_on_another_dataset_are_compared_by_their_folders(tmp_path):
    """Where `evaluate --data OTHER` puts its results; config and history are the RUN's."""
    own, other = make_predictions(), make_predictions(80, seed=1)
    for model in ("small-cnn", "convnext-tiny"):
        run = write_run(tmp_path / model, own, model=model)
        elsewhere = write_run(tmp_path / "elsewhere" / model, other, model=model)
        (run / "evaluations").mkdir()
        (elsewhere / "config.json").unlink()
        elsewhere.rename(run / "evaluations" / "other")
    paths = [tmp_path / model / "evaluations" / "other" for model in ("small-cnn", "convnext-tiny")]
    first, second = read_runs(paths)
    assert len(first.tests) == len(second.tests) == 80
    assert [run.config.model for run in (first, second)] == ["small-cnn", "convnext-tiny"]
    assert [len(run.history) for run in (first, second)] == [5, 5]
    with pytest.raises(UserError, match="other images"):
        read_runs([tmp_path / "small-cnn", paths[1]])


def test_a_run_whose_results_are_of_another_dataset_is_refused(tmp_path):
    run = write_run(tmp_path / "a", make_predictions())
    plain = json.loads((run / "metrics.json").read_text())
    plain["dataset"]["fingerprint"] = "e" * 64
    (run / "metrics.json").write_text(json.dumps(plain))
    with pytest.raises(UserError, match=r"a/metrics\.json: has the results of another dataset"):
        read_runs([run])
