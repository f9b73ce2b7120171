"""How many images a forward pass gets: what fills the device, unless the user says otherwise."""

from pathlib import Path

import pytest
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.evaluation.predict import predict_splits
from fastmri_cls.foundation import gpus
from fastmri_cls.inference.predictor import PredictOptions, Predictor
from fastmri_cls.runs.run import Run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("visible", "expected"), [([], 32), (["GPU:0"], 128)])
def test_predict_and_evaluate_fill_the_device(visible, expected, trained_run, phantom_dataset, monkeypatch):
    monkeypatch.setattr(gpus, "visible_gpus", lambda: visible)
    files = [next((phantom_dataset.parent / "sources").rglob("*.png"))] * 130
    predictor = Predictor(Run(trained_run), PredictOptions(engine="keras"))
    assert predictor.engine.batch_size == expected
    assert len(next(predictor._decoded_batches(files))) == expected
    told = Predictor(Run(trained_run), PredictOptions(batch_size=7, engine="keras"))
    assert len(next(told._decoded_batches(files))) == 7

    sizes = set()

    def model(images: tf.Tensor, *, training: bool) -> tf.Tensor:
        sizes.add((images.shape[0], training))
        return tf.fill([images.shape[0], 4], 0.25)

    predict_splits(model, Dataset(phantom_dataset), ["train"])
    assert sizes == {(expected, False)}


def test_engines_on_the_cpu_keep_the_batches_of_a_cpu(monkeypatch, trained_run):
    """Beside a GPU, too, which they do not use."""
    from fastmri_cls.inference import engines

    monkeypatch.setattr(gpus, "visible_gpus", lambda: ["GPU:0"])
    record = type("Record", (), {"largest_difference": 0.0, "checked_images": 1})
    monkeypatch.setattr(engines, "find_export", lambda *_: (Path("model.onnx"), record))
    monkeypatch.setitem(engines._OPENERS, "onnx", lambda _: lambda images: images)
    assert Predictor(Run(trained_run), PredictOptions(engine="onnx")).engine.batch_size == 32
