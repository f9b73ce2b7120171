"""evaluate on models that were not trained here: every form of a RUN's model, safety, classes, training images."""

import csv
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import fastmri_cls as fc
from fastmri_cls.comparison.report import analyse
from fastmri_cls.dataset import Dataset
from fastmri_cls.referee.judging import judge
from fastmri_cls.runs.model_evaluation import ModelEvaluation
from tests.html_pages import Page

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def forms(trained_run: Path, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, fc.Run]:
    """Evaluations of one RUN's model in four forms."""
    pytest.importorskip("tf2onnx")
    folder = tmp_path_factory.mktemp("forms")
    for kind in ("onnx", "saved_model"):
        fc.export_model(trained_run, kind, folder / kind, dataset=data)
    given = {
        "keras": (trained_run / "model.keras", {"classes": data.classes}),
        "onnx": (folder / "onnx" / "model.onnx", {}),
        "saved_model": (folder / "saved_model", {}),
    }
    found = {
        kind: fc.evaluate(model, data, folder / f"of-{kind}", preprocessing="0..255", **options)
        for kind, (model, options) in given.items()
    }
    return found | {"predictions": fc.evaluate(trained_run / "predictions.csv", data, folder / "of-predictions")}


def numbers(value: object) -> list[float]:
    """All numbers in a JSON value, in order; calibrated scores left out, which predictions.csv alone cannot have."""
    if isinstance(value, dict):
        return [n for key, part in value.items() if key not in ("calibrated", "operating") for n in numbers(part)]
    if isinstance(value, list):
        return [n for part in value for n in numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


def test_a_runs_model_has_the_same_metrics_in_every_form_and_compare_finds_no_difference(forms, trained_run):
    expected = json.loads((trained_run / "metrics.json").read_text())
    for kind, found in forms.items():
        metrics = json.loads((found.folder / "metrics.json").read_text())
        np.testing.assert_allclose(numbers(metrics["tests"]), numbers(expected["tests"]), atol=1e-5, err_msg=kind)
        assert metrics["baselines"] == expected["baselines"]
        assert ModelEvaluation(found.folder).facts.kind == kind
    assert forms["onnx"].metrics.temperature == pytest.approx(
        json.loads((trained_run / "metrics.json").read_text())["temperature"], abs=1e-3
    )
    compared = analyse([trained_run, *(found.folder for found in forms.values())])
    assert len(compared.systems) == 5
    assert [test.mcnemar.p for test in compared.numbers.tests] == [1.0] * 10


def test_compare_proposes_to_predict_with_a_run_alone(cli, forms, tmp_path):
    result = cli("compare", forms["onnx"].folder, forms["keras"].folder, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "report: " in result.stdout
    assert "predict RUN" not in result.stdout


def test_the_report_names_the_file_and_needs_nothing_from_elsewhere(forms):
    page = Page(forms["onnx"].folder / "report.html")
    facts = ModelEvaluation(forms["onnx"].folder).facts
    text = (forms["onnx"].folder / "report.html").read_text(encoding="utf-8")
    assert page.needs == []
    assert facts.sha256 in text
    assert facts.sha256 in (forms["onnx"].folder / "README.md").read_text()
    assert {"glioma", "meningioma", "notumor", "pituitary"} == set(facts.output_classes)


def test_a_missing_preprocessing_is_a_guess_by_validation_and_a_function_gets_the_stored_images(
    trained_run, data, tmp_path
):
    import keras

    inner = keras.models.load_model(trained_run / "model.keras", compile=False)
    inputs = keras.Input((128, 128, 3))
    grey = keras.layers.Conv2D(1, 1, use_bias=False)
    model = keras.Model(inputs, inner(grey(keras.layers.Rescaling(127.5, 127.5)(inputs))))
    grey.set_weights([np.array([1.0, 0, 0], np.float32).reshape(1, 1, 3, 1)])
    model.save(tmp_path / "minus-one-to-one.keras")
    found = judge(tmp_path / "minus-one-to-one.keras", data, None, data.classes)
    assert (found.input.preprocessing, found.input.is_guess) == ("-1..1", True)
    assert found.input.tried["-1..1"] > found.input.tried["0..1"]
    expected = fc.Run(trained_run).predictions
    np.testing.assert_allclose(found.tests.probabilities, expected.probabilities, atol=1e-4)

    shapes = []

    def function(images: np.ndarray) -> np.ndarray:
        shapes.append(images.shape[1:])
        return np.eye(4)[images[:, 64, 64, 0].astype(int) % 4]

    judged = judge(function, data, None, data.classes)
    stored = data.images(data.manifest.test_splits, range(5))
    assert set(shapes) == {(128, 128, 3)}
    assert judged.tests.predicted[:5].tolist() == (stored[:, 64, 64, 0] % 4).tolist()


def test_the_order_of_the_classes_goes_by_name_and_two_lists_are_in_every_refusal(trained_run, data, tmp_path):
    rows = list(csv.reader((trained_run / "predictions.csv").open()))
    turned = [[row[1], *row[7:3:-1]] for row in rows]
    turned[0][1:] = ["Pituitary tumor", "no_tumor", "meningioma_tumor", "glioma_tumor"]
    table = tmp_path / "theirs.csv"
    table.write_text("\n".join(",".join(row) for row in turned))
    found = judge(table, data, None, None)
    assert found.tests.probabilities.tolist() == fc.Run(trained_run).predictions.probabilities.tolist()
    assert found.order.names[0] == "Pituitary tumor"
    table.write_text("\n".join(",".join(row) for row in turned[:-1]))
    with pytest.raises(fc.UserError, match="has no row for 1 of"):
        judge(table, data, None, None)
    lists = "glioma, meningioma, notumor, pituitary"
    with pytest.raises(fc.UserError, match=f"does not say which.*{lists}.*--classes"):
        fc.evaluate(trained_run / "model.keras", data, tmp_path / "x", preprocessing="0..255")
    with pytest.raises(fc.UserError, match=f"its classes are a, b, c.*{lists}"):
        fc.evaluate(trained_run / "model.keras", data, tmp_path / "x", classes=["a", "b", "c"])
    assert not (tmp_path / "x").exists()
    with pytest.raises(fc.UserError, match=rf"gives \(\d+, 3\) for \d+ images, its classes are .*{lists}"):
        judge(lambda images: np.ones((len(images), 3)), data, None, data.classes)


def test_an_onnx_file_that_names_its_classes_is_not_overruled(forms, data, tmp_path):
    onnx = forms["onnx"].folder.parent / "onnx" / "model.onnx"
    with pytest.raises(fc.UserError, match=r"--classes says pituitary.*its metadata say glioma"):
        fc.evaluate(onnx, data, tmp_path / "x", classes=data.classes[::-1])


def test_another_folder_is_never_replaced(forms, trained_run, data, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(fc.UserError, match="exists already"):
        fc.evaluate(trained_run / "predictions.csv", data, tmp_path / "mine")
    again = fc.evaluate(trained_run / "predictions.csv", data, forms["predictions"].folder)
    assert again.metrics["pooled"] == forms["predictions"].metrics["pooled"]


def layer(model: Path, change) -> Path:
    """Change config.json in a .keras file."""
    with zipfile.ZipFile(model) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config["config"]["layers"][-1])
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(model, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return model


@pytest.fixture
def unsafe(trained_run, tmp_path, monkeypatch):
    """Write a model file that must be refused; loading anything fails the test."""
    import keras

    def loading(*_, **__):
        raise AssertionError("the file was loaded")

    monkeypatch.setattr(keras.models, "load_model", loading)

    def make(kind: str) -> Path:
        path = tmp_path / "theirs.keras"
        shutil.copy(trained_run / "model.keras", path)
        if kind == "lambda":
            return layer(path, lambda part: part.update(class_name="Lambda", registered_name="Lambda"))
        if kind == "module":
            return layer(path, lambda part: part.update(module="os", class_name="system"))
        if kind == "function":
            called = {"class_name": "function", "module": "keras.utils", "config": "get_file"}
            return layer(path, lambda part: part["config"].update(activation=called))
        path = tmp_path / "theirs.h5"
        if kind == "pickle":
            path.write_bytes(pickle.dumps({"a": 1}))
        elif kind == "external":
            with h5py.File(path, "w") as file:
                file.create_dataset("w", (1,), "f4", external=[("/etc/hostname", 0, 4)])
        elif kind == "legacy lambda":
            with h5py.File(path, "w") as file:
                inner = {"class_name": "Lambda", "config": {"name": "evil", "function": ["4wEA", None, None]}}
                file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [inner]}})
        elif kind == "weights":
            with h5py.File(path, "w") as file:
                file.create_dataset("w", data=np.zeros(1, np.float32))
        return path

    return make


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("lambda", r"its layer Lambda .* runs Python code out of the file; nothing of it was run"),
        ("legacy lambda", r"its layer Lambda 'evil' runs Python code"),
        ("module", r"its layer system .* is not Keras' own but its author's \(os\)"),
        ("function", r"it calls the function get_file of keras\.utils, which is no activation"),
        ("pickle", r"is not a \.h5 file in spite of its name"),
        ("external", r"its dataset /w takes its values from another file"),
        ("weights", r"holds weights without an architecture"),
    ],
)
def test_a_file_that_brings_code_or_leaves_its_folder_is_refused_unread(unsafe, data, tmp_path, kind, reason):
    with pytest.raises(fc.UserError, match=reason) as refused:
        fc.evaluate(unsafe(kind), data, tmp_path / "out", classes=data.classes, preprocessing="0..255")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "link/secret.bin"])
def test_an_onnx_file_with_data_outside_of_its_folder_is_refused(data, tmp_path, location):
    onnx = pytest.importorskip("onnx")
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    (tmp_path / "inside" / "link").symlink_to(tmp_path)
    weight = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], bytes(4), raw=True)
    onnx.external_data_helper.set_external_data(weight, location)
    weight.ClearField("raw_data")
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    kind, shape = onnx.TensorProto.FLOAT, [1, 3, 8, 8]
    graph = onnx.helper.make_graph([node], "g", [value("x", kind, shape)], [value("y", kind, shape)], [weight])
    path = tmp_path / "inside" / "theirs.onnx"
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(fc.UserError, match="which is not in the model's folder; the model was not opened"):
        fc.evaluate(path, data, tmp_path / "out", classes=data.classes, preprocessing="0..255")


def test_a_saved_model_that_touches_files_is_refused(data, tmp_path):
    import tensorflow as tf

    class Reader(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32)])
        def __call__(self, images):
            tf.io.write_file(str(tmp_path / "written"), "x")
            return tf.zeros([tf.shape(images)[0], 4])

    tf.saved_model.save(Reader(), str(tmp_path / "theirs"), signatures=Reader().__call__)
    with pytest.raises(fc.UserError, match="has the operation WriteFile, which no classifier"):
        fc.evaluate(tmp_path / "theirs", data, tmp_path / "out", classes=data.classes, preprocessing="0..255")
    assert not (tmp_path / "written").exists()
