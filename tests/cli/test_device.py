"""--device: nothing computes on the CPU where a GPU is asked for."""

from pathlib import Path

import pytest
import tensorflow as tf

from fastmri_cls.dataset import Dataset
from fastmri_cls.runs.options import TrainOptions
from fastmri_cls.runs.protocol import PROTOCOLS
from fastmri_cls.training import resolve
from fastmri_cls.training.precision import ComputePolicy


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("train", ("--data", ".", "--model", "small-cnn", "--out", "out")),
        ("evaluate", ("run", "--data", ".", "--out", "out")),
        ("predict", ("run", "scans", "--out", "out")),
        ("benchmark step", ("--source", ".")),
        ("profile", ("--data", ".", "--model", "small-cnn", "--out", "out")),
        ("export", ("run", "--format", "onnx", "--out", "out")),
    ],
)
def test_a_gpu_that_is_not_there_is_one_line_and_leaves_nothing(cli, command, arguments):
    if tf.config.get_visible_devices("GPU"):
        pytest.skip("has a GPU")
    done = cli(*command.split(), *arguments, "--device", "gpu")
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("fastmri-cls: error: --device gpu: TensorFlow finds no GPU")


def test_the_tier_is_chosen_before_the_trial_takes_memory(monkeypatch, dataset):
    """The free memory of a GPU is asked for by choose_tier; after the trial it would be what the trial left."""
    calls = []
    monkeypatch.setattr(resolve, "choose_tier", lambda *_, **__: calls.append("tier") or "ram")
    monkeypatch.setattr(resolve, "resolve_policy", lambda *_: calls.append("trial") or ComputePolicy("float32", False))
    resolved = resolve.resolve(TrainOptions(dataset, "small-cnn", Path("out"), PROTOCOLS["strict"]), Dataset(dataset))
    assert calls == ["tier", "trial"]
    assert resolved.device == ("gpu" if tf.config.get_visible_devices("GPU") else "cpu")
