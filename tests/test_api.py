"""The public Python API: its names, its weight on import, and that it does what the command line does."""

import inspect
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import fastmri_cls as fc
from fastmri_cls.records.options import BuildOptions
from fastmri_cls.runs.options import TrainOptions

pytestmark = pytest.mark.slow

# Changing a line here is changing the API: say so in CHANGELOG.md.
SIGNATURES = {
    "audit": "sources, out, *, classes, table, allow_unlisted, patient_pattern, inherit, slices, write_patients, "
    "labels, workers, dask, overwrite",
    "build_dataset": "sources, out, *, image_size, resize, channels, encoding, split, val_fraction, test_fraction, "
    "leakage, keep_duplicates, folds, train_fraction, train_source, classes, table, allow_unlisted, patient_pattern, "
    "inherit, slices, shards, max_rejected, allow_missing_classes, workers, dask, seed, overwrite",
    "classification_report": "y_true, y_prob, *, groups, classes, draws, seed",
    "compare": "runs, out, *, overwrite",
    "create_model": "name, num_classes, image_size, channels, weights, *, preprocessing",
    "evaluate": "model, dataset, out, *, preprocessing, classes, trained_on, device",
    "export_model": "run, format, out, *, dataset, device",
    "list_models": "*, pretrained",
    "predict": "run, paths, *, batch_size, calibrated, flips, gradcam, engine, device",
    "pull": "name, out",
    "push": "folder, name, *, license, private, yes",
    "show_log": "",
    "train": "dataset, model, out, *, protocol, weights, feature_views, fold, cache, precision, xla, strategy, "
    "device, devices, seed, deterministic, resume, max_hours, track",
}
CLASSES = {
    "Dataset", "Estimate", "Protocol", "RandomAffineBrightness", "Run", "RunMetrics", "SetMetrics", "Stopped",
    "UserError",
}  # fmt: skip


def test_the_public_names_are_these():
    assert set(fc.__all__) == {"__version__", *CLASSES, *SIGNATURES}
    assert all(getattr(fc, name) is not None for name in fc.__all__)
    assert dir(fc) == sorted(fc.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fc.nothing


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_arguments_of_a_public_function_are_these(name):
    parameters = inspect.signature(getattr(fc, name)).parameters.values()
    names = [parameter.name for parameter in parameters]
    keywords = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if keywords:
        names.insert(names.index(keywords[0]), "*")
    assert ", ".join(names) == SIGNATURES[name]


@pytest.mark.parametrize("name", sorted(CLASSES | set(SIGNATURES)))
def test_every_public_name_is_documented(name):
    value = getattr(fc, name)
    text = inspect.getdoc(value) or ""
    assert text.splitlines()[0].endswith((".", ":"))
    arguments = [] if inspect.isclass(value) else list(inspect.signature(value).parameters)
    assert all(f"\n    {argument}: " in text for argument in arguments), "each argument has its line"


def test_defaults_are_those_of_the_options_and_the_command_line():
    built = inspect.signature(fc.build_dataset).parameters
    options = BuildOptions()
    for name in ("image_size", "resize", "channels", "encoding", "shards", "max_rejected", "allow_missing_classes"):
        assert built[name].default == getattr(options, name), name
    for name in ("val_fraction", "test_fraction", "leakage", "folds", "seed"):
        assert built[name].default == getattr(options.splitting, name), name
    trained = inspect.signature(fc.train).parameters
    fields = {name: field.default for name, field in TrainOptions.__dataclass_fields__.items()}
    for name in set(trained) & set(fields) - {"out", "model", "protocol"}:
        assert trained[name].default == fields[name], name
    from fastmri_cls.cli.train import train as command

    flags = inspect.signature(command).parameters
    for name in set(trained) & set(flags) - {"out", "model"}:
        assert flags[name].default == trained[name].default, name


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, fastmri_cls as fc\n"
        "fc.Protocol.strict(phase1_epochs=5), fc.UserError, fc.train, fc.show_log\n"
        "print([m for m in ('tensorflow', 'keras', 'numpy', 'sklearn', 'scipy', 'matplotlib', 'PIL') "
        "if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_python_and_the_command_line_give_the_same_numbers(cli, phantom_sources, tmp_path):
    """The README's quick start in both forms: equal fingerprints, equal metrics to the last digit."""
    dataset = fc.build_dataset(phantom_sources, tmp_path / "data", image_size=64, workers=1)
    run = fc.train(
        dataset,
        "small-cnn",
        tmp_path / "python",
        protocol=fc.Protocol.strict(phase1_epochs=2, phase2_epochs=1, label_smoothing=0.05),
        precision="float32",
        xla="off",
        deterministic=True,
    )
    assert run is not None
    again = cli("train", "--config", run.path / "train.yaml", "--out", tmp_path / "command", "--json")
    assert again.returncode == 0, again.stderr
    ours, theirs = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("python", "command"))
    assert ours["tests"] == theirs["tests"] == json.loads(again.stdout)
    assert ours["val"] == theirs["val"]
    assert str(run.metrics.tests["pooled"].accuracy).startswith(f"{ours['tests']['pooled']['accuracy']:.3f} [")

    found = fc.evaluate(run, dataset, tmp_path / "evaluated")
    assert found.metrics.tests == run.metrics.tests
    assert (found.folder / "report.html").exists()
    first = next(Path(phantom_sources["alpha"]).rglob("*.png"))
    (prediction,) = fc.predict(run, first)
    assert prediction.probabilities.sum() == pytest.approx(1)
    comparison = fc.compare([run], tmp_path / "compared")
    assert len(comparison.systems) == 1


def test_a_wrong_argument_is_the_same_error_as_on_the_command_line(tmp_path):
    with pytest.raises(fc.UserError, match=r"nowhere: .*dataset"):
        fc.train(tmp_path / "nowhere", "small-cnn", tmp_path / "run")
    with pytest.raises(fc.UserError, match="strikt: unknown; choose one of strict"):
        fc.train(tmp_path / "nowhere", "small-cnn", tmp_path / "run", protocol="strikt")
    with pytest.raises(fc.UserError, match="--cache disk: choose one of auto, none, ram, device"):
        fc.train(tmp_path / "nowhere", "small-cnn", tmp_path / "run", cache="disk")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"feature_views": -1}, "--feature-views -1: give at least 0"),
        ({"devices": 0}, "--devices 0: give at least 1"),
        ({"seed": -1}, "--seed -1: give a number from 0 to"),
        ({"max_hours": float("inf")}, "--max-hours inf: give a positive number of hours, or leave it out"),
        ({"protocol": fc.Protocol("mine")}, "--protocol mine: unknown; choose one of strict"),
        ({"protocol": replace(fc.Protocol.strict(), batch_size=0)}, "batch_size: expected int >= 1"),
        ({"protocol": replace(fc.Protocol.strict(), augment="flips")}, "--augment flips: unknown"),
    ],
)
def test_train_refuses_what_the_command_line_does(tmp_path, arguments, says):
    with pytest.raises(fc.UserError, match=re.escape(says)):
        fc.train(tmp_path / "nowhere", "small-cnn", tmp_path / "run", **arguments)


def test_build_audit_and_predict_refuse_what_the_command_line_does(tmp_path):
    for function in (fc.build_dataset, fc.audit):
        with pytest.raises(fc.UserError, match="--workers 0: give at least 1"):
            function(tmp_path, tmp_path / "out", workers=0)
    with pytest.raises(fc.UserError, match="--batch-size -5: give at least 1"):
        fc.predict(tmp_path, tmp_path / "scan.png", batch_size=-5)


@pytest.mark.parametrize("given", ["labels.csv", Path("labels.csv"), ["labels.csv"]])
def test_one_table_needs_no_list(phantom_sources, tmp_path, given):
    for function in (fc.build_dataset, fc.audit):
        with pytest.raises(fc.UserError, match=r"--table labels\.csv: "):
            function(phantom_sources, tmp_path / "out", table=given)


def test_one_source_to_train_on_needs_no_list(phantom_sources, tmp_path):
    with pytest.raises(fc.UserError, match="nobody"):
        fc.build_dataset(phantom_sources, tmp_path / "out", train_source="nobody")


def test_a_dataset_is_audited_whatever_its_folder_is_called(dataset, tmp_path):
    shutil.copytree(dataset, tmp_path / "rate=0.1")
    opened = fc.Dataset(tmp_path / "rate=0.1")
    found = fc.audit(opened, tmp_path / "audit")
    assert sum(sum(counts.values()) for counts in found["images"].values()) == opened.count(list(opened.splits))


def test_a_model_goes_into_any_keras_loop(phantom_sources, tmp_path):
    dataset = fc.build_dataset(phantom_sources["alpha"], tmp_path / "data", image_size=32, workers=1)
    model = fc.create_model("small-cnn", len(dataset.classes), image_size=32)
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(dataset.batches("train", augment="paper"), validation_data=dataset.batches("val"), verbose=0)
    assert set(history.history) >= {"loss", "val_accuracy"}
