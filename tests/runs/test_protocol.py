"""Protocols and what they train on: the published numbers, flags, folds, class weights, refusals."""

import json
import re

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from fastmri_cls.dataset import Dataset
from fastmri_cls.foundation.errors import UserError
from fastmri_cls.records.build import build_dataset
from fastmri_cls.records.manifest import read_manifest
from fastmri_cls.records.options import BuildOptions, SplitOptions
from fastmri_cls.runs.protocol import PROTOCOLS, Protocol, differences, resolve_protocol
from fastmri_cls.sources.classes import ClassNames
from fastmri_cls.sources.folders import parse_sources
from fastmri_cls.training.data import class_weights, load_training_data, training_selection
from fastmri_cls.training.run import check_protocol

pytestmark = pytest.mark.slow


def build(phantom_sources, out, **splitting):
    sources = parse_sources([f"{name}={path}" for name, path in phantom_sources.items()])
    build_dataset(sources, ClassNames(), BuildOptions(image_size=32, splitting=SplitOptions(**splitting)), out, 1)
    return out


@pytest.fixture(scope="module")
def published(phantom_sources, tmp_path_factory):
    return build(phantom_sources, tmp_path_factory.mktemp("published") / "set", method="published")


def test_the_presets_are_the_papers_recipe():
    for protocol in PROTOCOLS.values():
        first, second = protocol.phase1, protocol.phase2
        assert (first.max_epochs, first.learning_rate) == (50, 1e-4)
        assert (first.early_stopping_patience, first.plateau_patience) == (8, 3)
        assert (second.max_epochs, second.learning_rate) == (10, 1e-5)
        assert (second.early_stopping_patience, second.plateau_patience) == (5, 2)
        assert (protocol.batch_size, protocol.label_smoothing, protocol.unfreeze) == (32, 0.1, 0.2)
        assert (protocol.plateau_factor, protocol.min_learning_rate) == (0.2, 1e-7)
    notebook = PROTOCOLS["notebook"]
    assert (notebook.steps_per_epoch, notebook.contrast, notebook.preprocessing) == (269, 1.5, "densenet")


def test_a_flag_overrides_one_field():
    changed = resolve_protocol("paper", {"phase2_epochs": 3, "contrast": "1.5"})
    assert changed.phase2.max_epochs == 3
    assert changed.phase2.learning_rate == 1e-5
    assert changed.contrast == 1.5
    assert changed.augment == "paper"
    assert PROTOCOLS["paper"].contrast == 1.0


def test_a_learning_rate_is_phase_1s_and_phase_2_keeps_its_proportion():
    changed = Protocol.paper(learning_rate="1e-3")
    assert (changed.phase1.learning_rate, changed.phase2.learning_rate) == (1e-3, pytest.approx(1e-4))
    assert changed.scratch_factor == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lable_smoothing": 0}, "did you mean label_smoothing"),
        ({"label_smoothing": 2}, "label_smoothing: expected float <= 0.9"),
        ({"contrast": "nan"}, "contrast"),
        ({"schedule": "linear"}, "choose one of constant, cosine"),
        ({"unfreeze": "1.5"}, "unfreeze"),
        ({"learning_rate": "fast"}, "learning_rate fast: not a number"),
        ({"phase1.max_epochs": -1}, "phase1.max_epochs"),
        ({"optimizer": "sdg"}, "--optimizer sdg"),
        ({"resize": "cubic"}, "resize: invalid enum value 'cubic'; choose one of bilinear, nearest, lanczos"),
        ({"steps_per_epoch": 0}, "steps_per_epoch: expected int >= 1"),
        ({"scratch_factor": "-1"}, "scratch_factor: expected float > 0"),
        ({"learning_rate": "inf"}, "phase1.learning_rate: is infinite"),
        ({"clip_norm": "inf"}, "clip_norm: is infinite"),
    ],
)
def test_a_change_that_cannot_be_meant_is_refused_by_name(changes, says):
    with pytest.raises(UserError, match=re.escape(says)):
        resolve_protocol("strict", changes)


def test_the_differences_of_a_protocol_rebuild_it():
    protocol = Protocol.notebook(phase1_epochs=3, learning_rate=2e-4, ema="true", unfreeze="conv5_block1", accumulate=2)
    assert resolve_protocol("notebook", differences(protocol)) == protocol
    assert differences(PROTOCOLS["paper"]) == {}


def test_class_weights_are_scikit_learns_of_what_is_trained_on(dataset):
    manifest = read_manifest(dataset)
    counts = [manifest.splits["train"].per_class[name] for name in manifest.classes]
    labels = np.repeat(np.arange(4), counts)
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    np.testing.assert_allclose(class_weights(manifest, PROTOCOLS["strict"]), expected)


def test_the_notebook_trains_on_the_first_source_and_weighs_by_all(published):
    manifest = read_manifest(published)
    protocol = PROTOCOLS["notebook"]
    assert (
        training_selection(manifest, protocol).count(manifest)
        == manifest.splits["train"].per_source["alpha"] + (manifest.splits["val"].per_source["alpha"])
    )
    counts = [sum(manifest.splits[s].per_class[name] for s in ("train", "val")) for name in manifest.classes]
    expected = compute_class_weight("balanced", classes=np.arange(4), y=np.repeat(np.arange(4), counts))
    np.testing.assert_allclose(class_weights(manifest, protocol), expected)
    data = load_training_data(Dataset(published), protocol, "none", 0)
    assert data.training.steps_per_epoch == 269
    assert len(list(data.training.epoch(0, 268))) == 1


def test_the_notebooks_validation_slides_over_the_first_test_set(published):
    """Batch 55 e mod n, the reading that fits the published logs (54 batches used, one more consumed)."""
    data = load_training_data(Dataset(published), resolve_protocol("notebook", {"batch_size": 5}), "none", 0)
    whole = [b["label"] for b in data.validation.whole.epoch(0).as_numpy_iterator()]
    n = len(whole)
    for epoch in range(4):
        window = [b["label"] for b in data.validation.epoch(epoch).as_numpy_iterator()]
        assert len(window) == 54
        np.testing.assert_array_equal(window, [whole[(55 * epoch + k) % n] for k in range(54)])


def test_strict_refuses_copies_in_several_splits_and_the_paper_accepts_them(published, dataset):
    straddling = Dataset(published)
    assert straddling.manifest.duplicates["straddling"] > 0
    with pytest.raises(UserError, match=r"copies are in more than one split.*--split grouped"):
        check_protocol(straddling, PROTOCOLS["strict"])
    check_protocol(straddling, PROTOCOLS["paper"])
    check_protocol(Dataset(dataset), PROTOCOLS["strict"])


def test_a_fold_is_validated_on_and_the_others_trained_on(phantom_sources, tmp_path):
    folder = build(phantom_sources, tmp_path / "folds", folds=3)
    manifest = read_manifest(folder)
    for fold in range(3):
        data = load_training_data(Dataset(folder), PROTOCOLS["strict"], "none", 0, fold)
        sizes = [manifest.splits[f"fold-{k}"].num_examples for k in range(3)]
        assert data.validation.examples.count == sizes[fold]
        assert data.training.examples.count == sum(sizes) - sizes[fold]
    with pytest.raises(UserError, match="choose one with --fold"):
        load_training_data(Dataset(folder), PROTOCOLS["strict"], "none", 0)


def test_train_evaluate_and_all_files_of_the_contract(cli, dataset, tmp_path):
    run = tmp_path / "run"
    result = cli(
        "train", "--data", dataset, "--model", "small-cnn", "--out", run, "--phase1-epochs", 2, "--phase2-epochs", 1,
        "--precision", "float32", "--xla", "off", "--json",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    for name in (
        "config.json", "history.csv", "model.keras", "predictions.csv", "metrics.json", "report.html", "train.log",
        "README.md", "figures/confusion-matrix.png", "figures/roc.png", "figures/precision-recall.png",
        "figures/class-accuracy.png", "figures/training-curves.png", "figures/augmented-examples.png",
    ):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert len((run / "history.csv").read_text().splitlines()) == 4
    metrics = json.loads((run / "metrics.json").read_text())
    assert json.loads(result.stdout) == metrics["tests"]
    assert set(metrics["tests"]) == {"alpha", "beta", "pooled", "mean"}
    before = {name: (run / name).read_bytes() for name in ("metrics.json", "predictions.csv")}
    again = cli("evaluate", run, "--data", dataset)
    assert again.returncode == 0, again.stderr
    assert {name: (run / name).read_bytes() for name in before} == before
    refused = cli("train", "--data", dataset, "--model", "small-cnn", "--out", run)
    assert refused.returncode == 1
    assert "add --resume" in refused.stderr
